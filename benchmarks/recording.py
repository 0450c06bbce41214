"""What recording the gates costs beside evaluating: one pass over the same images with and without it.

    python benchmarks/recording.py            # half a minute on an idle core; writes runs/bench/recording.json

The shipped quarter-width network on test images of CIFAR-10. Both take turns, on a CPU one thread computes and its own
time is counted; the record has the medians and their ratio.
"""

from __future__ import annotations

import time

import torch

import senet_edu as se
from senet_edu import cost, results
from senet_edu.data import CIFAR10_CLASSES, cifar10_source
from senet_edu.training import best_device, best_precision, predict

WEIGHTS = "se_resnet18-quarter"
REPEATS = 11


def main() -> None:
    started, device = results.now(), best_device()
    torch.set_num_threads(1)
    count = 2_000 if device.type == "cpu" else 10_000
    images, labels = (t[:count] for t in se.load_cifar10(split="test"))
    model = results.load_network(WEIGHTS)
    steps = {
        "evaluate": lambda: predict(model, images),
        "record": lambda: se.record_excitations(model, images, labels, classes=CIFAR10_CLASSES),
    }
    seconds = cost.median_seconds(steps, REPEATS, time.process_time if device.type == "cpu" else time.perf_counter)
    record = {
        "name": "recording",
        "weights": WEIGHTS,
        "data": cifar10_source().description,
        "images": count,
        "precision": best_precision(device),
        "device": device.type,
        "repeats": REPEATS,
        "evaluate_seconds": seconds["evaluate"],
        "record_seconds": seconds["record"],
        "overhead": seconds["record"] / seconds["evaluate"] - 1,
    }
    results.write_record(record | results.circumstances(started), "runs/bench/recording.json")
    evaluating, recording = (f"{seconds[name]:.2f} s" for name in steps)
    print(f"{count:,} images: evaluating {evaluating}, with every gate {recording}: {record['overhead']:+.1%}")


if __name__ == "__main__":
    main()
