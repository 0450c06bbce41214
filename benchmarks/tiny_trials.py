"""A harder task: SE-ResNet-18 against ResNet-18 on twenty classes of Tiny-ImageNet, quarter width, several seeds.

    python benchmarks/tiny_trials.py se:0 plain:0 se:1 …   # NAME:SEED; writes runs/tiny-trials/NAME-seedSEED/
    python benchmarks/tiny_trials.py ship                  # takes records and weights of seed 0 into the package

sk is SK-ResNet-18, for `sk_sizes.py`; mobilenet is torchvision's small MobileNetV3 as it comes, full width: it trains
for more epochs, and in float32, which for depthwise convolutions is three times as fast on a CPU as bfloat16.

10,000 images at 64×64 for training, 1,000 to score on. The recipe is the default one with half the batch and half the
rate, more epochs, and a wider shift for wider images. It was not tuned. Two trials at once, each with
OMP_NUM_THREADS=1, are the best use of two cores.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import torch
import trials

import senet_edu as se
from senet_edu.data import TINY_IMAGENET_CLASSES, load_tiny_imagenet, tiny_imagenet_source
from senet_edu.models import NamedNetwork
from senet_edu.training.machine import Precision

OUT = Path("runs/tiny-trials")
TASK = trials.Task(load_tiny_imagenet, TINY_IMAGENET_CLASSES, tiny_imagenet_source)
RECIPE = se.Recipe(epochs=15, batch_size=64, peak_rate=0.1, translate=8)
NETWORKS: dict[str, dict[str, Any]] = {
    "se": {"name": "se_resnet18", "width": 0.25, "min_hidden": 4},
    "plain": {"name": "resnet18", "width": 0.25},
    "sk": {"name": "sk_resnet18", "width": 0.25},
    "mobilenet": {"name": "mobilenet_v3_small"},
}
# Where they are not those of the recipe, and of the machine
EPOCHS = {"mobilenet": 30}
PRECISION: dict[str, Precision] = {"mobilenet": "no"}
PUBLISHED = {
    "se_resnet18-quarter-tiny-imagenet": "se-seed0",
    "sk_resnet18-quarter-tiny-imagenet": "sk-seed0",
    "mobilenet_v3_small-tiny-imagenet": "mobilenet-seed0",
}


def build(name: str, seed: int) -> NamedNetwork:
    """The network of a trial before training."""
    torch.manual_seed(seed)
    return se.create_model(**NETWORKS[name], num_classes=len(TINY_IMAGENET_CLASSES))


def run(name: str, seed: int) -> None:
    """One trial, from its network to its record."""
    folder = OUT / f"{name}-seed{seed}"
    if trials.measured(folder):
        return
    model = build(name, seed)
    recipe = dataclasses.replace(RECIPE, epochs=EPOCHS.get(name, RECIPE.epochs))
    record = TASK.train(folder, model, recipe, name, seed, PRECISION.get(name))
    trials.record_gates(model, build(name, seed), record | {"classes": TASK.classes}, TASK, folder)


def ship() -> None:
    """Copy records, their comparison, and PUBLISHED weights into the package."""
    records, about = trials.ship_runs(OUT, PUBLISHED)
    trials.ship_pairs("tiny-imagenet-pairs", records, "plain", "se", about)


if __name__ == "__main__":
    trials.main(__doc__, sys.argv[1:], NETWORKS, run, ship)
