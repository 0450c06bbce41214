"""The SE blocks that chapter 02 lets a reader move: weights for r = 2, 4, 8, 16, and the mean z of every class.

    python benchmarks/gate_trials.py r2:0 r4:0 r8:0       # trains what is missing, in runs/trials
    python benchmarks/block_weights.py                    # writes senet_edu/assets/excitations/se-blocks.safetensors

The networks are those of `reduction_sweep.py`, which chapter 03 shows; r = 16 is the shipped `se_resnet18-quarter`.
z is recorded over all test images, which must be there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import trials
from torch import Tensor

import senet_edu as se
from senet_edu import results
from senet_edu.data import CIFAR10_CLASSES, cifar10_source
from senet_edu.excitations import record_controls
from senet_edu.files import write_atomically
from senet_edu.models import NamedNetwork, se_blocks
from senet_edu.widgets.block import NAME

SHIPPED = "se_resnet18-quarter"  # r = 16
BLOCKS = ("SE_2_2", "SE_3_2", "SE_4_2", "SE_5_2")  # one for each C: 16, 32, 64, 128


def load(out: Path) -> dict[str, tuple[dict[str, Any], NamedNetwork]]:
    """Records and networks by "r2" to "r16".

    Raises:
        SystemExit: a run is not finished, or differs from the others in more than r, or had other images.
    """
    networks = {}
    for key in ("r2", "r4", "r8"):
        folder = out / f"{key}-seed0"
        try:
            networks[key] = results.read_record(folder / "record.json"), results.load_run(folder)
        except (OSError, results.AssetError):
            raise SystemExit(
                f"no finished run in {folder}; python benchmarks/gate_trials.py {key}:0 makes it"
            ) from None
    networks["r16"] = results.load_record(SHIPPED), results.load_network(SHIPPED)
    trials.refuse_other_runs({key: record for key, (record, _) in networks.items()}, "r16")
    if (here := cifar10_source().description) != (there := networks["r16"][0]["data"]):
        raise SystemExit(f"the networks were scored on {there}; the images here are {here}")
    return networks


def tensors_of(model: NamedNetwork, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """ "SE_5_1.w1" [hidden, C], "….b1" [hidden], "….w2" [C, hidden], "….b2" [C], "….z" [K, C]; all float16."""
    squeezed, _ = record_controls(model, images, labels, classes=CIFAR10_CLASSES, precision="no")
    found: dict[str, Tensor] = {}
    for name in BLOCKS:
        block = se_blocks(model)[name]
        found |= {f"{name}.w1": block.fc1.weight, f"{name}.b1": block.fc1.bias}
        found |= {f"{name}.w2": block.fc2.weight, f"{name}.b2": block.fc2.bias, f"{name}.z": squeezed[name].mean}
    return {key: value.detach().to(torch.float16).contiguous() for key, value in found.items()}


def main() -> None:
    from safetensors.torch import save_file

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=Path, default=Path("runs/trials"), help="folder of the trials r2, r4, r8")
    started = results.now()
    networks = load(parser.parse_args().trials)
    images, labels = se.load_cifar10(split="test")
    tensors: dict[str, Tensor] = {}
    for key, (_, model) in networks.items():
        tensors |= {f"{key}.{name}": value for name, value in tensors_of(model, images, labels).items()}
        print(key, flush=True)
    header = {"classes": json.dumps(CIFAR10_CLASSES), "blocks": json.dumps(BLOCKS)}
    path = results.EXCITATIONS / f"{NAME}.safetensors"
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata=header))

    kept = ("accuracy", "commit", "weights_sha256")
    record = {"name": NAME, "data": networks["r16"][0]["data"], "images": len(images)}
    record |= {"seed": networks["r16"][0]["seed"], "recipe": networks["r16"][0]["recipe"]}
    record |= {key: {name: of_run[name] for name in kept} for key, (of_run, _) in networks.items()}
    record |= {"sha256": results.sha256(path)} | results.circumstances(started)
    results.write_record(record, results.RECORDS / f"{NAME}.json")
    print(f"{path.stat().st_size:,} bytes in {path}")


if __name__ == "__main__":
    main()
