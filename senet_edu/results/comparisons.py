"""Runs beside each other: pairs by seed, and trials that differ from a baseline in one thing."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from senet_edu.results.records import load_record
from senet_edu.training import Recipe

ALIKE = ("seed", "recipe", "data", "device", "precision")


def unlike(one: Mapping[str, Any], other: Mapping[str, Any], among: Sequence[str] = ALIKE) -> list[str]:
    """In which of these two records of runs differ. A recipe's setting younger than the record had its default."""

    def said(record: Mapping[str, Any], what: str) -> Any:
        return dataclasses.asdict(Recipe()) | record["recipe"] if what == "recipe" else record.get(what)

    return [what for what in among if said(one, what) != said(other, what)]


def compare(name: str, baseline: Sequence[str], changed: Sequence[str]) -> dict[str, Any]:
    """Single-view accuracies of two kinds of network on one recipe, paired by seed, from the shipped records.

    Args:
        name: of the comparison.
        baseline, changed: names of records, in the same order of seeds.

    Returns:
        Seeds, both lists of accuracies and their means (shares, 0 to 1), and the mean and standard error of the
        differences, changed minus baseline, in percentage points.

    Raises:
        ValueError: fewer than two pairs; records of a pair that differ in seed, recipe, data, device or precision, or
            pairs that differ in one of the last four.
    """
    if len(baseline) < 2:
        raise ValueError("a spread needs at least two pairs of runs")
    pairs = [(load_record(b), load_record(c)) for b, c in zip(baseline, changed, strict=True)]
    first, _ = pairs[0]
    for before, after in pairs:
        if found := unlike(before, after):
            raise ValueError(f"{before['name']} and {after['name']} differ in {', '.join(found)}")
        if found := unlike(first, before, [what for what in ALIKE if what != "seed"]):
            raise ValueError(f"{first['name']} and {before['name']} differ in {', '.join(found)}")
    accuracies = [(before["accuracy"], after["accuracy"]) for before, after in pairs]
    differences = [100 * (after - before) for before, after in accuracies]
    return {
        "name": name,
        "data": pairs[0][0]["data"],
        "seeds": [record["seed"] for record, _ in pairs],
        "baseline": [before for before, _ in accuracies],
        "changed": [after for _, after in accuracies],
        "baseline_mean": statistics.mean(before for before, _ in accuracies),
        "changed_mean": statistics.mean(after for _, after in accuracies),
        "difference_points": statistics.mean(differences),
        "standard_error_points": statistics.stdev(differences) / len(differences) ** 0.5,
    }


def summarise_trials(name: str, baseline: str, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Trials of several seeds each beside those of the baseline: accuracy, and what became of the gates.

    Args:
        name: of the summary.
        baseline: the trial that the others are compared with, seed by seed.
        records: of single runs, each with its "trial", "what" that is (in words), "seed" and "accuracy", and for each
            block "movement", "specificity" and what is left of the norms of W₁ and W₂ ("w1_norm_kept", "w2_norm_kept").

    Returns:
        Per trial: seeds; mean and standard deviation of the accuracy (shares); mean and standard error of its
        difference from the baseline over common seeds (points; None with fewer than two); per block the mean over
        seeds of movement and specificity; the least movement and the least norm kept of any block and seed.

    Raises:
        ValueError: runs differ in data, device or precision, or there is none of the baseline.
    """
    runs: dict[str, dict[int, dict[str, Any]]] = {}
    for record in sorted(records, key=lambda r: (r["trial"] != baseline, r["trial"], r["seed"])):
        runs.setdefault(record["trial"], {})[record["seed"]] = record
        if found := unlike(records[0], record, ("data", "device", "precision")):
            raise ValueError(f"{records[0]['name']} and {record['name']} differ in {', '.join(found)}")
    if baseline not in runs:
        raise ValueError(f"no run of the baseline {baseline}")
    summary: dict[str, Any] = {"name": name, "baseline": baseline, "trials": {}}
    for trial, by_seed in runs.items():
        accuracies = [record["accuracy"] for record in by_seed.values()]
        common = sorted(by_seed.keys() & runs[baseline].keys()) if trial != baseline else []
        points = [100 * (by_seed[seed]["accuracy"] - runs[baseline][seed]["accuracy"]) for seed in common]
        enough = len(points) > 1
        row: dict[str, Any] = {
            "what": next(iter(by_seed.values()))["what"],
            "seeds": sorted(by_seed),
            "accuracy": statistics.mean(accuracies),
            "accuracy_sd": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
            "difference_points": statistics.mean(points) if enough else None,
            "standard_error_points": statistics.stdev(points) / len(points) ** 0.5 if enough else None,
        }
        blocks = [key for key in next(iter(by_seed.values())) if key.startswith("SE_")]
        for measure in ("movement", "specificity"):
            row[measure] = {b: statistics.mean(record[b][measure] for record in by_seed.values()) for b in blocks}
        if blocks:
            each = [record[b] for record in by_seed.values() for b in blocks]
            row["least_movement"] = min(block["movement"] for block in each)
            row["least_norm_kept"] = min(min(block["w1_norm_kept"], block["w2_norm_kept"]) for block in each)
        summary["trials"][trial] = row
    return summary
