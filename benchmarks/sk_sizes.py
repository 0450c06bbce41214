"""Does attention go to the larger kernel when the object is larger? (SKNet's figures 3 and 4, on our networks.)

    python benchmarks/sk_sizes.py        # needs finished m2 runs of sk_trials.py and sk runs of tiny_trials.py

For every such network: the mean attention of each block's 5×5 branch over test images, with the middle enlarged 1.0 to
2.0 times, and, as a control, with the images only blurred, about as much. How well that is met shows in the sharpness
of both: squared differences of neighbouring pixels over twice the variance. Writes the record sk-sizes, means over
networks and each network's own.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

import senet_edu as se
from senet_edu import results
from senet_edu.data import balanced_subset, cifar10_source, enlarge, load_tiny_imagenet, soften, tiny_imagenet_source
from senet_edu.selective import sk_blocks

FACTORS = [1.0, 1.2, 1.4, 1.6, 1.8, 2.0]
RUNS = {"CIFAR-10": "sk-trials/m2-seed*", "Tiny-ImageNet": "tiny-trials/sk-seed*"}
CHANGES: dict[str, Callable[[Tensor, float], Tensor]] = {"enlarged": enlarge, "blurred": soften}


def sharpness(images: Tensor) -> float:
    """Half the mean squared difference of neighbouring pixels, as a share of the variance: 0 flat, 1 noise."""
    x = images.float()  # [n, 3, H, W]
    steps = [(x[..., 1:] - x[..., :-1]), (x[..., 1:, :] - x[..., :-1, :])]
    return (sum(d.square().mean() for d in steps) / 4 / x.var(dim=(2, 3)).mean()).item()


def measure(folder: Path, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """Of one run: per change the accuracy, and per block the mean attention of its last branch, for every factor."""
    model = results.load_run(folder)
    found: dict[str, Any] = {}
    for change, apply in CHANGES.items():
        found[change] = {"accuracy": [], "sharpness": []} | {name: [] for name in sk_blocks(model)}
        for factor in FACTORS:
            seen = apply(images, factor)
            found[change]["sharpness"].append(sharpness(seen))
            right = se.training.predict(model, seen, precision="no").argmax(dim=1) == labels  # [n]
            found[change]["accuracy"].append(right.float().mean().item())
            attention = se.record_attention(model, seen, precision="no")
            for name, block in sk_blocks(model).items():
                last = attention[f"{name} {len(block.dilations)}"]
                found[change][name].append(last.total_mean.mean().item())
        print(folder.name, change, *(f"{found[change][n][-1] - found[change][n][0]:+.3f}" for n in sk_blocks(model)))
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    started = results.now()
    data = f"{cifar10_source().description}; {tiny_imagenet_source().description}"
    record: dict[str, Any] = {"name": "sk-sizes", "data": data, "factors": FACTORS, "networks": {}}
    images, labels = se.load_cifar10(split="test")
    part = balanced_subset(labels, 200, seed=0)  # 2,000 images
    tests = {"CIFAR-10": (images[part], labels[part]), "Tiny-ImageNet": load_tiny_imagenet(split="test")}
    for name, pattern in RUNS.items():
        folders = sorted(path.parent for path in Path("runs").glob(f"{pattern}/record.json"))
        each = {folder.name: measure(folder, *tests[name]) for folder in folders}
        if not each:
            raise SystemExit(f"no finished run in runs/{pattern}: train some first")
        first, *_ = each.values()
        record["networks"][name] = {"runs": list(each), "images": len(tests[name][1]), "each": each} | {
            change: {
                key: [statistics.mean(at) for at in zip(*(run[change][key] for run in each.values()), strict=True)]
                for key in first[change]
            }
            for change in CHANGES
        }
    results.write_record(record | results.circumstances(started), results.RECORDS / "sk-sizes.json")


if __name__ == "__main__":
    main()
