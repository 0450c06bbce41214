"""Ship the full-width SE-ResNet-18: weights, record, model card, and what its gates do over all test images.

    senet-edu train runs/se_resnet18-first --epochs 20 --translate 4 --cutout 8 --compiled    # hours on two CPU cores
    senet-edu train runs/se_resnet18 --epochs 16 --peak-rate 0.1 --translate 4 --cutout 8 --compiled \\
        --start-from runs/se_resnet18-first
    python benchmarks/full_width.py                                                           # minutes: ships it

The recipe was not tuned. A run goes on where it was stopped. Of the first run the record is shipped, not the weights.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
import trials
from trials import CIFAR10

import senet_edu as se
from senet_edu import cli, results
from senet_edu.data import balanced_subset

NAME = "se_resnet18"
FIRST, RUN = Path(f"runs/{NAME}-first"), Path(f"runs/{NAME}")


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    model, test = results.load_run(RUN), se.load_cifar10(split="test")
    first, record = (results.read_record(folder / "record.json") for folder in (FIRST, RUN))
    if first["weights_sha256"] not in record["started_from"]:
        raise SystemExit(f"{RUN} did not begin with the weights in {FIRST}")
    record |= {"trial": NAME}
    part = balanced_subset(test[1], 100, seed=0)  # what CI has time for
    record["accuracy_of_part"] = se.evaluate(model, test[0][part], test[1][part], precision="no").accuracy
    torch.manual_seed(record["seed"])
    fresh = se.create_model(**record["model"])
    trials.record_gates(model, fresh, record, CIFAR10, RUN)
    trials.publish(NAME, RUN)
    results.write_record(first | {"name": FIRST.name}, results.RECORDS / f"{FIRST.name}.json")

    gates = RUN / "gates"
    cli.excitations(gates, weights=NAME)
    shutil.copyfile(gates / "record.json", results.RECORDS / f"{NAME}-gates.json")


if __name__ == "__main__":
    main()
