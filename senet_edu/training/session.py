"""What a run keeps beside the weights: where it stands, its running loss, its progress bar, its checkpoints."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from senet_edu.data import DataError, Images
from senet_edu.training import checkpoint
from senet_edu.training.machine import Precision
from senet_edu.training.recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator

SAVE_EVERY = 30.0  # seconds between two checkpoints within an epoch


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why, what to do, and where the last good checkpoint is."""


@dataclass
class Run:
    """What `fit` did.

    Attributes:
        recipe, seed, precision: as trained.
        device: "cpu", "cuda" or "mps".
        processes: number of processes that shared each batch.
        compiled: the network went through torch.compile.
        started_from: what the weights were before, see `fit`.
        history: one row an epoch: epoch, loss and accuracy on the augmented training images, learning rate, seconds,
            images a second, and validation_accuracy if there were validation images. Accuracies are shares, 0 to 1.
        seconds: time spent training, over all sittings.
        started: when the first sitting began (UTC, ISO 8601).
    """

    recipe: Recipe
    seed: int
    precision: Precision
    device: str
    processes: int
    compiled: bool = False
    started_from: str = ""
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


class Session:
    """Goes with the loop: counts its steps, watches the loss, shows progress and keeps checkpoints.

    On opening it continues from the checkpoint, if there is one: weights, momentum, scaler and random states are put
    back, and `done` says how many steps are behind.

    Args:
        run: what is being done; its history and seconds are kept up.
        model, optimizer: on their device, not yet prepared by Accelerate.
        accelerator: whose main process writes and shows.
        folder: of the checkpoints, or None.
        found: the checkpoint there, as `checkpoint.read` returned it.
        data: what the images and labels are, see `checksum`.
        steps: steps an epoch.
        share: images of each batch that this process gets.
        shown: show the progress bar.

    Raises:
        CheckpointError: the checkpoint is of a run with other settings.
    """

    def __init__(
        self,
        run: Run,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        accelerator: Accelerator,
        folder: str | Path | None,
        found: checkpoint.Found | None,
        data: str,
        steps: int,
        share: int,
        shown: bool,
    ) -> None:
        self.run, self.model, self.optimizer, self.accelerator = run, model, optimizer, accelerator
        self.folder = Path(folder) if folder is not None else None
        self.steps, self.share = steps, share
        settings = {key: getattr(run, key) for key in ("seed", "precision", "processes", "started_from")}
        own = getattr(model, "config", None)  # that of create_model; somebody else's network may have another kind
        network = {f"network.{key}": value for key, value in own.items()} if isinstance(own, dict) else {}
        self.config = {**dataclasses.asdict(run.recipe), **settings, **network, "data": data}

        state = self.resume(found)
        self.done: int = state["done"]
        run.history, run.seconds, run.started = state["history"], state["seconds"], state["started"]
        self.wide = torch.float32 if run.device == "mps" else torch.float64
        sums = state["loss_sum"], state["correct"]  # of the epoch so far, over all processes
        self.sums = torch.tensor(sums, dtype=self.wide, device=accelerator.device)
        batch_size = share * run.processes
        self.bar = progress_bar(
            shown and accelerator.is_main_process, run.recipe.epochs * steps * batch_size, self.done * batch_size
        )
        self.saved = time.monotonic()
        self.start_clock()

    def start_clock(self) -> None:
        """The seconds of training count from here."""
        self.clock = time.monotonic()

    def resume(self, found: checkpoint.Found | None) -> dict[str, Any]:
        """The state to start from: that of the checkpoint, whose weights are put back, else a fresh one."""
        if self.folder is None or found is None:
            fresh = {"done": 0, "loss_sum": 0.0, "correct": 0, "history": [], "seconds": 0.0, "scaler": {}}
            return fresh | {"started": self.run.started}
        state, tensors = found
        now = json.loads(json.dumps(self.config))  # as a checkpoint holds it
        # Settings that a checkpoint may not know yet: a recipe's had their defaults, a network's were not written down
        younger = dataclasses.asdict(Recipe()) | {"started_from": ""}
        younger |= {key: value for key, value in now.items() if key.startswith("network.")}
        was = younger | state["config"]
        if changed := sorted(key for key in was | now if was.get(key) != now.get(key)):
            differences = ", ".join(f"{key} = {was.get(key)} (now {now.get(key)})" for key in changed)
            raise checkpoint.CheckpointError(
                f"the run in {self.folder} had {differences}. "
                "Give the same settings to go on, or another folder to start anew."
            )
        checkpoint.restore(self.folder, tensors, self.model, self.optimizer)
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        return state

    def step_done(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a step. About once a second look at the loss, which waits for a GPU; now and then save."""
        self.done += 1
        correct = (logits.detach().argmax(1) == labels).sum()
        sums = torch.stack([loss.detach().to(self.wide), correct.to(self.wide)])
        self.sums += self.accelerator.reduce(sums, "sum") if self.run.processes > 1 else sums
        self.bar.update(self.share * self.run.processes)
        behind = self.done % self.steps
        if time.monotonic() - self.clock < 1 and behind:
            return
        loss_sum, correct = self.sums.tolist()  # waits for a GPU: part of the time
        now = time.monotonic()
        self.run.seconds += now - self.clock
        self.clock = now
        if not math.isfinite(loss_sum):
            raise self.diverged()
        shares = (behind or self.steps) * self.run.processes
        self.bar.set_postfix(loss=f"{loss_sum / shares:.3f}", acc=f"{correct / (shares * self.share):.1%}")
        if now - self.saved > SAVE_EVERY and behind:
            self.save()

    def epoch_done(self, rate: float, validation_accuracy: float | None) -> None:
        """Add the epoch's row to the history and save."""
        loss_sum, correct = self.sums.tolist()
        images = self.steps * self.share * self.run.processes
        seconds = self.run.seconds - sum(row["seconds"] for row in self.run.history)
        row = {
            "epoch": self.done // self.steps,
            "loss": loss_sum / (self.steps * self.run.processes),
            "accuracy": correct / images,
            "rate": rate,
            "seconds": seconds,
            "images_per_second": images / max(seconds, 1e-9),
        }
        if validation_accuracy is not None:
            row["validation_accuracy"] = validation_accuracy
        self.run.history.append(row)
        self.sums.zero_()
        self.save()

    def save(self) -> None:
        """Write a checkpoint, but never one with weights that are no numbers."""
        if not all(value.isfinite().all() for value in self.model.state_dict().values()):
            raise self.diverged()
        if self.folder is not None and self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            loss_sum, correct = self.sums.tolist()
            state = {
                "config": self.config,
                "done": self.done,
                "loss_sum": loss_sum,
                "correct": int(correct),
                "history": self.run.history,
                "seconds": self.run.seconds,
                "started": self.run.started,
                "scaler": scaler.state_dict() if scaler is not None else {},
            }
            checkpoint.save(self.folder, self.model, self.optimizer, state)
        self.saved = time.monotonic()
        self.start_clock()

    def diverged(self) -> TrainingError:
        recipe = self.run.recipe
        return TrainingError(
            f"the loss is no longer a number in epoch {(self.done - 1) // self.steps + 1}. Lower the peak rate "
            f"({recipe.peak_rate}) or lengthen the warm-up ({recipe.warmup}){elsewhere(self.folder)}."
            f"{kept(self.folder)}"
        )


# What PyTorch says on the CPU and from libraries on the GPU, where it raises no OutOfMemoryError
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
# What it says between processes, where it raises no DistError
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")


def explanation(error: RuntimeError, run: Run, folder: Path | None) -> str | None:
    """What happened and what to do, for errors of PyTorch that do not say it; None for all others."""
    text = str(error)
    if isinstance(error, (TrainingError, checkpoint.CheckpointError, DataError)):
        return None
    if isinstance(error, torch.OutOfMemoryError) or any(words in text for words in OUT_OF_MEMORY):
        images = run.recipe.batch_size // run.processes
        return (
            f"out of memory on {run.device} with {images} images a step. Take a smaller batch size (and a "
            f"peak rate smaller by the same factor) or a narrower network{elsewhere(folder)}.{kept(folder)}"
        )
    if run.processes > 1 and (
        isinstance(error, getattr(torch.distributed, "DistError", ())) or any(words in text for words in LOST)
    ):
        return f"another process of this run has ended; its own message says why.{kept(folder)} {GO_ON}"
    if "DataLoader worker" in text:
        return f"a process that reads images has ended ({text}), perhaps for lack of memory.{kept(folder)} {GO_ON}"
    return None


GO_ON = "The same command goes on from there."


def elsewhere(folder: Path | None) -> str:
    """Other settings make another run, which a folder with a checkpoint refuses."""
    return ", in another folder" if kept(folder) else ""


def kept(folder: Path | None) -> str:
    """Where the last good checkpoint is, if there is one."""
    there = folder is not None and (folder / checkpoint.NAME).exists()
    return f" The last good checkpoint is in {folder}." if there else ""


def checksum(images: Images, labels: Tensor) -> str:
    """How many, and the CRC-32 of both in hex: a run continues on the images it began with."""
    crc = crc_of(images) if isinstance(images, Tensor) else images.checksum()
    return f"{len(images)} images, {crc_of(labels, crc):08x}"


def crc_of(values: Tensor, crc: int = 0) -> int:
    return zlib.crc32(values.cpu().contiguous().numpy().data, crc)


def progress_bar(shown: bool, total: int, done: int) -> Any:
    """A tqdm bar that counts images, so that its rate is images a second."""
    from tqdm.auto import tqdm

    # TQDM_DISABLE does not reach a bar in a notebook by itself; None hides the bar where there is no terminal
    hidden = not shown or os.environ.get("TQDM_DISABLE", "0") not in ("", "0")
    return tqdm(total=total, initial=done, unit="img", disable=True if hidden else None, leave=False)
