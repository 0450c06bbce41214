"""Several processes that train one network together, started by `torchrun` or `accelerate launch`.

Without a launcher there is one process, and nothing here does anything. With one, every process must call the
functions that share work (`fit`, `evaluate`, `record_excitations`), or the others wait for it in vain.
"""

from __future__ import annotations

import os
from typing import TypeVar

from torch import nn

T = TypeVar("T")


def number() -> tuple[int, int]:
    """Number of this process, from 0, and how many the launcher started, on all machines together."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """This is the process that writes files and talks."""
    return number()[0] == 0


def share(n: int) -> slice:
    """The part of `n` images that is this process's to look at; all parts together are all images, once each.

    Raises:
        ValueError: fewer images than processes.
    """
    index, count = number()
    if n < count:
        raise ValueError(f"{count} processes cannot share {n} images")
    return slice(n * index // count, n * (index + 1) // count)


def everyone(value: T, cpu: bool = False) -> list[T]:
    """What each process gave, in the order of their numbers. `cpu` as in `fit`."""
    values = [value] * number()[1]
    if len(values) > 1:
        join(cpu)
        import torch.distributed as dist

        dist.all_gather_object(values, value)
    return values


def from_main(value: T, cpu: bool = False) -> T:
    """What the main process gave; what the others gave is forgotten."""
    values = [value]
    if number()[1] > 1:
        join(cpu)
        import torch.distributed as dist

        dist.broadcast_object_list(values, src=0)
    return values[0]


def same_buffers(model: nn.Module) -> None:
    """Give every process the main one's running statistics: after the last step each has some of its own."""
    if number()[1] > 1:
        import torch.distributed as dist

        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


def join(cpu: bool) -> None:
    """Connect the processes, if they are not yet, the way Accelerate does: NCCL between GPUs, Gloo between CPUs."""
    from accelerate import PartialState

    PartialState(cpu=cpu)
