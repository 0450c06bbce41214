"""What the scripts of trials share. A trial is NAME:SEED on the command line; it is done once, goes on where it was
stopped, and leaves a record in its folder."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import senet_edu as se
from senet_edu import results
from senet_edu.blocks import foreign_gates
from senet_edu.data import CIFAR10_CLASSES, Source, cifar10_source
from senet_edu.models import NamedNetwork, se_blocks
from senet_edu.training.machine import Precision


@dataclass(frozen=True)
class Task:
    """What the trials of a series learn: how its images are loaded, their classes, and where they come from."""

    load: Callable[..., tuple[Tensor, Tensor]]
    classes: Sequence[str]
    source: Callable[[], Source]

    def train(
        self,
        folder: Path,
        model: NamedNetwork,
        recipe: se.Recipe,
        trial: str,
        seed: int,
        precision: Precision | None = None,
    ) -> dict[str, Any]:
        """Train a trial's network on all training images, score it on the test images, and return its record."""
        record = results.train_recorded(
            folder,
            model,
            self.load(split="train"),
            self.load(split="test"),
            recipe,
            data=self.source().description,
            seed=seed,
            precision=precision,
            compiled=True,
        )
        return record | {"name": f"{folder.parent.name}/{folder.name}", "trial": trial}


CIFAR10 = Task(se.load_cifar10, CIFAR10_CLASSES, cifar10_source)


def measured(folder: Path) -> bool:
    """The trial in `folder` is done, and what its gates do is in its record."""
    path = folder / "record.json"
    return path.exists() and "trial" in results.read_record(path)


def finished(out: Path) -> list[dict[str, Any]]:
    """The records of all trials in `out` that are done."""
    folders = sorted(path.parent for path in out.glob("*/record.json"))
    return [results.read_record(f / "record.json") for f in folders if measured(f)]


def refuse_other_runs(
    records: Mapping[str, dict[str, Any]], first: str, among: Sequence[str] = results.comparisons.ALIKE
) -> None:
    """A SystemExit if a run differs from the `first` in one of these: then they cannot stand side by side.

    By default in more than its network.
    """
    for key, record in records.items():
        if found := results.unlike(records[first], record, among):
            raise SystemExit(f"{key} and {first} differ in {', '.join(found)}")


def record_gates(
    model: nn.Module,
    fresh: nn.Module,
    record: dict[str, Any],
    task: Task,
    folder: Path,
) -> None:
    """Add to a record what the gates of each block do and, in ours, what is left of W₁'s and W₂'s norms; print a line.

    Args:
        model, fresh: the network after training, and as it was before.
        record: of the run; it is written into `folder`, the statistics of the gates beside it.
        task: over whose test images the gates are recorded.
    """
    blocks, before, rows = se_blocks(model), se_blocks(fresh), []
    if blocks or foreign_gates(model):
        found = se.record_excitations(model, *task.load(split="test"), classes=task.classes, precision="no")
        rows = found.summary()
        found.save(folder / "excitations.safetensors")
    for row in rows:
        name = str(row.pop("block"))
        if name in blocks:
            block, start = blocks[name], before[name]
            row["w1_norm_kept"] = (block.fc1.weight.norm() / start.fc1.weight.norm()).item()
            row["w2_norm_kept"] = (block.fc2.weight.norm() / start.fc2.weight.norm()).item()
        record[name] = row
    results.write_record(record, folder / "record.json")
    moved = " ".join(f"{row['movement']:.3f}" for row in rows)
    print(f"{folder.name:24} {record['accuracy']:.2%}  movement {moved}", flush=True)


def ship_pairs(name: str, records: Sequence[dict[str, Any]], plain: str, with_se: str, about: dict[str, Any]) -> None:
    """Write the comparison of two trials over the seeds that both have, from their shipped records."""
    names = ({r["seed"]: r["name"] for r in records if r["trial"] == trial} for trial in (plain, with_se))
    baseline, changed = names
    both = sorted(baseline.keys() & changed.keys())
    if len(both) > 1:
        pairs = results.compare(name, [baseline[seed] for seed in both], [changed[seed] for seed in both])
        results.write_record(about | pairs, results.RECORDS / f"{name}.json")


def ship_runs(
    out: Path, published: Mapping[str, str], what: Mapping[str, str] | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Copy the records of finished trials in `out` into the package, and the networks that are to be shipped.

    Trials that the package has already need not be in `out`: a seed more can be run on another machine, on the same
    copy of the data and the same kind of device. Nothing is written if these differ.

    Args:
        out: folder of the trials, whose records lie in a folder of the same name in the package.
        published: name of shipped weights to the trial's folder in `out`; one that is not finished is left out.
        what: trial to what it is, in words, where the runs' own records do not say so.

    Returns:
        The records, those of earlier runs too, and what their summaries say of themselves: data and circumstances.
    """
    new = {record["name"]: record for record in finished(out)}
    if not new:
        raise SystemExit(f"no finished trial in {out}: run some first")
    shipped = {name: results.load_record(name) for name in results.list_records() if name.startswith(f"{out.name}/")}
    every = shipped | new  # a trial that was run again takes the earlier one's place
    refuse_other_runs(every, next(iter(every)), ("data", "device"))
    named = what or {}
    records = [r | ({"what": named[r["trial"]]} if r["trial"] in named else {}) for _, r in sorted(every.items())]
    about = {"data": records[0]["data"], **results.circumstances(results.now())}  # before records change the checkout
    for record in records:
        results.write_record(record, results.RECORDS / f"{record['name']}.json")
    for name, trial in published.items():
        if measured(out / trial):
            publish(name, out / trial)
    return records, about


def publish(name: str, folder: Path) -> None:
    """Make a trial's network the shipped weights `name`: weights, record, model card, statistics of its gates."""
    record = results.read_record(folder / "record.json")
    model = results.load_run(folder)
    checksum = results.save_weights(model, results.WEIGHTS / f"{name}.safetensors", {"record": name})
    results.write_record(record | {"name": name, "weights_sha256": checksum}, results.RECORDS / f"{name}.json")
    (results.WEIGHTS / f"{name}.md").write_text(results.model_card(name), encoding="utf-8")
    if (found := folder / "excitations.safetensors").exists():
        shutil.copyfile(found, results.EXCITATIONS / f"{name}.safetensors")


def main(
    about: str | None,
    arguments: Sequence[str],
    known: Collection[str],
    run: Callable[[str, int], None],
    ship: Callable[[], None],
) -> None:
    """NAME:SEED … runs those trials one after the other, "ship" takes what is done into the package."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="+", metavar="NAME:SEED", help=f"or ship; NAME is {', '.join(known)}")
    given = parser.parse_args(arguments).trials
    if given == ["ship"]:
        return ship()
    wanted = [argument.partition(":") for argument in given]
    if unknown := {name for name, _, _ in wanted} - set(known):
        raise SystemExit(f"no trial {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    for name, _, seed in wanted:
        run(name, int(seed or 0))
