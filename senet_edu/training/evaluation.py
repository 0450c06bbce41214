"""Logits and accuracy of a network on a set of images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from senet_edu.data import Images
from senet_edu.training import processes
from senet_edu.training.machine import Precision, best_device, best_precision, keep_freed_memory, known
from senet_edu.training.recipe import normalise


@dataclass(frozen=True)
class Evaluation:
    """Accuracy as a share, 0 to 1.

    Attributes:
        accuracy: of one view, the image as it is.
        flipped: of the mean of the logits of the image and its mirror image.
        per_class: of one view, per class [classes]; NaN for a class without images.
    """

    accuracy: float
    flipped: float
    per_class: list[float]


@torch.no_grad()
def predict(
    model: nn.Module,
    images: Images,
    *,
    mirrored: bool = False,
    batch_size: int = 500,
    precision: Precision | None = None,
    cpu: bool = False,
) -> Tensor:
    """Logits float32 [n, classes] on the CPU, of uint8 images [n, C, H, W], or of their mirror images.

    The model is left as and where it was. On Linux and a CPU, this process keeps from here on the memory that it frees
    (see `machine.keep_freed_memory`), as it does in all that calls this, and in `fit`.

    Raises:
        ValueError: `precision` is not one.
    """
    device = torch.device("cpu") if cpu else best_device()
    precision = known(precision or best_precision(device))
    if device.type == "cpu":
        keep_freed_memory()
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    lower = torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)  # also where a caller has another
    home = next(model.parameters()).device
    modes = {module: module.training for module in model.modules()}
    logits = []
    try:
        model.to(device).eval()
        for batch in images.split(batch_size):
            batch = batch.to(device)
            with lower:
                logits.append(model(normalise(batch.flip(-1) if mirrored else batch)).float().cpu())
    finally:
        model.to(home)
        for module, mode in modes.items():
            module.training = mode
    return torch.cat(logits)


def evaluate(
    model: nn.Module,
    images: Images,
    labels: Tensor,
    *,
    batch_size: int = 500,
    precision: Precision | None = None,
    cpu: bool = False,
) -> Evaluation:
    """Accuracy of `model` on uint8 images [n, C, H, W] with labels [n]; see `Evaluation`.

    Under a launcher the processes share the images, and each gets the result for all of them.

    Raises:
        ValueError: there are no images, or fewer than processes, or the labels do not fit them.
    """
    n, right, both = count_right(
        model, images, labels, mirror=True, batch_size=batch_size, precision=precision, cpu=cpu
    )
    return Evaluation(
        accuracy=(right.sum() / n.sum()).item(),
        flipped=(both.sum() / n.sum()).item(),
        per_class=(right / n).tolist(),
    )


def count_right(
    model: nn.Module,
    images: Images,
    labels: Tensor,
    *,
    mirror: bool,
    batch_size: int = 500,
    precision: Precision | None = None,
    cpu: bool = False,
) -> Tensor:
    """Images of each class, those recognised, and those recognised together with their mirror image [3, classes].

    Counted over all processes. Without `mirror` the last row is that of one view.
    """
    check_labels(images, labels)
    classes = int(labels.max()) + 1
    mine = processes.share(len(images))
    part, labels = images[mine], labels[mine].cpu()
    logits = predict(model, part, batch_size=batch_size, precision=precision, cpu=cpu)  # [n, classes]
    both = logits
    if mirror:
        both = logits + predict(model, part, mirrored=True, batch_size=batch_size, precision=precision, cpu=cpu)
    rows = [labels, labels[logits.argmax(1) == labels], labels[both.argmax(1) == labels]]
    counts = torch.stack([torch.bincount(row, minlength=max(classes, logits.shape[1])) for row in rows])
    return torch.stack(processes.everyone(counts, cpu)).sum(0)


def check_labels(images: Images, labels: Tensor) -> None:
    """A ValueError if there are no images, or the labels are not one class number each."""
    if len(images) != len(labels) or len(images) == 0:
        raise ValueError(f"{len(images)} images and {len(labels)} labels do not make a set")
    if labels.dtype != torch.int64 or int(labels.min()) < 0:
        raise ValueError(f"labels are int64 from 0 on; these are {labels.dtype}, the least is {labels.min()}")
