"""The explorer of recorded gates: its data are the recorded ones, its orders and lines those of the figures."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import traitlets

from senet_edu import figures, results
from senet_edu.excitations import Excitations, statistics_of
from senet_edu.widgets import ExcitationExplorer
from senet_edu.widgets.gates import ORDERS

NAME = "se_resnet18-quarter"
UNPACK = """
    const { arrange, linesOf, unpack } = await import("$AT/gates.mjs");
    const all = unpack(new DataView(Uint8Array.from(given.data).buffer), given);
    result = given.blocks.map((block, i) => ({
        ...Object.fromEntries(Object.entries(all[block]).map(([key, rows]) =>
            [key, Array.from(rows, (row) => (row.length === undefined ? row : [...row]))])),
        orders: given.orders.map((order) => arrange(order, all[block].specificity, given.sampled[i])),
    }));
"""


def made_up(channels: int = 512, classes: int = 10, seed: int = 0) -> Excitations:
    """Random gates of one wide block: every class has a level of its own in every channel, and a spread."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(40 * classes) % classes
    level = torch.rand(classes, channels, generator=random)
    gates = (level[labels] + 0.1 * torch.randn(len(labels), channels, generator=random)).clamp(0, 1)  # [n, C]
    names = [f"class {k}" for k in range(classes)]
    return Excitations({"SE_5_1": statistics_of(gates, labels, classes, (0.0, 1.0))}, names)


def unpacked(node, explorer: ExcitationExplorer) -> dict[str, dict]:
    names = ("blocks", "channels", "classes", "sampled")
    given = {name: getattr(explorer, name) for name in names} | {"data": list(explorer.data), "orders": ORDERS}
    return dict(zip(explorer.blocks, node(UNPACK, given), strict=True))


@pytest.mark.parametrize("wide", [False, True], ids=["shipped", "512 channels"])
def test_the_page_has_the_recorded_numbers(node, wide: bool) -> None:
    recorded = made_up() if wide else results.load_excitations(NAME)
    explorer = ExcitationExplorer(recorded if wide else NAME)
    assert explorer.blocks == list(recorded)
    assert explorer.classes == list(recorded.classes)
    for block, found in unpacked(node, explorer).items():
        gates = recorded[block]
        wanted = {"mean": gates.mean, "spread": gates.variance.sqrt(), "all": gates.total_mean}
        for key, value in (wanted | {"specificity": gates.specificity()}).items():
            assert np.array_equal(np.array(found[key]), value.numpy().astype(np.float32).astype(np.float64)), key
        sampled, every, by_specificity = found["orders"]
        assert sampled == figures.sampled_channels(gates.mean.shape[1]).tolist()
        assert every == list(range(gates.mean.shape[1]))
        values = gates.specificity()[by_specificity]
        assert sorted(by_specificity) == every and (values[:-1] >= values[1:] - 1e-7).all()


def test_specificity_of_a_block_is_the_record_s(node) -> None:
    record = results.load_record(f"{NAME}-gates")
    for block, found in unpacked(node, ExcitationExplorer(NAME)).items():
        assert np.mean(found["specificity"]) == pytest.approx(record[block]["specificity"], abs=1e-4)


def test_chapter_07_says_what_is_there() -> None:
    """What the explorer's folded answer sees in SE_5_2 and SE_2_2, and what opens the channel of SE_5_1."""
    recorded = results.load_excitations("se_resnet18")
    index = recorded.classes.index
    vehicles = torch.tensor([name in ("airplane", "automobile", "ship", "truck") for name in recorded.classes])

    def most_specific(block: str) -> torch.Tensor:  # means [10, 5]
        return recorded[block].mean[:, recorded[block].specificity().argsort(descending=True)[:5]]

    def parted(means: torch.Tensor) -> torch.Tensor:  # [channels]
        these, those = means[vehicles], means[~vehicles]
        return (these.amin(0) > those.amax(0)) | (those.amin(0) > these.amax(0))

    last = most_specific("SE_5_2")
    assert parted(last).all()
    below = last[vehicles].mean(0) < last[~vehicles].mean(0)
    assert below.any() and not below.all()  # some the other way round

    early = most_specific("SE_2_2")
    assert parted(early).tolist()[:2] == [True, True]
    blue = torch.tensor([name in ("airplane", "ship") for name in recorded.classes])
    others = early[:, ~parted(early)]
    assert ((others[blue].amin(0) > others[~blue].amax(0)) | (others[blue].amax(0) < others[~blue].amin(0))).all()
    gates = recorded["SE_2_2"]
    assert (gates.mean.amax(0) - gates.mean.amin(0)).max() < 0.35
    spread = gates.variance.sqrt()
    overlap = (gates.mean - spread).amax(0) <= (gates.mean + spread).amin(0)  # [C]
    assert overlap.double().mean() > 0.8

    opened = most_specific("SE_5_1")[:, 0]  # [10]
    assert min(opened[index("frog")], opened[index("ship")]) > 0.9
    assert max(opened[index("automobile")], opened[index("truck")]) < 0.25


def test_it_starts_where_there_is_something_to_see() -> None:
    explorer = ExcitationExplorer(NAME)
    gates = results.load_excitations(NAME)["SE_5_2"]
    sampled = figures.sampled_channels(128)
    assert explorer.channel == sampled[gates.specificity()[sampled].argmax()]
    assert repr(explorer) == (
        "ExcitationExplorer(block='SE_5_2', chosen=['airplane', 'cat', 'frog', 'truck'], "
        f"order='{ORDERS[0]}', spread=False, channel={explorer.channel})"
    )
    assert ExcitationExplorer(made_up()).chosen == ["class 0", "class 1", "class 2", "class 3"]


def test_the_map_has_the_figure_s_colours() -> None:
    import matplotlib

    ramp = np.array(ExcitationExplorer(NAME).ramp)
    assert np.abs(ramp[[0, -1]] - 255 * np.array(matplotlib.colormaps["cividis"]([0.0, 1.0]))[:, :3]).max() <= 0.5


def test_traits_refuse_what_is_not_there() -> None:
    for name, value, message in (
        ("block", "SE_6_1", "block is one of"),
        ("chosen", ["cat", "lynx"], "no class .'lynx'."),
        ("chosen", ["cat", "cat"], "each once"),
        ("channel", 128, "channels 0 to 127"),
        ("order", "by colour", "order"),
    ):
        with pytest.raises(traitlets.TraitError, match=message):
            ExcitationExplorer(NAME, **{name: value})


def test_what_the_page_sends_is_taken_at_once() -> None:
    explorer = ExcitationExplorer(NAME, channel=100)
    explorer.set_state({"channel": 9, "block": "SE_2_1"})
    assert (explorer.block, explorer.channel) == ("SE_2_1", 9)
    explorer.block, explorer.channel = "SE_5_1", 100
    explorer.block = "SE_2_2"
    assert explorer.channel == 15  # the last that there is


def test_classes_without_images_are_left_out(node) -> None:
    gates = torch.rand(30, 6)
    labels = torch.tensor([0, 2, 3] * 10)
    recorded = Excitations({"SE_2_1": statistics_of(gates, labels, 5, (0.0, 1.0))}, "abcde")
    explorer = ExcitationExplorer(recorded)
    assert explorer.classes == ["a", "c", "d"]
    assert np.isfinite(np.frombuffer(explorer.data, "<f4")).all()
    assert len(unpacked(node, explorer)["SE_2_1"]["mean"]) == 3


def test_what_cannot_be_drawn_says_why() -> None:
    with pytest.raises(results.AssetError, match="no recorded excitations 'mine'"):
        ExcitationExplorer("mine")
    with pytest.raises(ValueError, match="no blocks"):
        ExcitationExplorer(Excitations({}, ["cat"]))
    negative = statistics_of(-torch.rand(9, 4), torch.arange(9) % 3, 3, (-1.0, 1.0))
    with pytest.raises(ValueError, match="means of SE_2_1 are not all there"):
        ExcitationExplorer(Excitations({"SE_2_1": negative}, "abc"))


def test_the_data_are_small() -> None:
    """A full-width SE-ResNet-18 has 1,920 gates; a page may have 4 MB."""
    state = ExcitationExplorer(made_up(1920)).get_state()
    assert len(state.pop("data")) < 200_000
    assert len(json.dumps({k: v for k, v in state.items() if k != "layout"})) < 60_000
