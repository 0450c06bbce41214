"""Logits and accuracy of a network on a set of images."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from senet_edu.training.machine import Precision, best_device, best_precision
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
    images: Tensor,
    *,
    batch_size: int = 500,
    precision: Precision | None = None,
    cpu: bool = False,
) -> Tensor:
    """Logits float32 [n, classes] on the CPU, of uint8 images [n, C, H, W]. The model is left as and where it was."""
    device = torch.device("cpu") if cpu else best_device()
    precision = precision or best_precision(device)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    lower = torch.autocast(device.type, dtype=dtype) if dtype is not None else nullcontext()
    home = next(model.parameters()).device
    modes = {module: module.training for module in model.modules()}
    logits = []
    try:
        model.to(device).eval()
        for batch in images.split(batch_size):
            with lower:
                logits.append(model(normalise(batch.to(device))).float().cpu())
    finally:
        model.to(home)
        for module, mode in modes.items():
            module.training = mode
    return torch.cat(logits)


def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    batch_size: int = 500,
    precision: Precision | None = None,
    cpu: bool = False,
) -> Evaluation:
    """Accuracy of `model` on uint8 images [n, C, H, W] with labels [n]; see `Evaluation`.

    Raises:
        ValueError: there are no images.
    """
    if len(images) == 0:
        raise ValueError("no images to evaluate on")
    logits = predict(model, images, batch_size=batch_size, precision=precision, cpu=cpu)
    mirrored = predict(model, images.flip(-1), batch_size=batch_size, precision=precision, cpu=cpu)
    right = logits.argmax(1) == labels.cpu()
    return Evaluation(
        accuracy=right.float().mean().item(),
        flipped=((logits + mirrored).argmax(1) == labels.cpu()).float().mean().item(),
        per_class=[right[labels.cpu() == k].float().mean().item() for k in range(logits.shape[1])],
    )
