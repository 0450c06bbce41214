"""The record of chapter 01: `hue_xor`, three kinds of small network, five seeds each.

    OMP_NUM_THREADS=1 python benchmarks/hue_xor.py      # writes senet_edu/assets/records/hue_xor.json, about a minute

The network, its training and what is measured are the chapter's own: its functions are read from its text.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

import senet_edu as se
from senet_edu import results

CHAPTER = Path(__file__).resolve().parents[1] / "notebooks" / "01_why_channels.py"
KINDS, SEEDS = ("plain", "NoSqueeze", "SE"), range(5)


def definitions(chapter: Path = CHAPTER) -> dict[str, Any]:
    """The functions and classes of a chapter by name; none of its other lines run."""
    tree = ast.parse(chapter.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    names = {"torch": torch, "F": F, "se": se}
    exec(compile(tree, str(chapter), "exec"), names)
    return names


def measure(kind: str, seed: int, page: dict[str, Any]) -> dict[str, float]:
    """Train one network as the chapter does, and score it on 1,000 new pictures."""
    network = page["train"](page["small_network"](kind, seed), *se.hue_xor(2_000, seed))
    images, labels = se.hue_xor(1_000, seed=10_000)
    d = page["in_parts"](network, images)  # [1000]
    row = {
        "accuracy": ((d > 0) == labels.bool()).float().mean().item(),
        "loss": F.binary_cross_entropy_with_logits(d, labels.float()).item(),
    }
    if kind == "SE":
        is_blue = images[:, 2, 0].float().mean(1) > images[:, 0, 0].float().mean(1)  # [1000]
        groups = (is_blue, is_blue ^ labels.bool())
        s = page["gates"](network, images)  # [1000, 16]
        parts = page["parts_of_variance"](s, *groups)
        row |= dict(zip(("frame_share", "bars_share", "both_share", "rest_share"), parts, strict=True))
        for name, gates in zip(("frame", "bars"), page["know_one_thing"](s, *groups), strict=True):
            row[f"{name}_gates_accuracy"] = page["accuracy_with"](network, gates, images, labels)
    return row


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    started, clock, page = results.now(), time.process_time(), definitions()
    record: dict[str, Any] = {"name": "hue_xor", "data": "hue_xor(2_000, seed), scored on hue_xor(1_000, 10_000)"}
    for kind in KINDS:
        rows = [measure(kind, seed, page) for seed in SEEDS]
        found = [row["accuracy"] for row in rows]
        means = {key: statistics.mean(row[key] for row in rows) for key in rows[0] if key != "accuracy"}
        record[kind] = {"mean": statistics.mean(found), "lowest": min(found), "highest": max(found), **means}
        record[kind]["seeds"] = rows
        print(f"{kind:10}", *(f"{accuracy:.1%}" for accuracy in found), flush=True)
    record |= {"cpu_seconds": time.process_time() - clock, **results.circumstances(started)}
    results.write_record(record, results.RECORDS / "hue_xor.json")


if __name__ == "__main__":
    main()
