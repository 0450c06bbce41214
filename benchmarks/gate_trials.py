"""What makes the gates move? Quarter-width SE-ResNet-18, one thing changed at a time, several seeds.

    python benchmarks/gate_trials.py base:0 base:1 all-decayed:0 …      # NAME:SEED; writes runs/trials/NAME-seedSEED/

    python benchmarks/gate_trials.py ship                           # copies the records into the package

A trial that is done is left alone, one that was stopped goes on. Each writes a record: accuracy, and for every block
how far a gate moves over the test images and what is left of the norms of W₁ and W₂. Two trials at once, each with
OMP_NUM_THREADS=1, are the best use of two cores. `senet_edu.results` has the records of the last run.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import senet_edu as se
from senet_edu import results
from senet_edu.blocks import SEBlock
from senet_edu.data import CIFAR10_CLASSES, cifar10_source
from senet_edu.models import se_blocks

NETWORK = {"name": "se_resnet18", "width": 0.25, "reduction": 16, "min_hidden": 4}
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
    block.pool = lambda u: block.norm(pool(u))  # type: ignore[method-assign]


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
    "plain-norms-decayed": Trial("the same without SE", model=PLAIN, recipe=DECAYED),
    "all-decayed": Trial("weight decay on everything", recipe={"se_weight_decay": 5e-4, **DECAYED}),
    "norms-decayed-light": Trial(
        "weight decay 2e-4, also on gains and biases", recipe={"weight_decay": 2e-4, **DECAYED}
    ),
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


def build(trial: Trial, seed: int) -> nn.Module:
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
    path = folder / "record.json"
    if path.exists() and "trial" in json.loads(path.read_text()):
        return
    model = build(trial, seed)
    record = results.train_recorded(
        folder,
        model,
        se.load_cifar10(split="train"),
        se.load_cifar10(split="test"),
        dataclasses.replace(se.Recipe(), **trial.recipe),
        config=model.config,
        data=cifar10_source().description,
        seed=seed,
        compiled=True,
    )
    measure(name, model, record, folder)


def measure(name: str, model: nn.Module, record: dict[str, Any], folder: Path) -> None:
    """Add to a trained network's record what its gates do and what is left of their weights."""
    record |= {"name": f"trials/{folder.name}", "trial": name}
    blocks, fresh = se_blocks(model), se_blocks(build(TRIALS[name], record["seed"]))
    if blocks:
        found = se.record_excitations(model, *se.load_cifar10(split="test"), classes=CIFAR10_CLASSES, precision="no")
        for row in found.summary():
            block, before = blocks[str(row["block"])], fresh[str(row["block"])]
            row["w1_norm_kept"] = (block.fc1.weight.norm() / before.fc1.weight.norm()).item()
            row["w2_norm_kept"] = (block.fc2.weight.norm() / before.fc2.weight.norm()).item()
            record[block.name] = {key: row[key] for key in row if key != "block"}
        found.save(folder / "excitations.safetensors")
    results.write_record(record, folder / "record.json")
    moved = " ".join(f"{record[k]['movement']:.3f}" for k in blocks)
    print(f"{name:16} seed {record['seed']}  {record['accuracy']:.2%}  movement {moved}", flush=True)


def ship() -> None:
    """Copy the records of finished trials into the package, with their summary, the pairs, and PUBLISHED weights."""
    records = [json.loads(path.read_text()) for path in sorted(OUT.glob("*/record.json"))]
    records = [record | {"what": TRIALS[record["trial"]].what} for record in records if "trial" in record]
    about = {"data": records[0]["data"], **results.circumstances(results.now())}
    for record in records:
        results.write_record(record, results.RECORDS / f"{record['name']}.json")
    summary = results.summarise_trials("gate-trials", "base", records)
    results.write_record(summary | about, results.RECORDS / "gate-trials.json")
    for name, trials in PAIRS.items():
        plain, with_se = ({r["seed"]: r["name"] for r in records if r["trial"] == trial} for trial in trials)
        both = sorted(plain.keys() & with_se.keys())
        if len(both) > 1:
            pairs = results.compare(name, [plain[seed] for seed in both], [with_se[seed] for seed in both])
            results.write_record(about | pairs, results.RECORDS / f"{name}.json")
    for name, trial in PUBLISHED.items():
        if (OUT / trial / "record.json").exists():
            publish(name, OUT / trial)
    for name, trial in (PUBLISHED | SHOWN).items():
        if (found := OUT / trial / "excitations.safetensors").exists():
            shutil.copyfile(found, results.EXCITATIONS / f"{name}.safetensors")


def publish(name: str, folder: Path) -> None:
    """Make a trial's network the shipped weights `name`: weights, record, model card."""
    record = json.loads((folder / "record.json").read_text())
    model = results.load_run(folder)
    checksum = results.save_weights(model, results.WEIGHTS / f"{name}.safetensors", {"record": name})
    results.write_record(record | {"name": name, "weights_sha256": checksum}, results.RECORDS / f"{name}.json")
    (results.WEIGHTS / f"{name}.md").write_text(results.model_card(name), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["ship"]:
        ship()
        sys.exit()
    for argument in sys.argv[1:]:
        trial_name, _, trial_seed = argument.partition(":")
        run(trial_name, int(trial_seed or 0))
