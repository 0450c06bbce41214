"""What attention costs: equation 5 of the SENet paper, NoSqueeze of its table 16, memory traffic, time."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import SqueezeExcitation

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


def test_blocks_of_other_libraries_are_se_blocks_too() -> None:
    net = se.create_model("mobilenet_v3_small")
    theirs = [m for m in net.modules() if isinstance(m, SqueezeExcitation)]
    assert cost.se_parameters(net) == sum(p.numel() for block in theirs for p in block.parameters()) > 0
    moved = cost.memory_traffic(net)
    assert min(moved[kind] for kind in ("squeeze", "excite", "scale")) > 0


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


MAP = 4 * 64 * 32 * 32  # bytes of 64 maps of 32×32 in float32
SE_KINDS = ("squeeze", "excite", "scale")


def residual_block(name: str) -> torch.nn.Module:
    """The first of a network: 64 channels in and out."""
    return se.create_model(name).layer1[0]


def test_traffic_of_a_residual_block_is_fifteen_passes_and_se_adds_three() -> None:
    plain = cost.memory_traffic(residual_block("resnet18"), (64, 32, 32))
    twice = {"convolution": 4 * MAP, "BN": 4 * MAP, "ReLU": 4 * MAP}  # two of each, which read and write
    assert plain == twice | {"sum": 3 * MAP, "squeeze": 0, "excite": 0, "scale": 0, "rest": 0}

    with_se = cost.memory_traffic(residual_block("se_resnet18"), (64, 32, 32))
    z, hidden = 4 * 64, 4 * 4  # bytes of z and s, and of the hidden layer
    assert with_se["squeeze"] == MAP + z
    assert with_se["scale"] == 2 * MAP + z
    assert with_se["excite"] == (z + hidden) + 2 * hidden + (hidden + z) + 2 * z  # linear, ReLU, linear, sigmoid
    assert {kind: with_se[kind] for kind in plain if kind not in SE_KINDS} == {
        kind: plain[kind] for kind in plain if kind not in SE_KINDS
    }


def test_se_moves_more_than_a_thousand_times_its_share_of_the_arithmetic() -> None:
    plain, with_se = (se.create_model(name) for name in ("resnet18", "se_resnet18"))
    bytes_more = sum(cost.memory_traffic(with_se).values()) / sum(cost.memory_traffic(plain).values()) - 1
    arithmetic_more = cost.multiply_adds(with_se) / cost.multiply_adds(plain) - 1
    assert bytes_more == pytest.approx(0.171, abs=5e-4)
    assert arithmetic_more == pytest.approx(0.00016, abs=5e-6)


@pytest.mark.parametrize("block", [se.SEBlock(64), se.SEBlock(64, squeeze="max"), residual_block("se_resnet18")])
def test_traffic_of_maps_grows_with_their_positions(block: torch.nn.Module) -> None:
    channels = 64
    small, large = (cost.memory_traffic(block, (channels, 8, width)) for width in (8, 24))
    z = 4 * channels
    for kind in small:
        fixed = {"squeeze": z, "scale": z, "excite": small["excite"]}.get(kind, 0)
        assert large[kind] - fixed == 3 * (small[kind] - fixed), kind


def test_half_precision_moves_half_the_bytes() -> None:
    whole, half = (cost.memory_traffic(block, (64, 8, 8)) for block in (se.SEBlock(64), se.SEBlock(64).half()))
    assert whole == {kind: 2 * moved for kind, moved in half.items()}


def test_nosqueeze_squeezes_nothing_and_excites_everywhere() -> None:
    gates = cost.memory_traffic(se.SEBlock(64, squeeze="none"), (64, 8, 8))
    assert gates["squeeze"] == 0
    assert gates["scale"] == 3 * 4 * 64 * 8 * 8  # reads U and a gate for each of its numbers, writes as many
    # Besides the 64 positions, a copy that brings the channels last, and biases that are added by themselves:
    assert gates["excite"] >= 64 * cost.memory_traffic(se.SEBlock(64), (64, 8, 8))["excite"]


def test_in_place_operations_move_as_much_and_weights_nothing() -> None:
    for in_place in (False, True):
        layers = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 1), torch.nn.ReLU(in_place), torch.nn.Flatten())
        moved = cost.memory_traffic(layers, (3, 4, 4))
        assert (moved["convolution"], moved["ReLU"], moved["rest"]) == (4 * 16 * (3 + 5), 4 * 16 * 2 * 5, 0)


def test_counting_traffic_leaves_the_network_alone() -> None:
    block = se.SEBlock(8).train()
    cost.memory_traffic(block, (8, 4, 4))
    assert block.training
    assert block.fc1.weight.device.type == "cpu"
    assert not block._forward_hooks
    assert not block._forward_pre_hooks


def test_functions_take_turns_and_their_median_is_taken() -> None:
    calls: list[str] = []
    clock = [0.0]
    slow = iter([9.0, 9.0, 1.0, 5.0, 2.0])  # two turns to warm up, then three whose median is 2

    def a() -> None:
        calls.append("a")
        clock[0] += next(slow)

    def b() -> None:
        calls.append("b")
        clock[0] += 0.5

    assert cost.median_seconds({"a": a, "b": b}, repeats=3, clock=lambda: clock[0]) == {"a": 2.0, "b": 0.5}
    assert calls == ["a", "b"] * 5


def test_time_is_that_on_the_wall_unless_asked() -> None:
    def nap() -> None:
        time.sleep(0.02)

    assert cost.median_seconds({"nap": nap}, repeats=1)["nap"] >= 0.02
    assert cost.median_seconds({"nap": nap}, repeats=1, clock=time.process_time)["nap"] < 0.02


def test_a_module_without_weights_is_counted_in_float32() -> None:
    assert cost.multiply_adds(torch.nn.ReLU()) == 0
    moved = cost.memory_traffic(torch.nn.ReLU(), (3, 8, 8))
    assert moved["ReLU"] == sum(moved.values()) == 2 * 4 * 3 * 8 * 8


def test_what_is_read_from_a_list_counts() -> None:
    """A concatenation reads all its parts."""

    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))  # gives the type

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, x], dim=1)

    assert sum(cost.memory_traffic(Twice(), (2, 4, 4)).values()) == 4 * (2 * 32 + 64)
