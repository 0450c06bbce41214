"""Does attention go to the larger kernel when the object is larger? (SKNet's figures 3 and 4, on our networks.)

    python benchmarks/sk_sizes.py        # needs finished m2 runs of sk_trials.py and sk runs of tiny_trials.py

For every such network: the mean attention of each block's 5×5 branch over the test images, with the middle enlarged 1.0
to 2.0 times, and, as a control, with the images only as blurred as enlarging leaves them. Writes the record sk-sizes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

import senet_edu as se
from senet_edu import results
from senet_edu.data import cifar10_source, enlarge, load_tiny_imagenet, soften, tiny_imagenet_source
from senet_edu.selective import sk_blocks

FACTORS = [1.0, 1.2, 1.4, 1.6, 1.8, 2.0]
RUNS = {"CIFAR-10": "sk-trials/m2-seed*", "Tiny-ImageNet": "tiny-trials/sk-seed*"}
CHANGES: dict[str, Callable[[Tensor, float], Tensor]] = {"enlarged": enlarge, "blurred": soften}


def measure(folder: Path, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """Of one run: per change the accuracy, and per block the mean attention of its last branch, for every factor."""
    model = results.load_run(folder)
    found: dict[str, Any] = {}
    for change, apply in CHANGES.items():
        found[change] = {"accuracy": []} | {name: [] for name in sk_blocks(model)}
        for factor in FACTORS:
            seen = apply(images, factor)
            right = se.training.predict(model, seen, precision="no").argmax(dim=1) == labels  # [n]
            found[change]["accuracy"].append(right.float().mean().item())
            attention = se.record_attention(model, seen, precision="no")
            for name, block in sk_blocks(model).items():
                last = attention[f"{name} {len(block.dilations)}"]
                found[change][name].append(last.total_mean.mean().item())
        print(folder.name, change, *(f"{found[change][n][-1] - found[change][n][0]:+.3f}" for n in sk_blocks(model)))
    return found


def main() -> None:
    started = results.now()
    data = f"{cifar10_source().description}; {tiny_imagenet_source().description}"
    record: dict[str, Any] = {"name": "sk-sizes", "data": data, "factors": FACTORS, "networks": {}}
    tests = {"CIFAR-10": se.load_cifar10(split="test"), "Tiny-ImageNet": load_tiny_imagenet(split="test")}
    for name, pattern in RUNS.items():
        folders = sorted(path.parent for path in Path("runs").glob(f"{pattern}/record.json"))
        runs = [measure(folder, *tests[name]) for folder in folders]
        record["networks"][name] = {"runs": [folder.name for folder in folders]} | {
            change: {
                key: [statistics.mean(at) for at in zip(*(run[change][key] for run in runs), strict=True)]
                for key in runs[0][change]
            }
            for change in CHANGES
        }
    results.write_record(record | results.circumstances(started), results.RECORDS / "sk-sizes.json")


if __name__ == "__main__":
    main()
