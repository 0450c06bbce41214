"""The training loop: read `fit` from top to bottom, it is all there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from senet_edu.training import checkpoint
from senet_edu.training.evaluation import predict
from senet_edu.training.machine import Precision, best_precision
from senet_edu.training.recipe import EpochPlan, Recipe, learning_rate, parameter_groups
from senet_edu.training.session import Run, Session, checksum

if TYPE_CHECKING:
    from accelerate import Accelerator

# What PyTorch says on the CPU and from libraries on the GPU, where it raises no OutOfMemoryError
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")


def fit(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
    *,
    seed: int = 0,
    validation: tuple[Tensor, Tensor] | None = None,
    folder: str | Path | None = None,
    precision: Precision | None = None,
    cpu: bool = False,
    progress: bool = True,
    on_epoch: Callable[[list[dict[str, float]]], None] | None = None,
) -> Run:
    """Train `model` in place with SGD, Nesterov momentum and one rise and fall of the learning rate.

    Accelerate chooses the device, casts to `precision` and, under a launcher (`torchrun`, `accelerate launch`), splits
    each batch over the processes. With `folder`, a checkpoint is kept there, and a run that was stopped, even by
    `kill -9`, goes on from it; on the same CPU the result is then bit for bit that of an uninterrupted run.

    Args:
        model: a network on normalised images.
        images: uint8 [n, C, H, W].
        labels: int64 [n].
        recipe: see `Recipe`.
        seed: of the order and the augmentation. (Seed the weights with `torch.manual_seed` before the model is made.)
        validation: images and labels to evaluate on after each epoch.
        folder: where checkpoints go; None keeps none.
        precision: "no" (float32), "bf16" or "fp16"; by default that of the checkpoint, else the best of this machine.
        cpu: stay on the CPU even if there is a GPU.
        progress: show a progress bar with loss, accuracy, images a second and time left.
        on_epoch: called with the history after each epoch, e.g. `figures.LiveCurves()`.

    Raises:
        ValueError: images and labels do not fit together, there are none, or too few for the processes.
        TrainingError: out of memory, or the loss is no longer a number.
        CheckpointError: the checkpoint in `folder` is damaged, or of a run with other settings.
    """
    if len(images) != len(labels) or len(images) == 0:
        raise ValueError(f"{len(images)} images and {len(labels)} labels do not make a training set")
    found = checkpoint.read(Path(folder)) if folder is not None else None
    if precision is None and found is not None:
        precision = found[0]["config"]["precision"]  # go on as it began, even if this machine would choose another
    accelerator, precision = start(precision, cpu)
    device, processes = accelerator.device, accelerator.num_processes
    share = min(recipe.batch_size, len(images)) // processes  # images of each batch for this process
    if share == 0:
        raise ValueError(f"{processes} processes cannot share batches of {recipe.batch_size} of {len(images)} images")
    steps = len(images) // (share * processes)  # an epoch; images that fill no batch wait for the next one

    model.to(device)
    optimizer = torch.optim.SGD(
        parameter_groups(model, recipe), lr=recipe.peak_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    )
    run = Run(recipe, seed, precision, device.type, processes)
    data = checksum(images, labels) if folder is not None else ""  # only a checkpoint needs it
    session = Session(run, model, optimizer, accelerator, folder, found, data, steps, share, progress)
    network = model
    try:
        images, labels = images.to(device), labels.to(device)  # as bytes: 150 MB for all of CIFAR-10
        network, optimizer = accelerator.prepare(model, optimizer)  # casts the network's forward to `precision`
        while session.done < recipe.epochs * steps:
            epoch, first = divmod(session.done, steps)
            plan = EpochPlan.draw(len(images), images.shape[2:], recipe, seed, epoch).to(device)
            network.train()
            for step in range(first, steps):
                begin = (step * processes + accelerator.process_index) * share
                x, index = plan.batch(images, slice(begin, begin + share), recipe)  # [share, C, H, W], [share]
                y = labels[index]  # [share]

                rate = learning_rate(recipe, session.done / (recipe.epochs * steps))
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["multiple"]
                logits = network(x)  # [share, classes]
                loss = cross_entropy(logits.float(), y, label_smoothing=recipe.label_smoothing)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                session.step_done(loss, logits, y)

            session.epoch_done(rate, accuracy_on(validation, model, precision, cpu))
            if on_epoch is not None and accelerator.is_main_process:
                on_epoch(run.history)
        accelerator.wait_for_everyone()  # the last checkpoint is on the disk before any process goes on
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
            raise session.out_of_memory() from error
        raise
    finally:
        session.bar.close()
        accelerator.unwrap_model(network, keep_fp32_wrapper=False)  # the model computes in its own precision again
    return run


def start(precision: Precision | None, cpu: bool) -> tuple[Accelerator, Precision]:
    """An Accelerator for this call alone: its shared state would keep the precision and device of the last call."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    if precision is None:
        precision = best_precision(torch.device("cpu") if cpu else None)
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(mixed_precision=precision, cpu=cpu), precision


def accuracy_on(
    held_out: tuple[Tensor, Tensor] | None, model: nn.Module, precision: Precision, cpu: bool
) -> float | None:
    """Single-view accuracy on held-out images and labels, if there are any."""
    if held_out is None:
        return None
    images, labels = held_out
    return (predict(model, images, precision=precision, cpu=cpu).argmax(1) == labels.cpu()).float().mean().item()
