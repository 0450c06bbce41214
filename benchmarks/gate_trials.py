"""What makes the gates move? Quarter-width SE-ResNet-18, one thing changed at a time, several seeds.

    python benchmarks/gate_trials.py base:0 base:1 all-decayed:0 …      # NAME:SEED; writes runs/trials/NAME-seedSEED/

    python benchmarks/gate_trials.py ship                           # copies the records into the package

A trial that is done is left alone, one that was stopped goes on. Each writes a record: accuracy, and for every block
how far a gate moves over the test images and what is left of the norms of W₁ and W₂. Two trials at once, each with
OMP_NUM_THREADS=1, are the best use of two cores. `senet_edu.results` has the records of the last run.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import trials
from torch import nn
from trials import CIFAR10

import senet_edu as se
from senet_edu import results
from senet_edu.blocks import SEBlock
from senet_edu.models import NamedNetwork, se_blocks

NETWORK: dict[str, Any] = {"name": "se_resnet18", "width": 0.25, "reduction": 16, "min_hidden": 4}
OUT = Path("runs/trials")
PUBLISHED = {"se_resnet18-quarter": "base-seed0", "resnet18-quarter": "plain-seed0"}
PAIRS = {
    "quarter-pairs": ("plain", "base"),
    "quarter-pairs-norms-decayed": ("plain-norms-decayed", "norms-decayed"),
}
SHOWN = {"all-decayed": "all-decayed-seed0"}  # gates without weights: chapter 05 shows them dead


def torch_init(block: SEBlock) -> None:
    """PyTorch's own start: W₁ and W₂ 2.4 and 1.7 times smaller than ours, and biases that are not zero."""
    block.fc1.reset_parameters()
    block.fc2.reset_parameters()


def normalise_z(block: SEBlock) -> None:
    """Give each channel of z mean 0 and variance 1 over the batch before W₁ sees it."""
    pool, block.norm = block.pool, nn.BatchNorm1d(block.channels, affine=False)
    block.pool = lambda u: block.norm(pool(u))  # type: ignore[method-assign, operator]


@dataclasses.dataclass(frozen=True)
class Trial:
    """What differs from the base: in words, in arguments of `create_model`, in the recipe, and in each block."""

    what: str
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
    change: Callable[[SEBlock], None] | None = None


PLAIN = {"name": "resnet18"}
DECAYED = {"decay_norms": True}

TRIALS = {
    "base": Trial("the recipe of the shipped networks"),
    "plain": Trial("no SE", model=PLAIN),
    "se-decayed": Trial("weight decay on the SE layers", recipe={"se_weight_decay": 5e-4}),
    "norms-decayed": Trial("weight decay on gains and biases", recipe=DECAYED),
    "plain-norms-decayed": Trial("no SE, weight decay on gains and biases", model=PLAIN, recipe=DECAYED),
    "all-decayed": Trial("weight decay on everything", recipe={"se_weight_decay": 5e-4, **DECAYED}),
    "light": Trial("weight decay 2e-4", recipe={"weight_decay": 2e-4}),
    "fast-gates": Trial("SE layers at 4 times the rate", recipe={"se_rate": 4.0}),
    "slow-gates": Trial("SE layers at a quarter of the rate", recipe={"se_rate": 0.25}),
    "torch-init": Trial("PyTorch's initialisation of W1 and W2", change=torch_init),
    "normalised-z": Trial("z normalised before W1", change=normalise_z),
    "no-bias": Trial("no biases in the SE layers", model={"bias": False}),
    "no-floor": Trial("no floor on the hidden width (1 to 8 units)", model={"min_hidden": 1}),
    "r2": Trial("r = 2", model={"reduction": 2}),
    "r4": Trial("r = 4", model={"reduction": 4}),
    "r8": Trial("r = 8", model={"reduction": 8}),
    "long": Trial("16 epochs", recipe={"epochs": 16}),
    "half-width": Trial("half of all channels, not a quarter", model={"width": 0.5}),
}


def build(trial: Trial, seed: int) -> NamedNetwork:
    """The network of a trial before training."""
    torch.manual_seed(seed)
    model = se.create_model(**NETWORK | trial.model)
    if trial.change is not None:
        for block in se_blocks(model).values():
            trial.change(block)
    return model


def run(name: str, seed: int) -> None:
    """One trial, from its network to its record."""
    trial, folder = TRIALS[name], OUT / f"{name}-seed{seed}"
    if trials.measured(folder):
        return
    model = build(trial, seed)
    record = CIFAR10.train(folder, model, se.Recipe(**trial.recipe), name, seed)
    trials.record_gates(model, build(trial, seed), record, CIFAR10, folder)


def ship() -> None:
    """Copy the records of finished trials into the package, with their summary, the pairs, and PUBLISHED weights."""
    records, about = trials.ship_runs(OUT, PUBLISHED, {name: trial.what for name, trial in TRIALS.items()})
    summary = results.summarise_trials("gate-trials", "base", records)
    results.write_record(summary | about, results.RECORDS / "gate-trials.json")
    for name, (plain, with_se) in PAIRS.items():
        trials.ship_pairs(name, records, plain, with_se, about)
    for name, trial in SHOWN.items():
        if (found := OUT / trial / "excitations.safetensors").exists():
            shutil.copyfile(found, results.EXCITATIONS / f"{name}.safetensors")


if __name__ == "__main__":
    trials.main(__doc__, sys.argv[1:], TRIALS, run, ship)
