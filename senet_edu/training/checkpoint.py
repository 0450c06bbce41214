"""Checkpoints: one safetensors file, replaced atomically, verified when it is read. No pickle, so safe to load."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from senet_edu.files import write_atomically

NAME = "checkpoint.safetensors"
LOCK = "checkpoint.lock"
Found = tuple[dict[str, Any], dict[str, Tensor]]  # what `read` returns: the state, and the tensors


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; the message names the file and says what to do."""


@contextmanager
def alone_in(folder: Path | None) -> Iterator[None]:
    """Keep other runs out of the folder. The system frees its lock when the process ends, even by `kill -9`.

    A folder that takes no lock (read-only, a full disk, some network drives) is used without one, with a warning.

    Raises:
        CheckpointError: another process trains there.
    """
    if folder is None:
        yield
        return
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CheckpointError(
            f"another process is training in {folder}. Wait for it, stop it, or take another folder. "
            f"(If there is none any more, delete {folder / LOCK}.)"
        ) from error
    except (OSError, NotImplementedError) as error:
        if folder.is_dir():  # where there is no folder, the first checkpoint will say so
            warnings.warn(f"{folder} takes no lock ({error}): do not start a second run there", stacklevel=3)
    try:
        yield
    finally:
        lock.release()


def save(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Write all that a run needs to go on, in place of the last checkpoint; that one stays until the new one is whole.

    A disk that would not take it is a warning: the run goes on.

    Args:
        folder: the run's folder.
        model, optimizer: as they stand between two steps.
        state: what else the run keeps, as JSON can hold it.
    """
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    for i, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{slot}": v for slot, v in slots.items() if isinstance(v, Tensor)}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_initialized():  # not that of a GPU that this run leaves alone
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    # Copies: safetensors takes no tensors that share memory, as tied weights do
    tensors = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}
    header = {"state": json.dumps(state), "sha256": digest(tensors, state)}
    try:
        write_atomically(folder / NAME, lambda path: save_file(tensors, path, metadata=header))
    except OSError as error:
        warnings.warn(
            f"could not write a checkpoint in {folder} ({error}). Training goes on; "
            "the last checkpoint is untouched. Make room on the disk.",
            stacklevel=2,
        )


def read(folder: Path | None) -> Found | None:
    """The last checkpoint: the `state` given to `save`, and the tensors for `restore`. None if there is no checkpoint.

    To be called within `alone_in`.

    Raises:
        CheckpointError: the file is damaged.
    """
    if folder is None:
        return None
    path = folder / NAME
    for leftover in folder.glob(f".{NAME}-*"):  # a run was killed while it wrote
        leftover.unlink(missing_ok=True)
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        state = json.loads(header["state"])
        intact = header["sha256"] == digest(tensors, state)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it to start this run anew") from error
    if not intact:
        raise CheckpointError(f"{path} was altered after it was written; delete it to start this run anew")
    return state, tensors


def restore(folder: Path, tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put the tensors of a checkpoint into the model, the optimiser and the random generators.

    Raises:
        CheckpointError: they are of another network; the model is then as it was.
    """
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    if differing := shapes.items() ^ {(k, v.shape) for k, v in weights.items()}:
        names = ", ".join(sorted({k for k, _ in differing})[:3])
        raise CheckpointError(f"{folder / NAME} holds another network (see {names}); take another folder")
    model.load_state_dict(weights)
    restored = optimizer.state_dict()
    restored["state"] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, i, slot = key.split(".")
            restored["state"].setdefault(int(i), {})[slot] = value
    optimizer.load_state_dict(restored)
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(tensors["random.cuda"])


def digest(tensors: dict[str, Tensor], state: dict[str, Any]) -> str:
    """SHA-256 of every tensor's name, shape, type and bytes, and of the state."""
    sha = hashlib.sha256(json.dumps(state, sort_keys=True).encode())
    for key in sorted(tensors):
        value = tensors[key]
        sha.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        sha.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
