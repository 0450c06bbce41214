"""Networks that no kept library gives: SKNets, BN-Inception, SENet-154 and pre-activation ResNets.

Counts named "released" were added up, layer by layer, from the authors' published model definitions.
"""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from timm.models.senet import SEBottleneck, SENet
from torch import Tensor, nn

from senet_edu import cost
from senet_edu.blocks import SEBlock
from senet_edu.excitations import override_gates, record_attention
from senet_edu.excitations.overriding import removed_after
from senet_edu.models import create_model, list_models, se_blocks
from senet_edu.models.bn_inception import HalvingPool
from senet_edu.models.registry import NETWORKS, find
from senet_edu.models.senet154 import SENet154
from senet_edu.models.sknet import SKBasic, SKBottleneck, sk_resnet18, sknet
from senet_edu.selective import sk_blocks

IMAGENET = (3, 224, 224)


@cache
def empty(name: str, num_classes: int = 1000, **settings) -> nn.Module:
    """Shapes without values (meta device), to be counted and left as it is."""
    with torch.device("meta"):
        return create_model(name, num_classes, **settings)


def numbered(prefix: str, depths: dict[int, int]) -> list[str]:
    return [f"{prefix}_{stage}_{i}" for stage, depth in depths.items() for i in range(1, depth + 1)]


def drawn(model: nn.Module, seed: int = 0) -> nn.Module:
    """Nothing left at its first value, running statistics included."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low in ((module.weight, 0.5), (module.running_var, 0.5), (module.bias, -0.3)):
                nn.init.uniform_(value, low, low + 0.6, generator=generator)
            nn.init.uniform_(module.running_mean, -0.3, 0.3, generator=generator)
    return model


# Counts


@pytest.mark.parametrize(
    ("name", "weights", "released_macs", "printed_weights", "printed_macs"),
    [
        ("sknet50", 27_479_784, 4_462_710_784, 27.5e6, 4.47e9),
        # The released SKNet-101 has d = 16 in stage 3, against eq. 4: four times 16 rows of W and columns of A and B
        ("sknet101", 48_686_760 + 4 * 16 * (256 + 512 + 2), 8_448_675_840 + 4 * 16 * (256 + 512), 48.9e6, 8.46e9),
        ("se_bn_inception", 11_931_622, 2_033_239_424, None, 2.04e9),
        ("senet154", 115_088_984, 20_688_363_520, None, None),
    ],
)
def test_counts_of_the_released_networks(name, weights, released_macs, printed_weights, printed_macs):
    model = empty(name)
    macs = cost.multiply_adds(model, IMAGENET)
    assert cost.parameters(model) == weights
    assert macs == released_macs
    if printed_weights:
        assert weights == pytest.approx(printed_weights, rel=5e-3)
    if printed_macs:
        assert macs == pytest.approx(printed_macs, rel=5e-3)


def test_plain_bn_inception():
    plain, se = empty("bn_inception"), empty("se_bn_inception", bias=False)
    widths = {256: 1, 320: 1, 576: 3, 608: 2, 1056: 1, 1024: 2}
    added = sum(n * 2 * c * (c // 16) for c, n in widths.items())
    assert added == cost.added_weights(widths, 16)
    assert cost.parameters(se) - cost.parameters(plain) == added
    assert cost.multiply_adds(plain, IMAGENET) == 2_033_239_424 - added
    assert cost.multiply_adds(plain, IMAGENET) == pytest.approx(2.03e9, rel=5e-3)


def norm_and_conv(c: int, out: int, kernel: int) -> int:
    return 2 * c + c * out * kernel**2


def weights_of_basic(c: int, w: int) -> int:
    return norm_and_conv(c, w, 3) + norm_and_conv(w, w, 3) + (c * w if c != w else 0)


def weights_of_bottleneck(c: int, w: int) -> int:
    branch = norm_and_conv(c, w, 1) + norm_and_conv(w, w, 3) + norm_and_conv(w, 4 * w, 1)
    return branch + (4 * c * w if c != 4 * w else 0)


@pytest.mark.parametrize(
    ("name", "unit", "expansion"),
    [("preact_resnet110", weights_of_basic, 1), ("preact_resnet164", weights_of_bottleneck, 4)],
)
def test_weights_of_preactivation_resnets(name, unit, expansion):
    """1.7 M each, as the paper of pre-activation says; SE adds what eq. 5 says."""
    weights, c = 27 * 16, 16
    for w in (16, 32, 64):
        weights += unit(c, w) + 17 * unit(expansion * w, w)
        c = expansion * w
    weights += 2 * c + 10 * c + 10
    plain, se = empty(name, 10), empty(f"se_{name}", 10, bias=False)
    assert cost.parameters(plain) == weights
    assert round(weights / 1e6, 1) == 1.7
    widths = {expansion * w: 18 for w in (16, 32, 64)}
    assert cost.parameters(se) - weights == cost.added_weights(widths, 16)


@pytest.mark.parametrize("width", [1.0, 0.25])
def test_sk_resnet18_costs_what_resnet18_does_but_for_the_attention(width):
    sk, plain = (empty(name, 10, width=width) for name in ("sk_resnet18", "resnet18"))
    attention = sum(layer.weight.numel() for block in sk_blocks(sk).values() for layer in (block.fc1, block.fc2))
    assert cost.multiply_adds(sk) - cost.multiply_adds(plain) == attention
    assert attention < 0.01 * cost.multiply_adds(plain)
    branches = sk_resnet18(10, 3, width=width, attention=False)
    norms = sum(2 * block.channels for block in sk_blocks(branches).values())  # each unit has one BN more
    assert cost.parameters(branches) - cost.parameters(plain) == norms


@pytest.mark.parametrize("name", list_models())
def test_two_counters_agree_on_every_named_network(name):
    """Ours goes by layers, PyTorch's by operations. At the paper's own size: without numbers all sizes are as quick."""
    network, _ = find(name)
    model = empty(name, network.num_classes, **network.counted)
    assert cost.multiply_adds(model, network.size) == cost.multiply_adds_by_torch(model, network.size)


# Names and sizes


@pytest.mark.parametrize(
    ("name", "depths"),
    [
        ("se_bn_inception", {3: 3, 4: 5, 5: 2}),
        ("senet154", {2: 3, 3: 8, 4: 36, 5: 3}),
        ("se_preact_resnet110", {2: 18, 3: 18, 4: 18}),
        ("se_preact_resnet164", {2: 18, 3: 18, 4: 18}),
    ],
)
def test_gates_are_named_by_stage_and_block(name, depths):
    assert list(se_blocks(empty(name))) == numbered("SE", depths)
    last = max(depths)
    assert list(se_blocks(empty(name, stages=(last,)))) == numbered("SE", {last: depths[last]})


@pytest.mark.parametrize(
    ("name", "depths"),
    [
        ("sknet50", {2: 3, 3: 4, 4: 6, 5: 3}),
        ("sknet101", {2: 3, 3: 4, 4: 23, 5: 3}),
        ("sk_resnet18", dict.fromkeys((2, 3, 4, 5), 2)),
    ],
)
def test_selective_kernels_are_named_by_stage_and_block(name, depths):
    blocks = sk_blocks(empty(name))
    assert list(blocks) == numbered("SK", depths)
    assert all(block.dilations == (1, 2) for block in blocks.values())
    assert {block.groups for block in blocks.values()} == {(2, 2) if name == "sk_resnet18" else (32, 32)}


def sizes(model: nn.Module, modules: list[nn.Module], size: tuple[int, ...]) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []

    def look(module: nn.Module, inputs: object, out: Tensor) -> None:
        found.append(tuple(out.shape[1:]))

    with removed_after(module.register_forward_hook(look) for module in modules):
        model.eval()(torch.empty(1, *size, device="meta"))
    return found


def test_stage_sizes():
    for name, depth in (("sknet50", 6), ("sknet101", 23)):
        model = empty(name)
        units = [unit for i in (1, 2, 3, 4) for unit in getattr(model, f"layer{i}")]
        wanted = [(256, 56, 56)] * 3 + [(512, 28, 28)] * 4 + [(1024, 14, 14)] * depth + [(2048, 7, 7)] * 3
        assert sizes(model, units, IMAGENET) == wanted

    model = empty("sk_resnet18")
    units = [unit for i in (1, 2, 3, 4) for unit in getattr(model, f"layer{i}")]
    wanted = [(64, 32, 32)] * 2 + [(128, 16, 16)] * 2 + [(256, 8, 8)] * 2 + [(512, 4, 4)] * 2
    assert sizes(model, units, (3, 32, 32)) == wanted

    model = empty("mobilenet_v3_small")
    wanted = [(16, 112, 112), (16, 56, 56)] + [(24, 28, 28)] * 2 + [(40, 14, 14)] * 3 + [(48, 14, 14)] * 2
    wanted += [(96, 7, 7)] * 3 + [(576, 7, 7)]
    assert sizes(model, list(model.features), IMAGENET) == wanted

    model = empty("senet154")
    units = [unit for i in (1, 2, 3, 4) for unit in getattr(model, f"layer{i}")]
    wanted = [(256, 56, 56)] * 3 + [(512, 28, 28)] * 8 + [(1024, 14, 14)] * 36 + [(2048, 7, 7)] * 3
    assert sizes(model, units, IMAGENET) == wanted

    model = empty("bn_inception")
    wanted = [(256, 28, 28), (320, 28, 28), (576, 14, 14), (576, 14, 14), (576, 14, 14), (608, 14, 14), (608, 14, 14)]
    wanted += [(1056, 7, 7), (1024, 7, 7), (1024, 7, 7)]
    assert sizes(model, list(model.blocks.values()), IMAGENET) == wanted

    for name, expansion in (("preact_resnet110", 1), ("preact_resnet164", 4)):
        model = empty(name)
        units = [unit for i in (1, 2, 3) for unit in getattr(model, f"layer{i}")]
        by_stage = [(16, 32, 32), (32, 16, 16), (64, 8, 8)]
        wanted = [(expansion * c, h, w) for c, h, w in by_stage for _ in range(18)]
        assert sizes(model, units, (3, 32, 32)) == wanted


# They run


@pytest.mark.parametrize(
    ("name", "width", "size"),
    [
        ("sknet50", 0.5, (61, 59)),
        ("sk_resnet18", 0.25, (29, 27)),
        ("se_bn_inception", 0.125, (61, 59)),
        ("senet154", 1 / 32, (61, 59)),
        ("se_preact_resnet110", 0.25, (13, 11)),
    ],
)
def test_forward_and_backward_on_odd_sizes(name, width, size):
    torch.manual_seed(0)
    model = create_model(name, 7, 2, width=width)
    logits = model(torch.randn(2, 2, *size))
    logits.square().sum().backward()
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()
    for key, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("name", [network.name for network in NETWORKS.values() if len(network.names) == 2])
def test_a_plain_twin_runs_backward(name):
    """The twins with SE, and networks without a twin, do so in `test_a_named_network_runs`, from their first weights.

    Here weights are drawn at once for all layers: VGG-16's own first ones take seconds.
    """
    torch.manual_seed(0)
    with torch.device("meta"):
        model = create_model(name, 7, 2, **({"width": 0.25} if "width" in NETWORKS[name].options else {}))
    model.to_empty(device="cpu")
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.05, 0.05)
    side = max(NETWORKS[name].smallest, 32)
    model(torch.randn(2, 2, side + 1, side)).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


def test_gates_of_one_give_the_plain_senet154():
    small = {"depths": (1, 2, 1, 1), "width": 1 / 16}
    plain, se = drawn(SENet154(7, 3, **small)).eval(), SENet154(7, 3, SEBlock, **small).eval()
    se.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        wanted = plain(x)
        assert not torch.equal(se(x), wanted)
        with override_gates(se, dict.fromkeys(se_blocks(se), 1.0)):
            assert torch.equal(se(x), wanted)


def test_gates_of_zero_leave_the_skip_of_a_preactivation_unit():
    model = drawn(create_model("se_preact_resnet164", width=0.25)).eval()
    unit = model.layer2[1]
    unit.se.gate.register_forward_hook(lambda module, inputs, s: torch.zeros_like(s))
    x = torch.randn(2, unit.convs[0].in_channels, 6, 6)
    assert torch.equal(unit(x), x)


def test_gates_of_zero_silence_a_whole_inception_module():
    model = drawn(create_model("se_bn_inception", width=0.125)).eval()
    module = model.blocks["3c"]
    module.se.gate.register_forward_hook(lambda module, inputs, s: torch.zeros_like(s))
    in_channels = model.blocks["3b"].out_channels
    out = module(torch.randn(2, in_channels, 8, 8))
    assert out.shape == (2, module.out_channels, 4, 4)
    assert not out.any()  # the pooled input too: SE comes after the concatenation


@pytest.mark.parametrize("size", range(1, 10))
def test_halving_pool_is_caffes(size):
    """Windows of three from every second pixel on, also where only a part of one is left."""
    x = torch.randn(1, 2, size, 6) - 5  # no zero of a padding wins
    out = HalvingPool()(x)
    wanted = [[x[0, :, i : i + 3, j : j + 3].amax((1, 2)) for j in range(0, 6, 2)] for i in range(0, size, 2)]
    assert torch.equal(out[0], torch.stack([torch.stack(row, -1) for row in wanted], 1))
    if size % 2 == 0:
        assert torch.equal(out, nn.functional.max_pool2d(x, 3, 2, ceil_mode=True))


# BN-Inception


def test_bn_inception_by_hand():
    """Convolution, BN, ReLU throughout. Pooling is the mean, but the maximum where it halves the side, and in 5b."""
    torch.manual_seed(0)
    model = drawn(create_model("se_bn_inception", width=1 / 32, reduction=2)).double().eval()

    def conv(layers: nn.Sequential, u: Tensor) -> Tensor:
        return layers[1](layers[0](u)).clamp(min=0)

    def halved(u: Tensor) -> Tensor:  # all sides are even here
        return nn.functional.max_pool2d(u, 3, 2, ceil_mode=True)

    x = torch.randn(2, 3, 96, 64, dtype=torch.float64)
    u = halved(conv(model.stem[0], x))
    u = halved(conv(model.stem[3], conv(model.stem[2], u)))
    torch.testing.assert_close(model.stem(x), u)
    for name, module in model.blocks.items():
        *one, three, double, pool = module.branches
        out = [conv(layers, u) for layers in one]
        out.append(conv(three[1], conv(three[0], u)))
        out.append(conv(double[2], conv(double[1], conv(double[0], u))))
        windows = nn.functional.pad(u, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)  # [N, C, H, W, 3, 3]; no u < 0
        if name in ("3c", "4e"):
            out.append(halved(u))
        else:
            out.append(conv(pool[1], windows.amax((4, 5)) if name == "5b" else windows.mean((4, 5))))
        u, before = module.se(torch.cat(out, 1)), u
        torch.testing.assert_close(module(before), u)
    torch.testing.assert_close(model(x), model.fc(u.mean((2, 3))))


# Pre-activation


def test_a_preactivation_unit_by_hand():
    model = drawn(create_model("preact_resnet110", width=0.25)).double().eval()
    first, second = model.layer2[0], model.layer2[1]
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)

    u = first.norms[0](x).relu()
    branch = first.convs[1](first.norms[1](first.convs[0](u)).relu())
    out = first(x)
    torch.testing.assert_close(out, branch + first.projection(u))  # the skip shares the first BN and ReLU
    assert out.shape == (2, 8, 3, 3)
    branch = second.convs[1](second.norms[1](second.convs[0](second.norms[0](out).relu())).relu())
    torch.testing.assert_close(second(out), branch + out)
    assert (second(out) < 0).any()  # no ReLU after the sum


# SENet-154


def test_senet154_equals_timms():
    """With random weights, copied in the order of the layers; four units in place of fifty."""
    torch.manual_seed(0)
    depths = (1, 2, 1, 1)
    theirs = SENet(
        SEBottleneck, depths, groups=64, reduction=16, inplanes=128, input_3x3=True,
        downsample_kernel_size=3, downsample_padding=1, num_classes=7,
    )  # fmt: skip
    drawn(theirs).eval()
    with torch.device("meta"):
        ours = SENet154(7, 3, SEBlock, depths=depths)
    state = theirs.state_dict()
    weights = {k: state[named_by_timm(k)] for k in ours.state_dict()}
    assert len(weights) == len(state)
    weights = {k: v.flatten(1) if ".se." in k and v.dim() == 4 else v for k, v in weights.items()}
    ours.eval().load_state_dict(weights, assign=True)
    x = torch.randn(1, 3, 75, 64)
    with torch.no_grad():
        wanted = theirs(x)
        torch.testing.assert_close(ours(x), wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())


def named_by_timm(key: str) -> str:
    """The name in timm's SENet of a weight of ours."""
    if key.startswith("stem."):
        _, i, part, what = key.split(".")
        return f"layer0.{'conv' if part == '0' else 'bn'}{int(i) + 1}.{what}"
    return "last_linear." + key[3:] if key.startswith("fc.") else key.replace(".se.", ".se_module.")


@pytest.mark.parametrize(
    ("setting", "difference"),
    [
        # (a) each unit's first 1×1 twice as wide: one more half of it, of the 3×3's input (a 64th each), and its BN
        (
            {"halve_first": False},
            sum(
                n * (c // 2) * (9 * c // 64 + 2) + ((n - 1) * c + before) * (c // 2)
                for n, c, before in ((3, 256, 128), (8, 512, 256), (36, 1024, 512), (3, 2048, 1024))
            ),
        ),
        # (b) one 7×7 in place of 3×3s; 64 channels to the first unit in place of 128
        (
            {"deep_stem": False},
            64 * 3 * 49 - 9 * (3 * 64 + 64 * 64 + 64 * 128) - 2 * (64 + 128) - 64 * (128 + 256),
        ),
        # (c) 3×3 skips become 1×1
        ({"projection": 1}, -8 * (256 * 512 + 512 * 1024 + 1024 * 2048)),
        # (d) nothing to learn
        ({"dropout": 0.0}, 0),
    ],
)
def test_each_change_of_senet154_alone(setting, difference):
    with torch.device("meta"):
        model = SENet154(1000, 3, SEBlock, **setting)
    assert cost.parameters(model) - 115_088_984 == difference
    assert model.dropout.p == setting.get("dropout", 0.2)


def test_dropout_of_senet154():
    """In training a share p of the features is lost and the others grow by 1/(1 - p); in evaluation none is."""
    torch.manual_seed(0)
    model = drawn(SENet154(7, 3, SEBlock, depths=(1, 1, 1, 1), width=1 / 16, dropout=0.4)).eval()
    x = torch.randn(8, 3, 33, 33)
    with torch.no_grad():
        u = model.layer4(model.layer3(model.layer2(model.layer1(model.maxpool(model.stem(x))))))
        features = u.mean(dim=(2, 3))  # [8, 128]
        torch.testing.assert_close(model(x), model.fc(features))

        model.dropout.train()  # and no BN
        seen: list[Tensor] = []
        with removed_after([model.fc.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))]):
            model(x)
        kept = seen[0] != 0
        assert kept[features > 0].double().mean().item() == pytest.approx(0.6, abs=0.08)
        torch.testing.assert_close(seen[0][kept], features[kept] / 0.6)

        model.train()
        assert not torch.allclose(model(x), model(x))
        model.dropout.p = 0.0
        torch.testing.assert_close(model(x), model(x))  # it was the dropout


def test_senet154_refuses_another_projection():
    with pytest.raises(ValueError, match="1 or 3, not 5"):
        SENet154(10, 3, projection=5)


# SKNets


@pytest.mark.parametrize(("in_channels", "stride"), [(4, 2), (8, 1)])
def test_an_sk_bottleneck_by_hand(in_channels, stride):
    """With a projection and without."""
    torch.manual_seed(0)
    unit = drawn(SKBottleneck(in_channels, 4, stride, {"groups": 2})).double().eval()
    x = torch.randn(3, in_channels, 7, 6, dtype=torch.float64)
    u = unit.bn1(unit.conv1(x)).clamp(min=0)
    v = unit.bn3(unit.conv3(unit.sk(u)))
    skip = unit.downsample[1](unit.downsample[0](x)) if stride == 2 else x
    assert v.shape == ((3, 8, 4, 3) if stride == 2 else x.shape)
    torch.testing.assert_close(unit(x), (v + skip).clamp(min=0))


@pytest.mark.parametrize(("in_channels", "stride"), [(4, 2), (8, 1)])
def test_an_sk_basic_unit_by_hand(in_channels, stride):
    torch.manual_seed(0)
    unit = drawn(SKBasic(in_channels, 8, stride, {"groups": 2})).double().eval()
    x = torch.randn(3, in_channels, 7, 6, dtype=torch.float64)
    v = unit.bn2(unit.conv2(unit.sk(x)))
    skip = unit.downsample[1](unit.downsample[0](x)) if stride == 2 else x
    assert v.shape == ((3, 8, 4, 3) if stride == 2 else x.shape)
    torch.testing.assert_close(unit(x), (v + skip).clamp(min=0))


def test_sknet_refuses_se():
    with pytest.raises(ValueError, match="no SE blocks"):
        sknet(10, 3, SEBlock)


def test_settings_reach_every_selective_kernel():
    model = sk_resnet18(width=0.25, branches=3, groups=(1, 2, 4), dilations=(1, 2, 4), min_width=8, reduction=4)
    for block in sk_blocks(model).values():
        assert (block.dilations, block.groups) == ((1, 2, 4), (1, 2, 4))
        assert block.fc1.out_features == max(block.channels // 4, 8)


# Attention, recorded


def images(n: int) -> Tensor:
    return torch.randint(0, 256, (n, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_recorded_attention_is_what_hooks_see():
    torch.manual_seed(0)
    model = sk_resnet18(width=0.125, branches=3)
    seen: dict[str, list[Tensor]] = {}
    for name, block in sk_blocks(model).items():
        block.attention.register_forward_hook(lambda m, i, a, name=name: seen.setdefault(name, []).append(a))
    found = record_attention(model, images(7), precision="no", cpu=True, batch_size=3)
    assert list(found) == [f"{name} {m}" for name in sk_blocks(model) for m in (1, 2, 3)]
    for name, batches in seen.items():
        a = torch.cat(batches).double()  # [7, 3, C]
        for m in (1, 2, 3):
            torch.testing.assert_close(found[f"{name} {m}"].total_mean, a[:, m - 1].mean(0))
            torch.testing.assert_close(found[f"{name} {m}"].movement(), a[:, m - 1].std(0, unbiased=False))
    assert found.classes == ("all",)
    assert math.isclose(sum(row["mean"] for row in found.summary()), len(seen), rel_tol=1e-6)


def test_recorded_attention_by_class():
    model = sk_resnet18(width=0.125)
    labels = torch.tensor([1, 0, 1, 1])
    found = record_attention(model, images(4), labels, classes=("a", "b"), precision="no", cpu=True)
    one = record_attention(model, images(4)[1:2], precision="no", cpu=True)
    torch.testing.assert_close(found["SK_4_2 2"].mean[0], one["SK_4_2 2"].mean[0], rtol=1e-4, atol=1e-5)
    assert found["SK_4_2 2"].count.tolist() == [1, 3]


@pytest.mark.parametrize("sk", [{"branches": 1}, {"attention": False}])
def test_nothing_to_record_without_attention(sk):
    with pytest.raises(ValueError, match="no named SK convolutions with attention"):
        record_attention(sk_resnet18(width=0.125, **sk), images(2), cpu=True)
