"""What SE costs named networks: the record is what is counted, sums are networks, the page adds as Python does."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import nbformat
import pytest
import torch
import traitlets

from senet_edu import cost, results
from senet_edu.models import create_model
from senet_edu.models.price import REDUCTIONS, added, price
from senet_edu.models.registry import NETWORKS
from senet_edu.widgets import PriceExplorer
from senet_edu.widgets.price import NAME

RECORD = results.load_record(NAME)
PAGE = Path(__file__).resolve().parents[1] / "notebooks" / "04_one_block_any_network.ipynb"


@pytest.mark.parametrize("name", ["resnet18", "bn_inception", "sk_resnet18"])
def test_the_record_is_what_is_counted(name: str) -> None:
    assert price(NETWORKS[name]) == RECORD["networks"][name]


def test_the_record_has_every_network() -> None:
    assert RECORD["reductions"] == list(REDUCTIONS)
    assert list(RECORD["networks"]) == list(NETWORKS)
    for name, network in NETWORKS.items():
        stages = tuple(map(int, RECORD["networks"][name]["stages"]))
        assert stages == (network.stages if network.with_se else ())
        assert RECORD["networks"][name]["source"] == network.source


def test_sums_are_the_rows_of_the_table_that_the_chapter_counted() -> None:
    """Every network, plain and with SE in all stages at r = 16, as chapter 04's table counts whole networks."""
    state = nbformat.read(PAGE, as_version=4).metadata.widgets["application/vnd.jupyter.widget-state+json"].state
    (rows,) = [one["state"]["rows"] for one in state.values() if "rows" in one["state"]]
    counts = {row["network"]: (row["parameters"], row["multiply_adds"]) for row in rows}
    assert len(counts) == sum(len(network.names) for network in NETWORKS.values())
    for network in NETWORKS.values():
        known = RECORD["networks"][network.name]
        plain = known["parameters"], known["multiply_adds"]
        whole = tuple(one + more for one, more in zip(plain, added(known, 16, network.stages), strict=True))
        if network.plain:
            assert counts[network.names[0]] == plain
        if network.with_se:
            assert counts[network.names[-1]] == whole


@pytest.mark.parametrize(
    ("name", "reduction", "stages"),
    [("resnet18", 32, (5,)), ("resnet50", 2, (2, 4)), ("vgg16", 8, (1, 3, 5)), ("preact_resnet110", 32, (2,))],
)
def test_sums_are_networks_with_that_r_and_those_stages(name: str, reduction: int, stages: tuple[int, ...]) -> None:
    network, known = NETWORKS[name], RECORD["networks"][name]
    settings = {"num_classes": network.num_classes, **network.counted}
    with torch.device("meta"):
        model = create_model(network.names[-1], reduction=reduction, stages=stages, **settings)
    weights, adds = added(known, reduction, stages)
    assert cost.parameters(model) == known["parameters"] + weights
    assert cost.multiply_adds(model, network.size) == known["multiply_adds"] + adds
    assert weights == cost.se_parameters(model)


def test_traits_refuse_what_is_not_there() -> None:
    explorer = PriceExplorer()
    for trait, value, message in (
        ("network", "resnet19", "no network 'resnet19'; there are resnet18"),
        ("network", "", "no network ''"),
        ("beside", "lenet", "no network 'lenet'"),
        ("reduction", 3, r"one of \[2, 4, 8, 16, 32\]"),
        ("stages", [0, 2], r"1 to 5, not \[0\]"),
    ):
        before = getattr(explorer, trait)
        with pytest.raises(traitlets.TraitError, match=message):
            setattr(explorer, trait, value)
        assert getattr(explorer, trait) == before
    explorer.beside, explorer.stages = "", [5, 2, 5]
    assert explorer.stages == [2, 5]
    assert repr(explorer) == "PriceExplorer(network='resnet50', beside='', reduction=16, stages=[2, 5])"
    with pytest.raises(traitlets.TraitError, match="lenet"):
        PriceExplorer(network="lenet")


def test_the_data_are_small() -> None:
    assert len(json.dumps(PriceExplorer().prices)) < 30_000


def test_the_page_says_python_s_sentence(node) -> None:
    code = """
        const { cost, sentence } = await import("$AT/price.mjs");
        result = given.asked.map(([name, r, stages]) =>
            sentence(name, given.prices[name], cost(given.prices[name], r, stages.map(String)), r));
    """
    explorer = PriceExplorer()
    chosen = [(), (3,), (2, 5), (1, 2, 3, 4, 5)]
    asked = list(itertools.product(explorer.prices, explorer.reductions, chosen))
    answers = node(code, {"prices": explorer.prices, "asked": asked})
    for (name, reduction, stages), said in zip(asked, answers, strict=True):
        explorer.reduction, explorer.stages = reduction, list(stages)
        assert said == explorer.sentence(name)
    assert "stages 2, 3, 4, 5: 2,530,992 weights more (9.90 %), 2,514,944 multiply-adds more (0.065 %)." in "".join(
        answers
    )
