"""What recording the gates costs beside evaluating: one pass over the same images with and without it.

    python benchmarks/recording.py            # minutes on an idle core; writes runs/bench/recording.json

The shipped networks on test images of CIFAR-10. Both take turns, on a CPU one thread computes and its own time is
counted; the record has the medians and their ratio.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

import senet_edu as se
from senet_edu import cost, results
from senet_edu.data import CIFAR10_CLASSES, cifar10_source
from senet_edu.training import best_device, best_precision, predict

WEIGHTS = ("se_resnet18", "se_resnet18-quarter")
REPEATS = 11


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    started, device = results.now(), best_device()
    torch.set_num_threads(1)
    count = 1_000 if device.type == "cpu" else 10_000
    images, labels = (t[:count] for t in se.load_cifar10(split="test"))
    record: dict[str, Any] = {
        "name": "recording",
        "data": cifar10_source().description,
        "images": count,
        "repeats": REPEATS,
    }
    record |= {"precision": best_precision(device), "device": device.type}
    for name in WEIGHTS:
        model = results.load_network(name).to(device)
        steps: dict[str, Callable[[], object]] = {
            "evaluate": partial(predict, model, images),
            "record": partial(se.record_excitations, model, images, labels, classes=CIFAR10_CLASSES),
        }
        clock = time.process_time if device.type == "cpu" else time.perf_counter
        seconds = cost.median_seconds(steps, REPEATS, clock)
        record[name] = seconds | {"overhead": seconds["record"] / seconds["evaluate"] - 1}
        evaluating, recording = (f"{seconds[step]:.2f} s" for step in steps)
        print(f"{name}, {count:,} images: {evaluating}, with every gate {recording}: {record[name]['overhead']:+.1%}")
    results.write_record(record | results.circumstances(started), "runs/bench/recording.json")


if __name__ == "__main__":
    main()
