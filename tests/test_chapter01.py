"""Chapter 01's networks, as the page defines them: what they see, what they can add up, and `hue_xor` with one seed."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import senet_edu as se
from senet_edu import results

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("hue_xor", ROOT / "benchmarks" / "hue_xor.py")
assert SPEC is not None and SPEC.loader is not None
BENCHMARK = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(BENCHMARK)
PAGE: dict[str, Any] = BENCHMARK.definitions()
LOCAL = ("plain", "NoSqueeze")


pytestmark = pytest.mark.usefixtures("one_thread")


def lively(kind: str) -> nn.Module:
    """An untrained network in float64 whose normalisations do something: random statistics, scales and shifts."""
    network: nn.Module = PAGE["small_network"](kind, seed=3).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                assert value is not None
                value.uniform_(0.2, 1.0)
    return network


@pytest.mark.parametrize(("kind", "side"), [("plain", 7), ("NoSqueeze", 7), ("SE", 32)])
def test_what_one_position_has_seen(kind: str, side: int) -> None:
    network = lively(kind)
    x = torch.rand(1, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    network.after(network.middle(network.before(x)))[0, :, 16, 15].sum().backward()  # type: ignore[operator]
    assert x.grad is not None
    rows, columns = x.grad[0].abs().amax(0).nonzero().T
    assert (rows.min(), rows.max()) == ((13, 19) if side == 7 else (0, 31))
    assert (columns.min(), columns.max()) == ((12, 18) if side == 7 else (0, 31))


def four_combinations() -> tuple[Tensor, Tensor]:
    """Pictures [4, n, 3, 32, 32] of two frames and two motifs, the rest the same in each four; their signs [4, 1]."""
    images, labels = se.hue_xor(200, seed=5)
    is_blue = images[:, 2, 0].float().mean(1) > images[:, 0, 0].float().mean(1)
    is_vertical = is_blue ^ labels.bool()
    place = torch.arange(32)
    rim = (place < 2) | (place > 29)
    inside = (place > 8) & (place < 23)
    is_frame, is_motif = rim[:, None] | rim, inside[:, None] & inside
    pictures = [
        torch.where(
            is_frame, images[is_blue == blue][:40], torch.where(is_motif, images[is_vertical == v][:40], images[:40])
        )
        for blue, v in ((False, False), (False, True), (True, False), (True, True))
    ]
    return torch.stack(pictures), torch.tensor([[-1.0], [1.0], [1.0], [-1.0]])


@pytest.mark.parametrize("kind", ["plain", "NoSqueeze", "SE"])
@torch.no_grad()
def test_networks_that_see_seven_pixels_only_add(kind: str) -> None:
    """With any weights, their margins over the four combinations sum to 0; those of SE do not."""
    pictures, signs = four_combinations()
    network = lively(kind)
    margins = signs * torch.stack([network(se.training.normalise(p).double()) for p in pictures])  # [4, 40]
    assert margins.abs().mean() > 1e-3  # the sum is not 0 because nothing is there
    if kind in LOCAL:
        assert margins.sum(0).abs().max() < 1e-12
        assert (margins > 0).sum(0).max() <= 3
        assert F.softplus(-margins).mean(0).min() > math.log(2) - 1e-12
    else:
        assert margins.sum(0).abs().min() > 1e-9


def test_kinds_start_with_the_same_convolutions() -> None:
    plain, none, squeezed = (PAGE["small_network"](kind, seed=1) for kind in ("plain", "NoSqueeze", "SE"))
    own = {key: value for key, value in plain.state_dict().items() if "middle" not in key}
    for other in (none, squeezed):
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in own.items())


@pytest.mark.parametrize(
    ("kind", "holds"),
    [("plain", lambda a: 0.35 < a < 0.65), ("NoSqueeze", lambda a: 0.35 < a < 0.65), ("SE", lambda a: a > 0.95)],
)
def test_hue_xor_with_one_seed(kind: str, holds: Callable[[float], bool]) -> None:
    row = BENCHMARK.measure(kind, 0, PAGE)
    assert holds(row["accuracy"]), row
    if kind == "SE":
        assert row["frame_share"] > 0.05
        assert row["rest_share"] < 0.1
        assert sum(row[f"{part}_share"] for part in ("frame", "bars", "both", "rest")) == pytest.approx(1, abs=1e-5)
    else:
        assert row["loss"] > math.log(2) - 0.01


def test_the_record_has_five_seeds_that_keep_what_the_chapter_claims() -> None:
    record = results.load_record("hue_xor")
    for kind in ("plain", "NoSqueeze", "SE"):
        found = [row["accuracy"] for row in record[kind]["seeds"]]
        assert len(found) == 5
        assert (record[kind]["lowest"], record[kind]["highest"]) == (min(found), max(found))
        assert record[kind]["mean"] == pytest.approx(sum(found) / 5)
    assert max(record[kind]["highest"] for kind in LOCAL) < 0.65
    assert record["SE"]["lowest"] > 0.95


def shares(frame: float, bars: float, both: float, rest: float) -> list[float]:
    """The page's parts of the variance of gates made with these weights."""
    torch.manual_seed(0)
    n = 400
    is_blue, is_vertical = torch.arange(n) % 2 == 1, torch.arange(n) // 2 % 2 == 1
    b, v = 2 * is_blue.float() - 1, 2 * is_vertical.float() - 1
    s = 0.5 + frame * b + bars * v + both * b * v + rest * torch.randn(n)
    return PAGE["parts_of_variance"](s[:, None].repeat(1, 3), is_blue, is_vertical)


def test_parts_of_variance() -> None:
    assert shares(1, 0, 0, 0) == pytest.approx([1, 0, 0, 0], abs=1e-5)
    assert shares(0, 1, 0, 0) == pytest.approx([0, 1, 0, 0], abs=1e-5)
    assert shares(0, 0, 1, 0) == pytest.approx([0, 0, 1, 0], abs=1e-5)
    assert shares(1, 2, 2, 0) == pytest.approx([1 / 9, 4 / 9, 4 / 9, 0], abs=1e-5)
    assert shares(0, 0, 0, 1)[3] > 0.95
