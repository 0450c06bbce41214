"""Ship the full-width SE-ResNet-18: weights, record, model card, and what its gates do over all test images.

    senet-edu train runs/se_resnet18 --epochs 20 --translate 4 --cutout 8 --compiled     # hours on two CPU cores
    python benchmarks/full_width.py                                                      # minutes: into the package

The recipe was not tuned. The run goes on where it was stopped. Another folder can be named behind the script.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
import trials

import senet_edu as se
from senet_edu import cli, results
from senet_edu.data import CIFAR10_CLASSES, balanced_subset

RUN = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/se_resnet18")
NAME = "se_resnet18"


def main() -> None:
    model, test = results.load_run(RUN), se.load_cifar10(split="test")
    record = json.loads((RUN / "record.json").read_text(encoding="utf-8")) | {"trial": NAME}
    part = balanced_subset(test[1], 100, seed=0)  # what CI has time for
    record["accuracy_of_part"] = se.evaluate(model, test[0][part], test[1][part], precision="no").accuracy
    torch.manual_seed(record["seed"])
    fresh = se.create_model(**record["model"])
    trials.record_gates(model, fresh, record, test, CIFAR10_CLASSES, RUN)
    trials.publish(NAME, RUN)

    gates = RUN / "gates"
    cli.excitations(gates, weights=NAME)
    shutil.copyfile(gates / "record.json", results.RECORDS / f"{NAME}-gates.json")


if __name__ == "__main__":
    main()
