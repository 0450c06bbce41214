"""The training loop: read `fit` and `train` from top to bottom, it is all there."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from senet_edu.data import Images
from senet_edu.training import checkpoint, processes
from senet_edu.training.evaluation import check_labels, count_right
from senet_edu.training.machine import Precision, best_precision, keep_freed_memory, known
from senet_edu.training.recipe import EpochPlan, Recipe, learning_rate, norms, parameter_groups
from senet_edu.training.session import Run, Session, TrainingError, checksum, explanation

if TYPE_CHECKING:
    from accelerate import Accelerator

WRAPPERS = ("OptimizedModule", "DataParallel", "DistributedDataParallel")  # their weights bear other names
MARKS = ("_compiled_call_impl", "_is_accelerate_prepared")  # of a network compiled in place, or given to Accelerate


def fit(
    model: nn.Module,
    images: Images,
    labels: Tensor,
    recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
    *,
    seed: int = 0,
    validation: tuple[Images, Tensor] | None = None,
    folder: str | Path | None = None,
    precision: Precision | None = None,
    cpu: bool = False,
    compiled: bool = False,
    started_from: str = "",
    progress: bool = True,
    on_epoch: Callable[[list[dict[str, float]]], None] | None = None,
) -> Run:
    """Train `model` in place with SGD, Nesterov momentum and one rise and fall of the learning rate.

    Accelerate chooses the device, casts to `precision` and, under a launcher, splits each batch over the processes.
    With `folder`, a checkpoint is kept there, and a run that was stopped, even by `kill -9`, goes on from it; on the
    same CPU the result is then bit for bit that of an uninterrupted run.

    Launchers: ``torchrun --nproc_per_node 2 …`` and ``accelerate launch --multi_gpu --num_processes 2 …``, also for
    several processes on CPUs (``accelerate launch --cpu`` starts a single one unless there is MPI). Every process sees
    its share of each batch, in the order that a single one would; the first one alone reads and writes `folder`, and
    calls `on_epoch`, which must not train or evaluate then.

    Args:
        model: a network on normalised images. All of it is set to training, also a frozen part: its BN statistics
            move on. (`Recipe.freeze_norms` holds them.)
        images: uint8 [n, C, H, W], or a folder of them, see `data.image_folder`.
        labels: int64 [n].
        recipe: see `Recipe`.
        seed: of the order and the augmentation. (Seed the weights with `torch.manual_seed` before the model is made.)
        validation: images and labels to evaluate on after each epoch.
        folder: where checkpoints go; None keeps none.
        precision: "no" (float32), "bf16" or "fp16"; by default that of the checkpoint, else the best of this machine.
        cpu: stay on the CPU even if there is a GPU.
        compiled: compile the network with torch.compile first. It takes half a minute and a C++ compiler, and then a
            step takes less time (the record training-speed has both); rounding differs a little from that of a run that
            is not compiled.
        started_from: what the weights of `model` are, if they are not fresh: a sentence for the record. A checkpoint of
            a run that began with others is refused.
        progress: show a progress bar with loss, accuracy, images a second and time left.
        on_epoch: called with the history after each epoch, e.g. `figures.LiveCurves("SE-ResNet-18")`.

    Raises:
        ValueError: images, labels (also those of `validation`) and logits do not fit together, there are none, or too
            few for the processes; the network is compiled, wrapped or prepared already; "fp16" on a CPU.
        TrainingError: out of memory, the loss is no longer a number, or another process of this run has ended.
        CheckpointError: the checkpoint in `folder` is damaged, or of a run with other settings, or in use.
        DataError: an image of a folder cannot be read.
    """
    for part in ((images, labels), validation):
        if part is not None:
            check_labels(*part)
    if type(model).__name__ in WRAPPERS or any(getattr(model, mark, None) for mark in MARKS):
        raise ValueError(
            f"give the network itself; this {type(model).__name__} is wrapped, compiled or prepared already: see "
            "`compiled`, and a launcher"
        )
    folder = Path(folder) if folder is not None else None
    own = folder if processes.is_main() else None  # the main process alone reads and writes it
    with checkpoint.alone_in(own):
        found = processes.from_main(checkpoint.read(own), cpu)
        if precision is None and found is not None:
            precision = found[0]["config"]["precision"]  # go on as it began, even if this machine would choose another
        accelerator, precision = start(precision, cpu, compiled)
        if accelerator.device.type == "cpu":
            keep_freed_memory()
        run = Run(recipe, seed, precision, accelerator.device.type, accelerator.num_processes, compiled, started_from)
        try:
            train(model, images, labels, run, accelerator, validation, folder, found, progress, on_epoch)
        except RuntimeError as error:
            if (words := explanation(error, run, folder)) is None:
                raise
            raise TrainingError(words) from error
    return run


def train(
    model: nn.Module,
    images: Images,
    labels: Tensor,
    run: Run,
    accelerator: Accelerator,
    validation: tuple[Images, Tensor] | None,
    folder: Path | None,
    found: checkpoint.Found | None,
    progress: bool,
    on_epoch: Callable[[list[dict[str, float]]], None] | None,
) -> None:
    """The loop itself: keeps `run` up to date as it goes. Arguments as in `fit`; `found` is the checkpoint to go on."""
    recipe, device = run.recipe, accelerator.device
    share = min(recipe.batch_size, len(images)) // run.processes  # images of each batch for this process
    if share == 0:
        raise ValueError(
            f"{run.processes} processes cannot share batches of {recipe.batch_size} of {len(images)} images"
        )
    steps = len(images) // (share * run.processes)  # an epoch; images that fill no batch wait for the next one
    classes = int(labels.max()) + 1

    model.to(device)
    optimizer = torch.optim.SGD(
        parameter_groups(model, recipe), lr=recipe.peak_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    )
    data = checksum(images, labels) if folder is not None else ""  # only a checkpoint needs it
    session = Session(run, model, optimizer, accelerator, folder, found, data, steps, share, progress)
    network, before = model, set(vars(model))
    try:
        images, labels = images.to(device), labels.to(device)  # as bytes: 150 MB for all of CIFAR-10
        network, optimizer = accelerator.prepare(model, optimizer)  # casts the network's forward to `precision`
        while session.done < recipe.epochs * steps:
            epoch, first = divmod(session.done, steps)
            plan = EpochPlan.draw(len(images), images.shape[2:], recipe, run.seed, epoch).to(device)
            begins = [(step * run.processes + accelerator.process_index) * share for step in range(first, steps)]
            network.train()
            frozen = norms(model) if epoch >= recipe.epochs - recipe.freeze_norms else []
            for norm in frozen:
                norm.eval()  # running statistics in place of the batch's
            for x, index in plan.batches(images, [slice(begin, begin + share) for begin in begins], recipe):
                y = labels[index]  # x: [share, C, H, W], index and y: [share]

                rate = learning_rate(recipe, session.done / (recipe.epochs * steps))
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["multiple"]
                logits = checked(network(x), classes)  # [share, classes or more]
                loss = cross_entropy(logits.float(), y, label_smoothing=recipe.label_smoothing)
                accelerator.backward(loss)
                for norm in frozen:
                    norm.zero_grad(set_to_none=True)  # the optimiser passes over what has no gradient
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                session.step_done(loss, logits, y)

            processes.same_buffers(model)
            session.epoch_done(rate, accuracy_on(validation, model, run.precision, device.type == "cpu"))
            if on_epoch is not None and accelerator.is_main_process:
                on_epoch(run.history)
                session.start_clock()  # what it took was not training
        accelerator.wait_for_everyone()  # the last checkpoint is on the disk before any process goes on
    finally:
        session.bar.close()
        accelerator.unwrap_model(network, keep_fp32_wrapper=False)  # the model computes in its own precision again
        for left in {"forward", "_is_accelerate_prepared"} - before:  # else a second call would not prepare it
            vars(model).pop(left, None)


def checked(logits: object, classes: int) -> Tensor:
    """The network's output, if it is logits for so many classes; a ValueError if not."""
    if not isinstance(logits, Tensor):
        raise ValueError(f"the network puts out {type(logits).__name__}, not logits (torchvision's: aux_logits=False)")
    if logits.shape[1] < classes:
        raise ValueError(f"labels go up to {classes - 1}, the network has {logits.shape[1]} logits")
    return logits


def start(precision: Precision | None, cpu: bool, compiled: bool = False) -> tuple[Accelerator, Precision]:
    """An Accelerator for this call alone: its shared state would keep the precision and device of the last call."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    best = best_precision(torch.device("cpu") if cpu else None)
    precision = known(precision or best)
    AcceleratorState._reset_state(reset_partial_state=True)
    backend = "inductor" if compiled else "no"
    accelerator = Accelerator(mixed_precision=precision, cpu=cpu, dynamo_backend=backend)
    device = accelerator.device.type
    if precision == "fp16" and device == "cpu":  # Accelerate would compute in float32 and say nothing
        raise ValueError(
            "fp16 is for GPUs, and this would run on a CPU. Give precision 'no' or 'bf16'; a run that began in fp16 "
            "goes on where there is a GPU, or anew in another folder."
        )
    if precision == "bf16" and best == "fp16" and device == "cuda":
        warnings.warn("this GPU emulates bf16, slowly; a new run in fp16 would be quicker", stacklevel=3)
    return accelerator, precision


def accuracy_on(
    held_out: tuple[Images, Tensor] | None, model: nn.Module, precision: Precision, cpu: bool
) -> float | None:
    """Single-view accuracy on held-out images and labels, if there are any."""
    if held_out is None:
        return None
    images, right, _ = count_right(model, *held_out, mirror=False, precision=precision, cpu=cpu)
    return (right.sum() / images.sum()).item()
