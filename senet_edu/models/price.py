"""What SE costs a named network, stage by stage and for several r: integers, to be added up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

from senet_edu import cost
from senet_edu.blocks import SEBlock
from senet_edu.models import create_model, se_blocks
from senet_edu.models.registry import Network

REDUCTIONS = (2, 4, 8, 16, 32)


def price(network: Network, reductions: Sequence[int] = REDUCTIONS) -> dict[str, Any]:
    """Counts of a network as its paper counts it, without SE and for each stage that SE blocks can be in.

    The network with SE in some of its stages has the sum of the counts: SE changes nothing outside its blocks. A
    hidden width is C/r, rounded down, and at least 1; both layers have biases, as in `models.table`.

    Returns:
        "source"; "size" [C, H, W] of the image; "parameters" and "multiply_adds" without SE; and in "stages", by
        number, "channels" C of each of the stage's blocks and by r as a string "parameters" and "multiply_adds" of
        all of them. A network that has no version with SE has no stages.
    """
    with torch.device("meta"):  # shapes without values: nothing is computed
        model = create_model(network.names[-1], num_classes=network.num_classes, **network.counted)
        blocks = se_blocks(model)
        stages: dict[str, dict[str, Any]] = {}
        for name, block in blocks.items():
            of_stage = stages.setdefault(name.split("_")[1], {"channels": []})
            of_stage["channels"].append(block.channels)
        for of_stage in stages.values():
            counts = {str(r): [count(C, r) for C in of_stage["channels"]] for r in reductions}
            of_stage["parameters"] = {r: sum(weights for weights, _ in pairs) for r, pairs in counts.items()}
            of_stage["multiply_adds"] = {r: sum(adds for _, adds in pairs) for r, pairs in counts.items()}
    own = [count(block.channels, block.reduction) for block in blocks.values()]
    return {
        "source": network.source,
        "size": list(network.size),
        "parameters": cost.parameters(model) - sum(weights for weights, _ in own),
        "multiply_adds": cost.multiply_adds(model, network.size) - sum(adds for _, adds in own),
        "stages": stages,
    }


def count(channels: int, reduction: int) -> tuple[int, int]:
    """Weights, biases included, and multiply-adds of one SE block: each weight is used once an image."""
    with torch.device("meta"):
        block = SEBlock(channels, reduction)
    return cost.parameters(block), block.fc1.weight.numel() + block.fc2.weight.numel()


def added(prices: Mapping[str, Any], reduction: int, stages: Collection[int]) -> tuple[int, int]:
    """Weights and multiply-adds that SE adds to a network of which `price` is known; stages it does not have add none.

    Raises:
        KeyError: nothing was counted for that r.
    """
    chosen = [of_stage for stage, of_stage in prices["stages"].items() if int(stage) in stages]
    weights, adds = (sum(s[what][str(reduction)] for s in chosen) for what in ("parameters", "multiply_adds"))
    return weights, adds
