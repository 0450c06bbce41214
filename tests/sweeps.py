"""A made-up sweep over r for tests of the explorer: laid out as the shipped one, with numbers that mean nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from senet_edu import results
from senet_edu.blocks import hidden_width
from senet_edu.widgets.reduction import NAME

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CHANNELS = {f"SE_{stage}_{block}": 16 * 2 ** (stage - 2) for stage in (2, 3, 4, 5) for block in (1, 2)}
REDUCTIONS = (2, 4, 8, 16)


def made_up_record(seed: int = 0) -> dict[str, Any]:
    """A record as `reduction-sweep`'s: sizes are those of real networks, accuracies and movements are random."""
    random = np.random.default_rng(seed)
    record: dict[str, Any] = {"name": "random numbers for tests"}
    for r in REDUCTIONS:
        hidden = {block: hidden_width(c, r, min_hidden=4) for block, c in CHANNELS.items()}
        weights = {block: 2 * c * hidden[block] + hidden[block] + c for block, c in CHANNELS.items()}
        record[f"r{r}"] = {
            "reduction": r,
            "accuracy": random.random(),
            "accuracy_flipped": random.random(),
            "hidden": hidden,
            "se_weights": sum(weights.values()),
            "se_weights_per_block": weights,
            "parameters": 700_000 + sum(weights.values()),
            "multiply_adds": 35_000_000,
            "movement": {block: random.random() / 10 for block in CHANNELS},
            "seed": 0,
        }
    record["plain"] = {"accuracy": random.random(), "parameters": 700_000, "multiply_adds": 35_000_000, "seed": 0}
    return record


def made_up_gates(seed: int = 0) -> dict[str, np.ndarray]:
    """Class means "r4.SE_5_1" and so on, float16 [10, C]; each network and block has a level of its own."""
    random = np.random.default_rng(seed)
    return {
        f"r{r}.{block}": np.clip(random.uniform(0.3, 0.7) + random.normal(0, 0.1, (10, c)), 0, 1).astype(np.float16)
        for r in REDUCTIONS
        for block, c in CHANNELS.items()
    }


def write(folder: Path) -> tuple[dict[str, Any], Path]:
    """The record, and the path of the file of gates, as `ReductionExplorer` takes them."""
    header = {"classes": json.dumps(CLASSES), "blocks": json.dumps(list(CHANNELS))}
    save_file(made_up_gates(), folder / "gates.safetensors", metadata=header)
    return made_up_record(), folder / "gates.safetensors"


def shipped() -> tuple[dict[str, Any], Path] | None:
    """The sweep that the package ships, if it does."""
    return (
        (results.load_record(NAME), results.EXCITATIONS / f"{NAME}.safetensors")
        if NAME in results.list_records()
        else None
    )
