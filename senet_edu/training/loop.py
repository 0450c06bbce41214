"""The training loop: read `fit` from top to bottom, it is all there."""

from __future__ import annotations

import dataclasses
import math
import os
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from senet_edu.training import checkpoint
from senet_edu.training.evaluation import evaluate
from senet_edu.training.machine import Precision, best_precision
from senet_edu.training.recipe import EpochPlan, Recipe, learning_rate, parameter_groups

if TYPE_CHECKING:
    from accelerate import Accelerator

SAVE_EVERY = 30.0  # seconds between two checkpoints within an epoch
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why, what to do, and where the last good checkpoint is."""


@dataclass
class Run:
    """What `fit` did.

    Attributes:
        recipe, seed, precision: as trained.
        device: "cpu", "cuda" or "mps".
        processes: number of processes that shared each batch.
        history: one row an epoch: epoch, loss and accuracy on the augmented training images, learning rate, seconds,
            images a second, and validation_accuracy if there were validation images. Accuracies are shares, 0 to 1.
        seconds: time spent training, over all sittings.
    """

    recipe: Recipe
    seed: int
    precision: Precision
    device: str
    processes: int
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


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

    Accelerate chooses the device, casts to `precision` and, under `accelerate launch`, splits each batch over the
    processes. With `folder`, a checkpoint is kept there, and a run that was stopped, even by `kill -9`, goes on from
    it; on the CPU the result is then bit for bit that of an uninterrupted run.

    Args:
        model: a network on normalised images.
        images: uint8 [n, C, H, W].
        labels: int64 [n].
        recipe: see `Recipe`.
        seed: of the order and the augmentation. (Seed the weights with `torch.manual_seed` before the model is made.)
        validation: images and labels to evaluate on after each epoch.
        folder: where checkpoints go; None keeps none.
        precision: "no" (float32), "bf16" or "fp16"; by default the best of this machine.
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
    accelerator, precision = start(precision, cpu)
    share = min(recipe.batch_size, len(images)) // accelerator.num_processes  # of each batch, for this process
    if share == 0:
        raise ValueError(
            f"{accelerator.num_processes} processes cannot share batches of {recipe.batch_size} of {len(images)} images"
        )
    batch_size = share * accelerator.num_processes
    steps_per_epoch = len(images) // batch_size
    total_steps = recipe.epochs * steps_per_epoch
    run = Run(recipe, seed, precision, accelerator.device.type, accelerator.num_processes)
    config = describe_run(run, images, labels)

    # The network goes to its device; images do too, as bytes: 150 MB for all of CIFAR-10.
    model.to(accelerator.device)
    images, labels = images.to(accelerator.device), labels.to(accelerator.device)
    optimizer = torch.optim.SGD(
        parameter_groups(model, recipe), lr=recipe.peak_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    )
    state = resume(folder, model, optimizer, config)
    done, loss_sum, correct = state["done"], state["loss_sum"], state["correct"]
    run.history, run.seconds = state["history"], state["seconds"]
    network, optimizer = accelerator.prepare(model, optimizer)
    if accelerator.scaler is not None and state["scaler"]:
        accelerator.scaler.load_state_dict(state["scaler"])
    bar = progress_bar(progress and accelerator.is_main_process, total_steps, batch_size, done)

    def save() -> None:
        if not all(p.isfinite().all() for p in model.parameters()):
            raise TrainingError(diverged(run, done, steps_per_epoch, folder))
        if folder is not None and accelerator.is_main_process:
            scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else {}
            checkpoint.save(
                Path(folder),
                model,
                optimizer.optimizer,
                {
                    "config": config,
                    "done": done,
                    "loss_sum": float(loss_sum),
                    "correct": int(correct),
                    "history": run.history,
                    "seconds": run.seconds,
                    "scaler": scaler,
                },
            )

    loss_sum = torch.tensor(loss_sum, dtype=torch.float64 if run.device != "mps" else torch.float32).to(images.device)
    correct = torch.tensor(correct).to(images.device)
    saved = clock = time.monotonic()
    try:
        while done < total_steps:
            epoch, first = divmod(done, steps_per_epoch)
            plan = EpochPlan.draw(len(images), images.shape[2:], recipe, seed, epoch).to(images.device)
            network.train()
            for step in range(first, steps_per_epoch):
                start_of_share = step * batch_size + accelerator.process_index * share
                x, index = plan.batch(images, slice(start_of_share, start_of_share + share), recipe)
                y = labels[index]

                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(recipe, done / total_steps)
                with accelerator.autocast():
                    logits = network(x)
                    loss = cross_entropy(logits.float(), y, label_smoothing=recipe.label_smoothing)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

                done += 1
                loss_sum += loss.detach()
                correct += (logits.detach().argmax(1) == y).sum()
                bar.update(batch_size)
                now = time.monotonic()
                if now - clock > 1 or step + 1 == steps_per_epoch:  # reading the loss waits for the GPU: rarely
                    run.seconds += now - clock
                    clock = now
                    seen = step + 1
                    if not math.isfinite(loss_sum.item()):
                        raise TrainingError(diverged(run, done, steps_per_epoch, folder))
                    bar.set_postfix(loss=f"{loss_sum.item() / seen:.3f}", acc=f"{correct.item() / seen / share:.1%}")
                    if now - saved > SAVE_EVERY and step + 1 < steps_per_epoch:
                        save()
                        saved = time.monotonic()

            totals = accelerator.reduce(torch.stack([loss_sum, correct.to(loss_sum.dtype)]), "sum").tolist()
            row = {
                "epoch": epoch + 1,
                "loss": totals[0] / steps_per_epoch / accelerator.num_processes,
                "accuracy": totals[1] / steps_per_epoch / (share * accelerator.num_processes),
                "rate": learning_rate(recipe, (done - 1) / total_steps),
                "seconds": run.seconds - sum(r["seconds"] for r in run.history),
            }
            row["images_per_second"] = steps_per_epoch * batch_size / row["seconds"]
            if validation is not None:
                row["validation_accuracy"] = evaluate(model, *validation, precision=precision, cpu=cpu).accuracy
            run.history.append(row)
            loss_sum.zero_()
            correct.zero_()
            save()
            saved = clock = time.monotonic()
            if on_epoch is not None and accelerator.is_main_process:
                on_epoch(run.history)
        accelerator.wait_for_everyone()  # the last checkpoint is on the disk before any process goes on
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not any(w in str(error) for w in OUT_OF_MEMORY):
            raise
        raise TrainingError(
            f"out of memory on {run.device} with {share} images a step. Take a smaller batch size"
            f" (and a peak rate smaller by the same factor) or a narrower network.{kept(folder)}"
        ) from error
    finally:
        bar.close()
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


def describe_run(run: Run, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """What must be the same for a checkpoint to be continued."""
    data = 0
    for values in (images, labels):
        data = zlib.crc32(values.cpu().contiguous().numpy().data, data)
    settings = {key: getattr(run, key) for key in ("seed", "precision", "device", "processes")}
    return {**dataclasses.asdict(run.recipe), **settings, "images": len(images), "data": f"{data:08x}"}


def resume(
    folder: str | Path | None, model: nn.Module, optimizer: torch.optim.Optimizer, config: dict[str, Any]
) -> dict[str, Any]:
    """The state to start from: that of the checkpoint in `folder`, else a fresh one."""
    if folder is None or (found := checkpoint.read(Path(folder))) is None:
        return {"done": 0, "loss_sum": 0.0, "correct": 0, "history": [], "seconds": 0.0, "scaler": {}}
    state, tensors = found
    changed = {k for k in config | state["config"] if config.get(k) != state["config"].get(k)}
    if changed:
        was = ", ".join(f"{k} = {state['config'].get(k)} (now {config.get(k)})" for k in sorted(changed))
        raise checkpoint.CheckpointError(
            f"the run in {folder} had {was}. Give the same settings to go on, or another folder to start anew."
        )
    checkpoint.restore(Path(folder), tensors, model, optimizer)
    return state


def progress_bar(shown: bool, total_steps: int, batch_size: int, done: int) -> Any:
    """A tqdm bar that counts images, so that its rate is images a second."""
    from tqdm.auto import tqdm

    # TQDM_DISABLE does not reach a bar in a notebook by itself; None hides the bar where there is no terminal
    hidden = not shown or os.environ.get("TQDM_DISABLE", "0") not in ("", "0")
    return tqdm(
        total=total_steps * batch_size,
        initial=done * batch_size,
        unit="img",
        disable=True if hidden else None,
        leave=False,
    )


def diverged(run: Run, done: int, steps_per_epoch: int, folder: str | Path | None) -> str:
    return (
        f"the loss is no longer a number in epoch {(done - 1) // steps_per_epoch + 1}. "
        f"Lower the peak rate ({run.recipe.peak_rate}) or lengthen the warm-up ({run.recipe.warmup}).{kept(folder)}"
    )


def kept(folder: str | Path | None) -> str:
    written = folder is not None and (Path(folder) / checkpoint.NAME).exists()
    return f" The last good checkpoint is in {folder}." if written else ""
