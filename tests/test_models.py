"""The named networks: counts, stage sizes, torchvision's weights, and SE in the right places."""

from __future__ import annotations

import sys

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from senet_edu import cost, excitations
from senet_edu.blocks import SEBlock, foreign_gates
from senet_edu.models import create_model, list_models, se_blocks
from senet_edu.models.legacy import from_legacy_senet
from senet_edu.models.registry import NETWORKS, Network, find, register
from senet_edu.models.table import Row, count_network
from senet_edu.selective import sk_blocks

VARIANTS = ("torchvision", "caffe")
NAMES_18 = ["SE_2_1", "SE_2_2", "SE_3_1", "SE_3_2", "SE_4_1", "SE_4_2", "SE_5_1", "SE_5_2"]


def empty(name: str, **kwargs) -> nn.Module:
    """A network on the meta device: shapes without values."""
    with torch.device("meta"):
        return create_model(name, **kwargs)


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def block_shapes(model: nn.Module, x: Tensor) -> list[tuple[int, ...]]:
    """Of every block's output, so that a stage that halves in its second block shows."""
    shapes = []
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        for block in stage:
            block.register_forward_hook(lambda module, inputs, out: shapes.append(tuple(out.shape[1:])))
    model(x)
    return shapes


def test_list_of_models():
    names = list_models()
    assert len(names) == len(set(names))
    assert set(names) >= {prefix + name for name in COUNTS for prefix in ("", "se_")}
    for name in names:
        network, with_se = find(name)
        assert network.with_se or not with_se
    with pytest.raises(ValueError, match="'resnet18' already"):
        register(NETWORKS["resnet18"])


# Every named network. Weights (plain, SE), and by stage: SE blocks, their channels at the end, the side of their maps.

COUNTS: dict[str, tuple[int, int, dict[int, tuple[int, int, int]]]] = {
    "resnet18": (11_689_512, 11_778_592, {2: (2, 64, 56), 3: (2, 128, 28), 4: (2, 256, 14), 5: (2, 512, 7)}),
    "resnet34": (21_797_672, 21_958_868, {2: (3, 64, 56), 3: (4, 128, 28), 4: (6, 256, 14), 5: (3, 512, 7)}),
    "resnet50": (25_557_032, 28_088_024, {2: (3, 256, 56), 3: (4, 512, 28), 4: (6, 1024, 14), 5: (3, 2048, 7)}),
    "resnet101": (44_549_160, 49_326_872, {2: (3, 256, 56), 3: (4, 512, 28), 4: (23, 1024, 14), 5: (3, 2048, 7)}),
    "resnet152": (60_192_808, 66_821_848, {2: (3, 256, 56), 3: (8, 512, 28), 4: (36, 1024, 14), 5: (3, 2048, 7)}),
    "resnext50": (25_028_904, 27_559_896, {2: (3, 256, 56), 3: (4, 512, 28), 4: (6, 1024, 14), 5: (3, 2048, 7)}),
    "resnext101": (44_177_704, 48_955_416, {2: (3, 256, 56), 3: (4, 512, 28), 4: (23, 1024, 14), 5: (3, 2048, 7)}),
    "vgg16": (
        138_365_992,
        138_596_784,
        {1: (2, 64, 224), 2: (2, 128, 112), 3: (3, 256, 56), 4: (3, 512, 28), 5: (3, 512, 14)},
    ),
    "googlenet": (6_624_904, 7_105_007, {3: (2, 480, 28), 4: (5, 832, 14), 5: (2, 1024, 7)}),
    "inception_v3": (23_834_568, 25_496_188, {3: (3, 288, 35), 4: (5, 768, 17), 5: (3, 2048, 8)}),
    "inception_resnet_v2": (55_843_464, 65_092_718, {3: (11, 320, 35), 4: (21, 1088, 17), 5: (11, 2080, 8)}),
    "mobilenet_v1": (
        4_231_976,
        4_718_044,
        {1: (1, 64, 112), 2: (2, 128, 56), 3: (2, 256, 28), 4: (6, 512, 14), 5: (2, 1024, 7)},
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_stages_of_a_named_network(name: str) -> None:
    """On the meta device, as the paper counts it: weights, multiply-adds by both counters, gates by stage."""
    network = NETWORKS[name]
    plain_weights, se_weights, stages = COUNTS[name]
    model = empty(f"se_{name}", num_classes=network.num_classes, **network.counted)
    assert empty(**model.config).config == model.config
    assert count(model) == se_weights
    blocks = se_blocks(model)
    assert list(blocks) == [f"SE_{stage}_{i}" for stage, (n, _, _) in stages.items() for i in range(1, n + 1)]

    shapes: dict[str, tuple[int, ...]] = {}
    for key, block in blocks.items():
        block.register_forward_hook(lambda _m, _i, out, key=key: shapes.update({key: tuple(out.shape[1:])}))
    multiply_adds = cost.multiply_adds(model, network.size)
    for stage, (n, channels, side) in stages.items():
        assert shapes[f"SE_{stage}_{n}"] == (channels, side, side)
        assert {shapes[f"SE_{stage}_{i}"][1] for i in range(1, n + 1)} == {side}
    assert multiply_adds == cost.multiply_adds_by_torch(model, network.size)

    plain = count_network(network, name)
    assert plain.parameters == plain_weights
    pooled = sum(layer.weight.numel() for block in blocks.values() for layer in (block.fc1, block.fc2))
    assert multiply_adds - plain.multiply_adds == pooled  # one gate a map: each SE weight is used once
    for printed, ours in zip(network.printed, (plain.multiply_adds, multiply_adds), strict=True):
        if printed is not None:
            close = abs(ours / (1e9 * printed) - 1) <= 0.005  # a larger difference needs a note
            assert close != bool(network.note), "a note is needed where the counts differ, and only there"


def test_what_se_adds_to_mobilenet_v1() -> None:
    """Without biases, 2/16 of the sum of C² over its thirteen pointwise convolutions."""
    channels = [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    assert cost.se_parameters(empty("se_mobilenet_v1", bias=False)) == sum(c * c // 8 for c in channels) == 479_744


def test_mobilenet_comes_with_se_of_its_own() -> None:
    """Weights as torchvision documents them; no second version with our blocks."""
    assert count_network(NETWORKS["mobilenet_v3_small"], "mobilenet_v3_small").parameters == 2_542_856
    assert "se_mobilenet_v3_small" not in list_models()
    assert len(foreign_gates(empty("mobilenet_v3_small"))) == 9


def test_another_number_of_input_channels_starts_with_kernels_of_the_same_law() -> None:
    """torchvision has no argument for it: the new first convolution has the old one's kernels, over and over."""
    networks = {}
    for channels in (3, 5):
        torch.manual_seed(0)
        networks[channels] = create_model("mobilenet_v3_small", in_channels=channels).state_dict()[
            "features.0.0.weight"
        ]
    assert torch.equal(networks[5], networks[3][:, [0, 1, 2, 0, 1]])


@pytest.mark.parametrize(
    ("change", "there"),
    [
        ({"halve_first": False}, lambda net: net.layer1[0].conv1.out_channels == 256),  # 128 with the change
        ({"deep_stem": False}, lambda net: net.stem[0][0].kernel_size == (7, 7)),
        ({"projection": 1}, lambda net: net.layer2[0].downsample[0].kernel_size == (1, 1)),
        ({"dropout": 0.5}, lambda net: net.dropout.p == 0.5),
    ],
)
def test_the_changes_of_senet154_one_by_one(change, there) -> None:
    """(a) to (d); (e) to (g) are settings of the recipe."""
    whole, without = empty("senet154"), empty("senet154", **change)
    assert there(without)
    assert not there(whole)
    assert without.config == whole.config | change


def test_arguments_of_one_kind_of_network() -> None:
    """They stand in `config`, which makes the same network again; other networks refuse them."""
    model = empty("sk_resnet18", width=0.25, branches=3, groups=[2, 1, 4], min_width=2, reduction=4)
    assert {sk.groups for sk in sk_blocks(model).values()} == {(2, 1, 4)}
    assert sk_blocks(model)["SK_5_2"].fc1.out_features == 128 // 4
    assert str(empty(**model.config)) == str(model)
    with pytest.raises(TypeError, match="se_resnet18 takes no branches, dropout; of its own it takes nothing"):
        empty("se_resnet18", dropout=0.1, branches=2)


def test_stages_may_come_one_by_one() -> None:
    one_by_one = (stage for stage in (2, 5))
    assert list(se_blocks(empty("se_resnet18", stages=one_by_one))) == ["SE_2_1", "SE_2_2", "SE_5_1", "SE_5_2"]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_named_network_runs(name: str) -> None:
    """Forward and backward on a small image; with gates of one it is the plain network, bit for bit."""
    network = NETWORKS[name]
    settings = {"num_classes": 7, "in_channels": 2} | ({"width": 0.25} if "width" in network.options else {})
    torch.manual_seed(0)
    model = create_model(network.names[-1], **settings)
    side = max(network.smallest, 32)
    x = torch.randn(2, 2, side + 1, side)
    logits = model(x)
    logits.square().sum().backward()
    assert logits.shape == (2, 7)
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    if network.plain and network.with_se:
        plain, weights = empty(name, **settings), model.eval().state_dict()
        plain.load_state_dict({key: weights[key] for key in plain.state_dict()}, assign=True)
        with torch.no_grad():
            wanted = plain.eval()(x)
            assert not torch.equal(model(x), wanted)
            with excitations.override_gates(model, dict.fromkeys(se_blocks(model), 1.0)):
                assert torch.equal(model(x), wanted)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("se_vgg16", {"stem": "cifar"}, "has only the stem 'imagenet'"),
        ("vgg16", {"width": 0.5}, "vgg16 has no choice of width"),
        ("se_googlenet", {"variant": "caffe"}, "no choice of variant"),
        ("se_inception_v3", {"placement": "pre"}, "no choice of placement"),
        ("se_googlenet", {"stages": (2, 3)}, r"can have SE: \[3, 4, 5\], not \[2\]"),
        ("mobilenet_v3_small", {"stages": (2,)}, r"can have SE: \[\], not \[2\]"),
        ("mobilenet_v3_small", {"bias": False}, "and so no bias"),
        ("sk_resnet18", {"reduction": 4, "squeeze": "none", "bias": False}, "and so no bias, squeeze"),
        ("sknet50", {"placement": "post"}, "and so no placement"),
        ("se_resnext50", {"width": 0.125}, "width = 0.125"),
    ],
)
def test_choices_that_a_network_does_not_have(name: str, settings: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        empty(name, **settings)


def test_timm_is_asked_for_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModuleNotFoundError, match="pip install timm"):
        create_model("se_mobilenet_v1")


def test_a_difference_is_that_of_the_standard_placement_only() -> None:
    row = Row("x", "", 1, 1_010_000_000, (3, 4, 4), 1.0, "", "")
    assert row.difference == pytest.approx(0.01)
    network = NETWORKS["resnet18"]
    assert count_network(network, "se_resnet18", placement="pre").difference is None
    assert count_network(Network(**vars(network) | {"printed": (1.8, 2.0)}), "resnet18").printed == 1.8


# The paper's variant, and the released weights


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50"])
@pytest.mark.parametrize("variant", ["torchvision", "caffe"])
def test_variants(name: str, variant: str) -> None:
    """Where the stride is, and the pooling; weights are counted alike."""
    model = empty(name, variant=variant, stem="imagenet")
    first = variant == "caffe" and name == "resnet50"
    strides = [layer.stride for layer in (model.layer2[0].conv1, model.layer2[0].conv2)]
    if name == "resnet18":
        assert strides == [(2, 2), (1, 1)]
    else:
        assert strides == ([(2, 2), (1, 1)] if first else [(1, 1), (2, 2)])
    pooled = model.maxpool(torch.empty(1, 1, 112, 113, device="meta"))
    assert pooled.shape[2:] == ((56, 56) if variant == "caffe" else (56, 57))
    assert count(model) == count(empty(name, stem="imagenet"))


def test_ceil_mode_keeps_the_last_column_and_pads_nothing() -> None:
    x = torch.arange(16.0).neg()[None, None, None].expand(1, 1, 16, 16)
    pools = {v: create_model("resnet18", stem="imagenet", variant=v, width=1 / 16).maxpool(x) for v in VARIANTS}
    assert pools["caffe"][0, 0, 0].tolist() == [-0.0, -2.0, -4.0, -6.0, -8.0, -10.0, -12.0, -14.0]
    assert pools["torchvision"][0, 0, 0].tolist() == [-0.0, -1.0, -3.0, -5.0, -7.0, -9.0, -11.0, -13.0]


@pytest.mark.parametrize("name", ["seresnet50", "seresnext50_32x4d"])
def test_released_weights_fit(name: str) -> None:
    """Through the documented mapping timm's network and ours put out the same."""
    torch.manual_seed(0)
    theirs = lively(timm.create_model(f"legacy_{name}", num_classes=9))
    ours = empty(f"se_{name[2:].removesuffix('_32x4d')}", num_classes=9, stem="imagenet", variant="caffe")
    ours.load_state_dict(from_legacy_senet(theirs.state_dict()), strict=True, assign=True)
    x = torch.randn(2, 3, 75, 50, dtype=torch.float64)
    with torch.no_grad():
        wanted = theirs(x)
        assert wanted.std() > 1e-3
        torch.testing.assert_close(ours.eval()(x), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "says"),
    [("legacy_seresnet18", "ReLU before SE"), ("legacy_senet154", "SENet-154"), ("resnet18", "no layer0.conv1")],
)
def test_other_layouts_are_refused(name: str, says: str) -> None:
    with torch.device("meta"):
        weights = timm.create_model(name).state_dict()
    with pytest.raises(ValueError, match=says):
        from_legacy_senet(weights)


@pytest.mark.parametrize("variant", VARIANTS)
def test_se_resnet50_for_mnist(variant: str) -> None:
    """28×28 halves four times to 2×2 and a fifth time to 1×1: nothing is left to pool, the mean changes nothing."""
    model = create_model("se_resnet50", in_channels=1, stem="imagenet", width=0.25, variant=variant).eval()
    maps: list[Tensor] = []
    model.layer4.register_forward_hook(lambda _m, _i, out: maps.append(out))
    with torch.no_grad():
        logits = model(torch.randn(3, 1, 28, 28))
        assert maps[0].shape == (3, 512, 1, 1)
        assert torch.equal(logits, model.fc(maps[0].flatten(1)))
    shapes = block_shapes(empty("se_resnet50", stem="imagenet"), torch.empty(2, 3, 28, 28, device="meta"))
    assert [shapes[i][1:] for i in (0, 3, 7, 13)] == [(7, 7), (4, 4), (2, 2), (1, 1)]


# Counts


@pytest.mark.parametrize(
    ("name", "settings", "wanted"),
    [
        ("resnet18", {}, 11_173_962),
        ("se_resnet18", {}, 11_263_042),
        ("se_resnet18", {"bias": False}, 11_261_002),
        ("se_resnet18", {"reduction": 2}, 11_873_162),
        ("se_resnet18", {"reduction": 4}, 11_524_522),
        ("se_resnet18", {"reduction": 8}, 11_350_202),
        ("se_resnet18", {"reduction": 32}, 11_219_462),
        ("se_resnet18", {"squeeze": "max"}, 11_263_042),
        ("se_resnet18", {"squeeze": "none", "gate": "relu"}, 11_263_042),
        ("se_resnet18", {"stages": ()}, 11_173_962),
        ("se_resnet18", {"placement": "pre", "bias": False}, 11_173_962 + 54_784),
        ("se_resnet50", {"placement": "pre", "bias": False, "stem": "imagenet"}, 23_528_522 + 1_991_168),
        ("se_resnet50", {"placement": "3x3", "bias": False, "stem": "imagenet"}, 23_528_522 + 2_514_944 // 16),
        ("resnet18", {"stem": "imagenet", "num_classes": 1000}, 11_689_512),
        ("se_resnet18", {"stem": "imagenet", "num_classes": 1000}, 11_778_592),
        ("se_resnet18", {"stem": "imagenet", "num_classes": 1000, "bias": False}, 11_776_552),
        ("resnet50", {"stem": "imagenet", "num_classes": 1000}, 25_557_032),
        ("se_resnet50", {"stem": "imagenet", "num_classes": 1000}, 28_088_024),
        ("se_resnet50", {"stem": "imagenet", "num_classes": 1000, "bias": False}, 28_071_976),
    ],
)
def test_parameter_counts(name, settings, wanted):
    assert count(empty(name, **settings)) == wanted


@pytest.mark.parametrize("reduction", [2, 4, 8, 16, 32])
def test_added_weights_of_cifar_se_resnet18(reduction):
    added = count(empty("se_resnet18", reduction=reduction, bias=False)) - count(empty("resnet18"))
    assert added == 1_392_640 // reduction


def test_added_weights_of_se_resnet50_by_stage():
    model = empty("se_resnet50", stem="imagenet", num_classes=1000, bias=False)
    added = dict.fromkeys((2, 3, 4, 5), 0)
    for name, block in se_blocks(model).items():
        added[int(name.split("_")[1])] += count(block)
    assert added == {2: 24_576, 3: 131_072, 4: 786_432, 5: 1_572_864}
    plain = count(model) - sum(added.values())
    assert round(100 * sum(added.values()) / plain, 2) == 9.84
    assert round(100 * (sum(added.values()) - added[5]) / plain, 2) == 3.69


# Shapes


@pytest.mark.parametrize("name", ["resnet18", "se_resnet18"])
def test_stage_sizes_cifar(name):
    shapes = block_shapes(empty(name), torch.empty(2, 3, 32, 32, device="meta"))
    assert shapes == [(64, 32, 32)] * 2 + [(128, 16, 16)] * 2 + [(256, 8, 8)] * 2 + [(512, 4, 4)] * 2


@pytest.mark.parametrize("name", ["resnet50", "se_resnet50"])
def test_stage_sizes_imagenet(name):
    shapes = block_shapes(empty(name, stem="imagenet"), torch.empty(2, 3, 224, 224, device="meta"))
    assert shapes == [(256, 56, 56)] * 3 + [(512, 28, 28)] * 4 + [(1024, 14, 14)] * 6 + [(2048, 7, 7)] * 3


def test_se_blocks_of_cifar_se_resnet18():
    blocks = se_blocks(empty("se_resnet18"))
    assert list(blocks) == NAMES_18
    assert [b.fc1.out_features for b in blocks.values()] == [4, 4, 8, 8, 16, 16, 32, 32]
    assert sum(b.fc2.out_features for b in blocks.values()) == 1920
    last = sum(count(blocks[name]) for name in ("SE_5_1", "SE_5_2"))
    bare = se_blocks(empty("se_resnet18", bias=False))
    share = sum(count(bare[name]) for name in NAMES_18[-2:]) / sum(count(block) for block in bare.values())
    assert round(100 * share, 1) == 75.3
    assert last == 2 * (2 * 512 * 32 + 512 + 32)


def test_fully_connected_sizes_of_se_resnet50():
    blocks = se_blocks(empty("se_resnet50", stem="imagenet"))
    sizes = [[b.fc1.out_features, b.fc2.out_features] for b in blocks.values()]
    assert sizes == [[16, 256]] * 3 + [[32, 512]] * 4 + [[64, 1024]] * 6 + [[128, 2048]] * 3
    depths = {2: 3, 3: 4, 4: 6, 5: 3}
    assert list(blocks) == [f"SE_{stage}_{i}" for stage, n in depths.items() for i in range(1, n + 1)]


def test_resnet34():
    model = empty("se_resnet34", stem="imagenet", num_classes=1000)
    assert [len(getattr(model, f"layer{i}")) for i in (1, 2, 3, 4)] == [3, 4, 6, 3]
    assert len(se_blocks(model)) == 16
    assert count(empty("resnet34", stem="imagenet", num_classes=1000)) == 21_797_672


def test_settings_reach_every_block():
    model = empty("se_resnet18", width=0.25, reduction=8, bias=False, squeeze="max", gate="tanh", min_hidden=3)
    blocks = se_blocks(model).values()
    assert [b.fc1.out_features for b in blocks] == [3, 3, 4, 4, 8, 8, 16, 16]
    assert all(b.squeeze == "max" and isinstance(b.gate, nn.Tanh) and b.fc1.bias is None for b in blocks)
    assert model.fc.in_features == 128


@pytest.mark.parametrize("stages", [(2,), (3, 5), {4}, [5, 2, 3], ()])
def test_stages(stages):
    model = empty("se_resnet18", stages=stages)
    assert list(se_blocks(model)) == [name for name in NAMES_18 if int(name[3]) in stages]
    assert sum(isinstance(m, SEBlock) for m in model.modules()) == 2 * len(stages)


# torchvision


def lively(model: nn.Module) -> nn.Module:
    """Float64, evaluation, and no norm left at its first values."""
    for module in model.double().eval().modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in (
                (module.weight, 0.5),
                (module.running_var, 0.5),
                (module.bias, -0.3),
                (module.running_mean, -0.3),
            ):
                nn.init.uniform_(values, low, low + 0.6)
    return model


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnext50_32x4d"])
def test_plain_networks_equal_torchvision(name):
    torch.manual_seed(0)
    theirs = lively(getattr(torchvision.models, name)(weights=None))
    ours = empty(name.removesuffix("_32x4d"), stem="imagenet", num_classes=1000).double().eval()
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    x = torch.randn(2, 3, 65, 50, dtype=torch.float64)
    with torch.no_grad():
        wanted = theirs(x)
        assert wanted.std() > 1e-3
        torch.testing.assert_close(ours(x), wanted, rtol=1e-9, atol=1e-9)


# SE in its place


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("training", [True, False])
def test_gates_of_one_give_the_plain_network_bit_for_bit(name, training):
    plain = create_model(name, width=0.125).train(training)
    se = create_model(f"se_{name}", width=0.125).train(training)
    missing, unexpected = se.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert missing
    assert all(".se.fc" in key for key in missing)
    x = torch.randn(3, 3, 20, 20)
    with torch.no_grad():
        wanted = plain(x)
        assert not torch.equal(se(x), wanted)
        se.load_state_dict(plain.state_dict(), strict=False)  # training moved the batch statistics
        for block in se_blocks(se).values():
            block.gate.register_forward_hook(lambda module, inputs, s: torch.ones_like(s))
        assert torch.equal(se(x), wanted)


@pytest.mark.parametrize("name", ["se_resnet18", "se_resnet50"])
def test_gates_of_zero_leave_the_skip(name):
    """SE is on the branch, after its last BN: with gates of zero a block is the ReLU of its skip."""
    model = create_model(name, width=0.125).eval()
    for block in se_blocks(model).values():
        block.gate.register_forward_hook(lambda module, inputs, s: torch.zeros_like(s))
    for stage in (model.layer1, model.layer2):
        for unit in stage:
            x = torch.randn(2, unit.conv1.in_channels, 6, 6)
            nn.init.constant_(getattr(unit, "bn3", unit.bn2).bias, 1.0)  # a BN after the gates would show
            with torch.no_grad():
                assert torch.equal(unit(x), torch.relu(unit.downsample(x)))


# It runs


@pytest.mark.parametrize("name", ["resnet18", "se_resnet18", "resnet50", "se_resnet50"])
@pytest.mark.parametrize(("stem", "size"), [("cifar", (33, 31)), ("cifar", (7, 5)), ("imagenet", (65, 47))])
def test_forward_and_backward_on_odd_sizes(name, stem, size):
    model = create_model(name, num_classes=7, in_channels=2, stem=stem, width=0.0625)
    logits = model(torch.randn(2, 2, *size))
    logits.square().sum().backward()
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


def test_weights_follow_the_global_seed():
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in create_model("se_resnet18", width=0.0625).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_first_weights_of_the_convolutions():
    torch.manual_seed(0)
    model = create_model("resnet18", width=0.5)
    w = model.layer3[1].conv2.weight
    assert w.std().item() == pytest.approx((2 / (9 * w.shape[0])) ** 0.5, rel=0.02)  # He, fan out


# Errors


@pytest.mark.parametrize("name", ["resnet19", "se_se_resnet18", "ResNet18", "", "se_"])
def test_unknown_name(name):
    with pytest.raises(ValueError, match="no network .*se_resnet18"):
        create_model(name)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"stem": "mnist"}, "'cifar' or 'imagenet', not 'mnist'"),
        ({"variant": "tensorflow"}, "'torchvision' or 'caffe', not 'tensorflow'"),
        ({"placement": "before"}, "placement is one of .*'3x3'"),
        ({"stages": (1, 2)}, r"2, 3, 4, 5\], not \[1\]"),
        ({"stages": (5, 6)}, r"2, 3, 4, 5\], not \[6\]"),
        ({"width": 0.001}, "width = 0.001"),
        ({"width": 0.0}, "width"),
        ({"reduction": 0}, "C = 64, r = 0"),
        ({"reduction": 128, "min_hidden": 0}, "C = 64, r = 128"),
        ({"squeeze": "mean"}, "squeeze is one of"),
        ({"gate": "softmax"}, "gate is one of"),
    ],
)
def test_argument_errors(settings, says):
    with pytest.raises(ValueError, match=says):
        create_model("se_resnet18", **settings)
