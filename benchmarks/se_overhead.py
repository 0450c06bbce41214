"""What SE costs in time: ResNet-18 with and without SE, forward, and forward and backward, on this machine.

    python benchmarks/se_overhead.py          # a minute on an idle core; writes runs/bench/se_overhead.json

Two widths in float32: the narrower a network, the fewer multiply-adds its convolutions do for each byte, and the more
the bytes of SE count. The networks take turns; a record has the median of each and the ratio of the medians. On a CPU
one thread computes, its own time is counted, and freed memory is kept, so that neither other programs nor the asking
for memory counts as SE.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import senet_edu as se
from senet_edu import cost, results
from senet_edu.training.machine import keep_freed_memory

NAME = "se-overhead"
BATCH = {"full": 16, "quarter": 64}
ON_GPU = 1_024  # images: with few of them a GPU's time is that of starting its programs
WIDTH = {"full": 1.0, "quarter": 0.25}
REPEATS = 21


def forward(model: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        model.eval()(images)


def forward_and_backward(model: nn.Module, images: Tensor) -> None:
    model.train()(images).logsumexp(1).mean().backward()
    model.zero_grad()


def measure(width: float, batch: int, device: torch.device) -> dict[str, Any]:
    """Median milliseconds a batch of both networks, and by what share SE adds to time, bytes and multiply-adds."""
    torch.manual_seed(0)
    models = {name: se.create_model(name, width=width).to(device) for name in ("resnet18", "se_resnet18")}
    images = torch.randn(batch, 3, 32, 32, device=device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    found: dict[str, Any] = {"width": width, "batch": batch}
    for what, step in {"forward": forward, "forward_and_backward": forward_and_backward}.items():
        steps = {name: partial(step, model, images) for name, model in models.items()}
        seconds = cost.median_seconds(steps, REPEATS, clock)
        plain, with_se = (1000 * seconds[name] for name in models)
        found[what] = {"plain_ms": plain, "se_ms": with_se, "overhead": with_se / plain - 1}
    plain, with_se = (sum(cost.memory_traffic(model).values()) for model in models.values())
    found["bytes_overhead"] = with_se / plain - 1
    plain, with_se = (cost.multiply_adds(model) for model in models.values())
    found["multiply_adds_overhead"] = with_se / plain - 1
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    started, device = results.now(), se.training.best_device()
    torch.set_num_threads(1)
    keep_freed_memory()  # which of two networks asks for fresh pages depends on what ran before
    record: dict[str, Any] = {
        "name": NAME,
        "data": "random numbers in the shape of CIFAR-10's images, float32",
        "device": device.type,
        "threads": torch.get_num_threads(),
        "repeats": REPEATS,
    }
    for name in WIDTH:
        record[name] = measure(WIDTH[name], BATCH[name] if device.type == "cpu" else ON_GPU, device)
        for what in ("forward", "forward_and_backward"):
            row = record[name][what]
            print(
                f"{name:8} {what:21} {row['plain_ms']:6.1f} ms, with SE {row['se_ms']:6.1f} ms: {row['overhead']:+.1%}"
            )
    results.write_record(record | results.circumstances(started), "runs/bench/se_overhead.json")


if __name__ == "__main__":
    main()
