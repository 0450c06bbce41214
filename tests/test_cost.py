"""Counts against facts.md's: exact numbers of the papers' networks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import senet_edu as se
from senet_edu import cost

CIFAR_RESNET18 = {64: 2, 128: 2, 256: 2, 512: 2}
RESNET50 = {256: 3, 512: 4, 1024: 6, 2048: 3}


@pytest.mark.parametrize("r", [2, 4, 8, 16, 32])
def test_eq_5_equals_the_weights_of_networks_without_biases(r: int) -> None:
    plain, with_se = (se.create_model(n, reduction=r, bias=False) for n in ("resnet18", "se_resnet18"))
    assert cost.added_weights(CIFAR_RESNET18, r) == 1_392_640 / r
    assert cost.parameters(with_se) - cost.parameters(plain) == 1_392_640 / r
    assert cost.se_parameters(with_se) == 1_392_640 / r
    assert cost.se_parameters(plain) == 0


def test_eq_5_for_se_resnet50() -> None:
    assert cost.added_weights(RESNET50, 16) == 2_514_944
    stages = [cost.added_weights({c: n}, 16) for c, n in RESNET50.items()]
    assert stages == [24_576, 131_072, 786_432, 1_572_864]
    assert stages[-1] / sum(stages) == pytest.approx(0.625, abs=5e-4)


@given(r=st.integers(1, 64))
def test_halving_the_ratio_doubles_the_weights(r: int) -> None:
    assert cost.added_weights(CIFAR_RESNET18, r) == pytest.approx(2 * cost.added_weights(CIFAR_RESNET18, 2 * r))


def test_eq_5_refuses_r_below_1() -> None:
    with pytest.raises(ValueError, match="r = 0"):
        cost.added_weights(CIFAR_RESNET18, 0)


def test_multiply_adds_of_cifar_resnet18() -> None:
    plain = cost.multiply_adds(se.create_model("resnet18"))
    assert plain == pytest.approx(555.42e6, abs=0.01e6)
    with_se = cost.multiply_adds(se.create_model("se_resnet18"))
    assert with_se - plain == 1_392_640 / 16  # each SE weight is used once an image
    assert (with_se - plain) / plain == pytest.approx(0.00016, abs=1e-5)


def test_multiply_adds_of_resnet50_are_torchvisions() -> None:
    model = se.create_model("resnet50", num_classes=1000, stem="imagenet")
    assert cost.multiply_adds(model, (3, 224, 224)) == pytest.approx(4.09e9, rel=2e-3)


def test_both_counters_agree_on_gates_at_each_position() -> None:
    """NoSqueeze on ResNet-50 adds 0.411 G multiply-adds: the two layers work at every position."""
    settings = {"num_classes": 1000, "stem": "imagenet", "variant": "caffe"}
    with torch.device("meta"):
        plain, with_se = (
            se.create_model("resnet50", **settings),
            se.create_model("se_resnet50", squeeze="none", **settings),
        )
    size = (3, 224, 224)
    assert cost.multiply_adds(with_se, size) == cost.multiply_adds_by_torch(with_se, size)
    assert cost.multiply_adds(with_se, size) - cost.multiply_adds(plain, size) == pytest.approx(0.411e9, abs=5e5)


@given(
    channels=st.integers(1, 3),
    groups=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    side=st.tuples(st.integers(9, 12), st.integers(9, 12)),
)
def test_both_counters_agree_on_convolutions(channels, groups, kernel, stride, dilation, side) -> None:
    conv = torch.nn.Conv2d(
        channels * groups, 2 * groups, kernel, stride, dilation=dilation, groups=groups, device="meta"
    )
    size = (channels * groups, *side)
    assert cost.multiply_adds(conv, size) == cost.multiply_adds_by_torch(conv, size) > 0


def test_the_counter_refuses_weights_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="ConvTranspose2d"):
        cost.multiply_adds(torch.nn.Sequential(torch.nn.ConvTranspose2d(3, 4, 3)))


def test_counting_leaves_the_network_alone() -> None:
    model = se.create_model("se_resnet18", width=1 / 16)
    model.train()
    cost.multiply_adds(model)
    assert model.training
    assert next(model.parameters()).device.type == "cpu"
