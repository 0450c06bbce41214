"""What the reduction ratio buys: quarter-width networks with r = 2, 4, 8, 16 and without SE, side by side.

    python benchmarks/gate_trials.py r2:0 r4:0 r8:0       # trains what is missing, in runs/trials
    python benchmarks/reduction_sweep.py                  # writes the record and the gates that chapter 03 shows

r = 16 and the plain twin are the shipped `se_resnet18-quarter` and `resnet18-quarter`; `--r16` and `--plain` take the
folders of other runs. All must have one recipe, seed and data. Where nothing has changed, nothing is written.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import trials

import senet_edu as se
from senet_edu import cost, results
from senet_edu.excitations import Excitations
from senet_edu.files import write_atomically
from senet_edu.models import se_blocks

NAME = "reduction-sweep"
SHIPPED = {"r16": "se_resnet18-quarter", "plain": "resnet18-quarter"}


def gather(folders: dict[str, Path]) -> tuple[dict[str, Any], dict[str, Excitations]]:
    """The runs' records and recorded gates by "r2", …, "plain": of `folders`, and shipped ones for the rest.

    Raises:
        SystemExit: a run is not finished, or differs from the others in more than its network.
    """
    records: dict[str, Any] = {}
    gates: dict[str, Excitations] = {}
    for key, folder in folders.items():
        path, recorded = folder / "record.json", folder / "excitations.safetensors"
        if not path.exists() or (key != "plain" and not recorded.exists()):
            raise SystemExit(f"{key}: no finished run in {folder}; python benchmarks/gate_trials.py {key}:0 makes it")
        records[key] = results.read_record(path)
        if key != "plain":
            gates[key] = Excitations.load(recorded)
    for key in SHIPPED.keys() - folders.keys():
        records[key] = results.load_record(SHIPPED[key])
        if key != "plain":
            gates[key] = results.load_excitations(SHIPPED[key])
    trials.refuse_other_runs(records, "r16")
    return records, gates


def row(record: dict[str, Any], gates: Excitations | None) -> dict[str, Any]:
    """What the sweep keeps of a run; its network is built anew to count."""
    model = se.create_model(**record["model"])
    kept = {key: record[key] for key in ("accuracy", "accuracy_flipped", "seed", "machine", "commit", "seconds")}
    kept |= {"parameters": cost.parameters(model), "multiply_adds": cost.multiply_adds(model)}
    if gates is not None:
        blocks = se_blocks(model)
        kept["reduction"] = record["model"]["reduction"]
        kept["hidden"] = {name: block.fc1.out_features for name, block in blocks.items()}
        kept["se_weights"] = cost.se_parameters(model)
        kept["se_weights_per_block"] = {name: cost.se_parameters(block) for name, block in blocks.items()}
        kept["movement"] = {name: gates[name].movement().mean().item() for name in blocks}
    return kept


def write_gates(gates: dict[str, Excitations], path: Path) -> None:
    """The class means of all blocks as float16, "r4.SE_5_1" [K, C] and so on, unless the file has them already."""
    from safetensors.torch import load_file, save_file

    means = {f"{key}.{block}": g.mean.to(torch.float16) for key, found in gates.items() for block, g in found.items()}
    written = load_file(path) if path.exists() else {}
    if written.keys() == means.keys() and all(torch.equal(written[key], means[key]) for key in means):
        return
    first = gates["r16"]
    header = {"classes": json.dumps(first.classes), "blocks": json.dumps(list(first))}
    write_atomically(path, lambda temporary: save_file(means, temporary, metadata=header))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=Path, default=Path("runs/trials"), help="folder of the trials r2, r4, r8")
    for key, name in SHIPPED.items():
        parser.add_argument(f"--{key}", type=Path, help=f"folder of a run in place of the shipped {name}")
    options = parser.parse_args()
    folders = {key: options.trials / f"{key}-seed0" for key in ("r2", "r4", "r8")}
    folders |= {key: getattr(options, key) for key in SHIPPED if getattr(options, key)}

    records, gates = gather(folders)
    order = [*sorted(gates, key=lambda key: int(key[1:])), "plain"]
    first = records["r16"]
    sweep = {"name": NAME, "data": first["data"], "seed": first["seed"], "recipe": first["recipe"]}
    sweep |= {key: row(records[key], gates.get(key)) for key in order}
    write_gates({key: gates[key] for key in order if key in gates}, results.EXCITATIONS / f"{NAME}.safetensors")
    path = results.RECORDS / f"{NAME}.json"
    written = results.read_record(path) if path.exists() else {}
    if {key: written.get(key) for key in sweep} != sweep:
        started = min(record["started"] for record in records.values())
        results.write_record(sweep | results.circumstances(started), path)
    for key in order:
        print(f"{key:5} {sweep[key]['accuracy']:.2%} {sweep[key].get('se_weights', 0):>7,} weights in SE blocks")


if __name__ == "__main__":
    main()
