"""Which kernels, and is the attention worth it? Quarter-width SK-ResNet-18, one thing changed at a time, several seeds.

    python benchmarks/sk_trials.py m2:0 m2:1 k3:0 …      # NAME:SEED; writes runs/sk-trials/NAME-seedSEED/
    python benchmarks/sk_trials.py ship                   # takes records and the weights of m2:0 into the package

A trial that is done is left alone, one that was stopped goes on. Each writes a record: accuracy, weights,
multiply-adds, and for every SK convolution and branch the mean attention over the test images and how far it moves from
image to image. Two trials at once, each with OMP_NUM_THREADS=1, are the best use of two cores.

k3, k5, k7 are single kernels; m2 is K3 with K5, m3 has K7 too; "sum" adds the branches without attention; d1 and d3
change the dilation of m2's second branch, g1 and g8 its number of groups (the first has two).
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

import torch
import trials
from trials import CIFAR10

import senet_edu as se
from senet_edu import cost, results
from senet_edu.selective import sk_blocks

OUT = Path("runs/sk-trials")
WIDTH = 0.25
RECIPE = se.Recipe(epochs=6)

PUBLISHED = {"sk_resnet18-quarter": "m2-seed0"}

TRIALS: dict[str, tuple[str, dict[str, Any]]] = {
    "k3": ("3×3 alone", {"branches": 1, "dilations": [1]}),
    "k5": ("5×5 alone", {"branches": 1, "dilations": [2]}),
    "k7": ("7×7 alone", {"branches": 1, "dilations": [3]}),
    "m2": ("3×3 and 5×5", {}),
    "m3": ("3×3, 5×5 and 7×7", {"branches": 3}),
    "m2-sum": ("3×3 and 5×5, added up", {"attention": False}),
    "m3-sum": ("3×3, 5×5 and 7×7, added up", {"branches": 3, "attention": False}),
    "d1": ("3×3 twice", {"dilations": [1, 1]}),
    "d3": ("3×3 and 7×7", {"dilations": [1, 3]}),
    "g1": ("5×5 ungrouped", {"groups": [2, 1]}),
    "g8": ("5×5 in 8 groups", {"groups": [2, 8]}),
}


def run(name: str, seed: int) -> None:
    """One trial, from its network to its record."""
    folder = OUT / f"{name}-seed{seed}"
    if trials.measured(folder):
        return
    what, changed = TRIALS[name]
    torch.manual_seed(seed)
    model = se.create_model("sk_resnet18", width=WIDTH, **changed)
    record = CIFAR10.train(folder, model, RECIPE, name, seed) | {"what": what}
    record |= {"parameters": cost.parameters(model), "multiply_adds": cost.multiply_adds(model)}
    attentive = {k: block for k, block in sk_blocks(model).items() if block.attends}
    if attentive:
        found = se.record_attention(model, *CIFAR10.load(split="test"), classes=CIFAR10.classes, precision="no")
        for block, sk in attentive.items():
            branches = [found[f"{block} {m}"] for m in range(1, len(sk.dilations) + 1)]
            record[block] = {
                "attention": [branch.total_mean.mean().item() for branch in branches],
                "movement": [branch.movement().mean().item() for branch in branches],
                "specificity": [branch.specificity().mean().item() for branch in branches],
            }
        found.save(folder / "attention.safetensors")
    results.write_record(record, folder / "record.json")
    means = " ".join(f"{record[block]['attention'][-1]:.2f}" for block in attentive)
    print(f"{name:7} seed {seed}  {record['accuracy']:.2%}  largest kernel's attention {means or 'none'}", flush=True)


def ship() -> None:
    """Copy records and their summary into the package, and PUBLISHED weights."""
    records, about = trials.ship_runs(OUT, PUBLISHED)
    summary = results.summarise_trials("sk-trials", "m2", records)
    for trial, row in summary["trials"].items():
        runs = [record for record in records if record["trial"] == trial]
        row |= {key: runs[0][key] for key in ("parameters", "multiply_adds")}
        blocks = [key for key in runs[0] if key.startswith("SK_")]
        for measure in ("attention", "movement", "specificity"):  # of each branch, the mean over seeds
            row[measure] = {
                b: [statistics.mean(of) for of in zip(*(run[b][measure] for run in runs), strict=True)] for b in blocks
            }
    results.write_record(summary | about, results.RECORDS / "sk-trials.json")


if __name__ == "__main__":
    trials.main(__doc__, sys.argv[1:], TRIALS, run, ship)
