"""`add_se`: SE at the right place of every backbone, and the backbone otherwise as it was."""

from __future__ import annotations

import copy
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision.models as tv
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

import senet_edu as se
from senet_edu.models import se_blocks
from senet_edu.placement import PLACEMENTS, add_se
from senet_edu.placement.residual import Placement

DEPTHS_50 = {2: 3, 3: 4, 4: 6, 5: 3}


def tiny_resnet(block: type = tv.resnet.BasicBlock, **settings: object) -> tv.ResNet:
    return tv.ResNet(block, [2, 1, 1, 1], num_classes=7, **settings)


def tiny_vgg(widths: tuple[int | str, ...] = (16, "M", 16, 32, "M")) -> tv.VGG:
    """A VGG with BN; its classifier is small, for nothing here depends on it."""
    with torch.device("meta"):
        net = tv.VGG(nn.Sequential(), init_weights=False)
    net.features = tv.vgg.make_layers(list(widths), batch_norm=True)
    last = [w for w in widths if w != "M"][-1]
    net.avgpool, net.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(last, 7)
    return net


def vgg16() -> tv.VGG:
    return tiny_vgg(tuple(tv.vgg.cfgs["D"]))


# Name: how it is made, smallest side, blocks by stage, blocks' channels by stage (first and last of the stage).
BACKBONES: dict[str, tuple[Callable[[], nn.Module], int, dict[int, int], dict[int, tuple[int, int]]]] = {
    "resnet18": (
        lambda: tv.resnet18(num_classes=7),
        17,
        {2: 2, 3: 2, 4: 2, 5: 2},
        {2: (64, 64), 3: (128, 128), 4: (256, 256), 5: (512, 512)},
    ),
    "resnext50": (
        lambda: tv.resnext50_32x4d(num_classes=7),
        17,
        DEPTHS_50,
        {2: (256, 256), 3: (512, 512), 4: (1024, 1024), 5: (2048, 2048)},
    ),
    "wide_resnet50": (
        lambda: tv.wide_resnet50_2(num_classes=7),
        17,
        DEPTHS_50,
        {2: (256, 256), 3: (512, 512), 4: (1024, 1024), 5: (2048, 2048)},
    ),
    "vgg16": (
        vgg16,
        32,
        {1: 2, 2: 2, 3: 3, 4: 3, 5: 3},
        {1: (64, 64), 2: (128, 128), 3: (256, 256), 4: (512, 512), 5: (512, 512)},
    ),
    "googlenet": (
        lambda: tv.googlenet(num_classes=7, aux_logits=False, init_weights=False),
        33,
        {3: 2, 4: 5, 5: 2},
        {3: (256, 480), 4: (512, 832), 5: (832, 1024)},
    ),
    "inception_v3": (
        lambda: tv.inception_v3(num_classes=7, aux_logits=False, init_weights=False),
        75,
        {3: 3, 4: 5, 5: 3},
        {3: (256, 288), 4: (768, 768), 5: (1280, 2048)},
    ),
    "mobilenet_v2": (
        lambda: tv.mobilenet_v2(num_classes=7),
        32,
        {1: 1, 2: 2, 3: 3, 4: 7, 5: 4},
        {1: (16, 16), 2: (24, 24), 3: (32, 32), 4: (64, 96), 5: (160, 320)},
    ),
    "mobilenet_v1": (
        lambda: timm.create_model("mobilenetv1_100", num_classes=7),
        32,
        {1: 1, 2: 2, 3: 2, 4: 6, 5: 2},
        {1: (64, 64), 2: (128, 128), 3: (256, 256), 4: (512, 512), 5: (1024, 1024)},
    ),
    "inception_resnet_v2": (
        lambda: timm.create_model("inception_resnet_v2", num_classes=7),
        75,
        {3: 11, 4: 21, 5: 11},
        {3: (320, 320), 4: (1088, 1088), 5: (2080, 2080)},
    ),
}


def lively(net: nn.Module) -> nn.Module:
    """Float64, evaluation, and no norm at its first values, as if weights had been loaded."""
    net = net.double().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in ((module.weight, 0.7), (module.running_var, 0.7), (module.bias, -0.2)):
                nn.init.uniform_(values, low, low + 0.4)
    return net


def gates_of_one(net: nn.Module):
    return se.override_gates(net, dict.fromkeys(se_blocks(net), 1.0))


# The backbone stays what it was


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_with_se(name: str) -> None:
    """Names, channels, weights and, with gates of one, outputs bit for bit, at two odd sizes."""
    make, side, depths, channels = BACKBONES[name]
    torch.manual_seed(0)
    net = lively(make())
    images = [torch.randn(1, 3, side, side + 1).double(), torch.randn(1, 3, side + 10, side).double()]
    with torch.no_grad():
        wanted = [net(x) for x in images]
    before = {key: value.data_ptr() for key, value in net.state_dict().items()}
    assert add_se(net, reduction=8, bias=False) is net
    blocks = se_blocks(net)
    assert list(blocks) == [f"SE_{stage}_{i}" for stage, n in depths.items() for i in range(1, n + 1)]
    ends = {
        stage: (blocks[f"SE_{stage}_1"].channels, blocks[f"SE_{stage}_{n}"].channels) for stage, n in depths.items()
    }
    assert ends == channels
    assert all(b.fc1.out_features == b.channels // 8 and b.fc1.bias is None for b in blocks.values())
    after = {key: value.data_ptr() for key, value in net.state_dict().items()}
    assert {key: after[key] for key in before} == before  # the same tensors under the same names
    assert len(after) - len(before) == 2 * len(blocks)
    with torch.no_grad():
        for x, logits in zip(images, wanted, strict=True):
            with gates_of_one(net):
                assert torch.equal(net(x), logits)
            assert not torch.allclose(net(x), logits, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "placement"),
    [
        (name, placement)
        for name in ("resnet18", "resnext50", "mobilenet_v2")
        for placement in PLACEMENTS
        if (name, placement) != ("mobilenet_v2", "identity")  # refused, see the errors below
    ],
)
def test_gates_of_one_at_every_placement(name: str, placement: Placement) -> None:
    make, side, depths, _ = BACKBONES[name]
    net = lively(make())
    x = torch.randn(1, 3, side, side).double()
    with torch.no_grad():
        wanted = net(x)
        add_se(net, placement)
        assert len(se_blocks(net)) == sum(depths.values())
        with gates_of_one(net):
            assert torch.equal(net(x), wanted)
        assert not torch.allclose(net(x), wanted, rtol=1e-3)


@pytest.mark.parametrize("make", [tiny_resnet, tiny_vgg])
def test_weights_load_before_or_after(make: Callable[[], nn.Module]) -> None:
    weights = lively(make()).state_dict()
    early, late = make().double().eval(), make().double().eval()
    early.load_state_dict(weights)
    add_se(early)
    add_se(late)
    missing, unexpected = late.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all(".fc1." in key or ".fc2." in key for key in missing)
    late.load_state_dict({key: value for key, value in early.state_dict().items() if key in missing}, strict=False)
    x = torch.randn(2, 3, 32, 32).double()
    with torch.no_grad():
        assert torch.equal(early(x), late(x))


# The places


def gate(block: se.SEBlock, u: Tensor) -> Tensor:
    """The block's output, by the three functions of eqs 2 to 4."""
    w = block.fc1, block.fc2
    return se.scale(u, se.excite(se.squeeze(u), w[0].weight, w[1].weight, w[0].bias, w[1].bias))


def by_hand(unit: nn.Module, x: Tensor, place: str) -> Tensor:
    """A residual unit with its SE block at a place, written out for each place."""
    block = unit.se
    shortcut = x
    if not isinstance(unit.downsample, nn.Identity | None):
        shortcut = unit.downsample(x)
    if place == "identity":
        shortcut = gate(block, shortcut)
    branch = gate(block, x) if place == "pre" else x
    last = 3 if hasattr(unit, "conv3") else 2
    for i in range(1, last + 1):
        branch = getattr(unit, f"bn{i}")(getattr(unit, f"conv{i}")(branch))
        if i < last:
            branch = branch.clamp(min=0)
        if i == last - 1 and place == "3x3":
            branch = gate(block, branch)
    if place == "standard":
        branch = gate(block, branch)
    out = (branch + shortcut).clamp(min=0)
    return gate(block, out) if place == "post" else out


def units(source: str, block: str, placement: Placement) -> tuple[nn.Module, nn.Module]:
    """Of one kind: a unit with a projection and one without, both with SE."""
    if source == "torchvision":
        kind = {"basic": tv.resnet.BasicBlock, "bottleneck": tv.resnet.Bottleneck}[block]
        net: nn.Module = add_se(tiny_resnet(kind), placement)
        return lively(net.layer2)[0], lively(net.layer1)[1]
    name = {"basic": "se_resnet18", "bottleneck": "se_resnet50", "grouped": "senet154"}[block]
    net = se.create_model(name, placement=placement, width=0.125 if block == "grouped" else 0.5)
    return lively(net.layer2)[0], lively(net.layer1)[1]


@pytest.mark.parametrize(
    ("source", "block"),
    [
        ("torchvision", "basic"),
        ("torchvision", "bottleneck"),
        ("ours", "basic"),
        ("ours", "bottleneck"),
        ("ours", "grouped"),
    ],
)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_five_placements(source: str, block: str, placement: Placement) -> None:
    """Each is what its definition says, and none of the others."""
    torch.manual_seed(0)
    for unit in units(source, block, placement):
        for layer in (unit.se.fc1, unit.se.fc2):
            nn.init.normal_(layer.bias)
        x = torch.randn(3, unit.conv1.in_channels, 9, 7).double()
        with torch.no_grad():
            out = unit(x)
            torch.testing.assert_close(out, by_hand(unit, x, placement), rtol=1e-10, atol=1e-10)
            for other in set(PLACEMENTS) - {placement}:
                width = {"pre": unit.conv1.in_channels, "3x3": unit.conv2.out_channels}.get(other, out.shape[1])
                if width == unit.se.channels:  # else the block would not even fit
                    assert not torch.allclose(out, by_hand(unit, x, other), rtol=1e-3)


def test_no_squeeze_gates_each_position() -> None:
    """NoSqueeze (table 16) has a gate a position, the pooled block one a map; swapped, this fails."""
    for squeeze in ("avg", "none"):
        torch.manual_seed(0)
        net = add_se(tiny_resnet().eval(), squeeze=squeeze)
        seen = {}
        net.layer1[0].se.register_forward_hook(lambda _m, u, out, seen=seen: seen.update(ratio=out / u[0]))
        net(torch.randn(1, 3, 64, 64))
        ratio = seen["ratio"][0].flatten(1)  # [C, H·W]
        spread = (ratio.amax(1) - ratio.amin(1)).median()
        assert (spread > 1e-3) if squeeze == "none" else (spread < 1e-5)


@pytest.mark.parametrize(("block", "wanted"), [("basic", [2, 2, 4, 8]), ("bottleneck", [2, 8, 16, 32])])
def test_widths_at_pre(block: str, wanted: list[int]) -> None:
    """C is the unit's input width: here hidden widths at r = 32, of the stages' first units."""
    net = add_se(tiny_resnet({"basic": tv.resnet.BasicBlock, "bottleneck": tv.resnet.Bottleneck}[block]), "pre", 32)
    assert [block.fc1.out_features for name, block in se_blocks(net).items() if name.endswith("_1")] == wanted


@pytest.mark.parametrize("make", [tv.resnet18, tv.resnet50], ids=["18", "50"])
def test_added_weights_by_placement(make: Callable[[], nn.Module]) -> None:
    widths_18, widths_50 = {64: 2, 128: 2, 256: 2, 512: 2}, {256: 3, 512: 4, 1024: 6, 2048: 3}
    standard = se.cost.added_weights(widths_18 if make is tv.resnet18 else widths_50, 16)
    narrow = se.cost.added_weights({64: 3, 128: 4, 256: 6, 512: 3}, 16)
    wanted = {"standard": standard, "post": standard, "identity": standard}
    wanted |= {"pre": 54_784, "3x3": standard} if make is tv.resnet18 else {"pre": 1_991_168, "3x3": narrow}
    for placement in PLACEMENTS:
        with torch.device("meta"):
            net = add_se(make(), placement, bias=False)
        assert se.cost.se_parameters(net) == wanted[placement], placement


def inputs_of(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What each SE block gets, gates of one."""
    seen: dict[str, Tensor] = {}
    for name, block in se_blocks(net).items():
        block.register_forward_pre_hook(lambda _m, inputs, name=name: seen.update({name: inputs[0].clone()}))
    with torch.no_grad(), gates_of_one(net):
        net(x)
    return seen


def test_vgg_has_se_after_each_relu() -> None:
    net = add_se(lively(tiny_vgg()))
    x = torch.randn(2, 3, 16, 16).double()
    seen, at = inputs_of(net, x), iter(("SE_1_1", "SE_2_1", "SE_2_2"))
    with torch.no_grad(), gates_of_one(net):
        for module in net.features:
            x = module(x)
            if isinstance(module, nn.ReLU):
                assert torch.equal(seen[next(at)], x)
    assert next(at, None) is None


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_inception_has_se_after_each_concatenation(name: str) -> None:
    make, side, depths, _ = BACKBONES[name]
    net = lively(make())
    modules = [m for key, m in net.named_children() if key.startswith(("inception", "Mixed"))]
    wanted: list[Tensor] = []
    for module in modules:
        module.register_forward_hook(lambda _m, _i, out: wanted.append(out.clone()))
    x = torch.randn(1, 3, side, side).double()
    with torch.no_grad():
        net(x)
    seen = inputs_of(add_se(net), x)
    assert len(seen) == sum(depths.values()) == len(modules)
    for got, want in zip(seen.values(), wanted, strict=False):
        assert torch.equal(got, want)


def test_mobilenet_v1_has_se_after_each_pointwise_relu6() -> None:
    net = lively(timm.create_model("mobilenetv1_100", num_classes=7))
    seen = inputs_of(add_se(net), torch.randn(1, 3, 32, 32).double())
    pointwise = [unit.conv_pw for stage in net.blocks for unit in stage]
    assert [u.shape[1] for u in seen.values()] == [conv.out_channels for conv in pointwise]
    assert all(u.min() == 0 and u.max() <= 6 for u in seen.values())


@pytest.mark.parametrize(("placement", "channels"), [("standard", 24), ("pre", 24), ("post", 24), ("3x3", 144)])
def test_mobilenet_v2_takes_its_units_as_residual(placement: Placement, channels: int) -> None:
    net = lively(tv.mobilenet_v2(num_classes=7))
    unit, (expand, depthwise, project, norm) = net.features[3], copy.deepcopy(net.features[3].conv)
    assert unit.use_res_connect
    block = se_blocks(add_se(net, placement))["SE_2_2"]
    assert block.channels == channels
    x = torch.randn(2, 24, 8, 8).double()
    with torch.no_grad():
        u = block(x) if placement == "pre" else x
        u = depthwise(expand(u))
        u = norm(project(block(u) if placement == "3x3" else u))
        wanted = x + (block(u) if placement == "standard" else u)
        wanted = block(wanted) if placement == "post" else wanted
        torch.testing.assert_close(unit(x), wanted, rtol=1e-10, atol=1e-10)


def short_inception_resnet() -> nn.Module:
    """timm's Inception-ResNet-v2 with one or two residual modules a stage in place of ten or twenty."""
    torch.manual_seed(0)
    with torch.device("meta"):
        net = timm.create_model("inception_resnet_v2", num_classes=7)
    net.repeat, net.repeat_1, net.repeat_2 = net.repeat[:1], net.repeat_1[:2], net.repeat_2[:1]
    net.to_empty(device="cpu")
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            module.reset_parameters()
    return lively(net)


def test_inception_resnet_has_se_on_the_branch_before_it_is_scaled() -> None:
    """By the block's own gates: the map that they look at, and not only the product, has to be the unscaled one."""
    net = add_se(short_inception_resnet())
    for stage, units, scaling in ((3, net.repeat, 0.17), (4, net.repeat_1, 0.1), (5, net.repeat_2, 0.2)):
        unit, block = units[0], se_blocks(net)[f"SE_{stage}_2"]
        x = torch.randn(1, block.channels, 5, 5).double()
        branches = [branch for name, branch in unit.named_children() if name.startswith("branch")]
        with torch.no_grad():
            u = torch.cat([branch(x) for branch in branches], 1)
            u = nn.functional.conv2d(u, unit.conv2d.weight, unit.conv2d.bias)
            wanted = (scaling * gate(block, u) + x).clamp(min=0)
            torch.testing.assert_close(unit(x), wanted, rtol=1e-10, atol=1e-10)
            for wrong in (gate(block, scaling * u) + x, gate(block, scaling * u + x)):
                assert not torch.allclose(wrong.clamp(min=0), wanted, rtol=1e-4, atol=1e-4)


def test_inception_resnet_has_se_on_all_that_enters_a_stage() -> None:
    """The whole of the next module, its skip too, sees the gated output of the module that goes before a stage."""
    plain = short_inception_resnet()
    net = add_se(copy.deepcopy(plain))
    for stage, mixed, repeat, channels in (
        (3, "mixed_5b", "repeat", 192),
        (4, "mixed_6a", "repeat_1", 320),
        (5, "mixed_7a", "repeat_2", 1088),
    ):
        x = torch.randn(1, channels, 7, 7).double()
        with torch.no_grad(), se.override_gates(net, {f"SE_{stage}_2": 1.0}):
            u = plain.get_submodule(mixed)(x)
            wanted = plain.get_submodule(repeat)[0](gate(se_blocks(net)[f"SE_{stage}_1"], u))
            out = net.get_submodule(repeat)[0](net.get_submodule(mixed)(x))
            torch.testing.assert_close(out, wanted, rtol=1e-10, atol=1e-10)
            assert not torch.allclose(plain.get_submodule(repeat)[0](u), wanted, rtol=1e-3)


@pytest.mark.parametrize("stages", [(2,), [5, 3], ()])
def test_stages(stages: tuple[int, ...]) -> None:
    net = add_se(tiny_resnet(), stages=iter(stages))
    assert {int(name[3]) for name in se_blocks(net)} == set(stages)
    assert type(net.layer3[0]) is tv.resnet.BasicBlock


# What one does with a network


def test_blocks_follow_precision_and_mode() -> None:
    for net in (tiny_resnet().double().eval(), tiny_vgg().bfloat16()):
        add_se(net)
        assert {p.dtype for p in net.parameters()} == {next(net.parameters()).dtype}
        assert {m.training for m in net.modules()} == {net.training}
    with torch.device("meta"):
        assert all(p.is_meta for p in add_se(tiny_resnet()).parameters())


@pytest.mark.parametrize("make", [tiny_resnet, tiny_vgg])
def test_copies_and_pickles_have_their_own_blocks(make: Callable[[], nn.Module]) -> None:
    net = add_se(make().eval())
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        wanted = net(x)
        for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert torch.equal(again(x), wanted)
            for block in se_blocks(again).values():
                nn.init.constant_(block.fc2.bias, 3.0)
            assert not torch.allclose(again(x), wanted, rtol=1e-3)
            assert torch.equal(net(x), wanted)


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "mobilenet_v1", "mobilenet_v2"])
def test_synchronised_batch_norms_do_not_lose_the_blocks(name: str) -> None:
    """The conversion makes new modules in place of BNs, without the old ones' hooks."""
    net = add_se(lively(BACKBONES[name][0]()))
    x = torch.randn(1, 3, 32, 32).double()
    with torch.no_grad():
        wanted = net(x)
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        if name == "mobilenet_v1":
            convert = timm.layers.convert_sync_batchnorm  # timm's norms have their non-linearity inside
        torch.testing.assert_close(convert(net)(x), wanted)


@pytest.mark.parametrize("make", [tiny_resnet, tiny_vgg])
def test_compile_and_export(make: Callable[[], nn.Module]) -> None:
    net = add_se(make().eval())
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        wanted = net(x)
        compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), wanted)
        exported = torch.export.export(net, (x,)).module()
        torch.testing.assert_close(exported(x), wanted)
        with gates_of_one(net):
            assert not torch.allclose(exported(x), net(x), rtol=1e-3)  # the blocks are in it


@pytest.mark.parametrize("make", [tiny_resnet, tiny_vgg])
def test_torchvisions_feature_extractor(make: Callable[[], nn.Module]) -> None:
    """It follows the network with torch.fx."""
    net = add_se(make().eval())
    (last, _) = list(net.named_children())[-1]
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        found = create_feature_extractor(net, {last: "logits"})(x)
        torch.testing.assert_close(found["logits"], net(x))


@pytest.mark.parametrize("make", [tiny_resnet, tiny_vgg])
def test_onnx(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    import onnxruntime

    net = add_se(make().eval())
    x = torch.randn(2, 3, 32, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (x,), tmp_path / "net.onnx", dynamo=True, verbose=False)
    (out,) = onnxruntime.InferenceSession(str(tmp_path / "net.onnx")).run(None, {"x": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(out), net(x).detach(), rtol=1e-3, atol=1e-4)


def test_it_trains() -> None:
    torch.manual_seed(0)
    net = add_se(tiny_vgg(), min_hidden=4).train()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    x, labels = torch.randn(8, 3, 16, 16), torch.arange(8) % 7
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.abs().sum() > 0 for block in se_blocks(net).values() for p in block.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_gates_are_recorded_and_the_blocks_are_shown() -> None:
    net = add_se(tiny_vgg())
    images, labels = se.shapes(20, seed=0)
    found = se.record_excitations(net, images, labels, cpu=True)
    assert {name: gates.mean.shape[1] for name, gates in found.items()} == {"SE_1_1": 16, "SE_2_1": 16, "SE_2_2": 32}
    assert repr(net).count("(se_after): SEBlock(") == 3
    assert "placement=pre" in repr(add_se(tiny_resnet(), "pre"))


# By hand


def test_a_backbone_of_another_kind_by_hand() -> None:
    """The error names a module and its channels; what it proposes works."""
    net = lively(tv.squeezenet1_1(num_classes=7))
    with pytest.raises(ValueError, match="does not know this SqueezeNet") as refusal:
        add_se(net)
    (name, channels), *_ = re.findall(r"after=\{'([\w.]+)': (\d+)\}", str(refusal.value))
    assert net.get_submodule(name).out_channels == int(channels)
    assert name.startswith("features."), "the last convolution puts out the classes"
    x = torch.randn(1, 3, 64, 64).double()
    with torch.no_grad():
        wanted = net(x)
        add_se(net, after={"features.3": 128, "features.12": 512}, before={"features.4": 128}, reduction=8)
        assert list(se_blocks(net)) == ["SE_features_3", "SE_features_4_in", "SE_features_12"]
        with gates_of_one(net):
            assert torch.equal(net(x), wanted)
        with se.override_gates(net, {"SE_features_4_in": 0.0, "SE_features_3": 1.0, "SE_features_12": 1.0}):
            first = net.features[:5](x)  # features.4 sees zeros: only its biases come through
            assert torch.equal(first, net.features[4](torch.zeros_like(net.features[:4](x))))


def test_what_a_block_by_hand_says_when_it_does_not_fit() -> None:
    x = torch.randn(1, 3, 32, 32)
    with pytest.raises(ValueError, match="SE_layer1_0_conv2 was made for 32 channels and gets 64"):
        add_se(tiny_resnet().eval(), after={"layer1.0.conv2": 32})(x)
    with pytest.raises(
        ValueError, match=r"SE_fc needs feature maps \[N, C, H, W\], and gets a tensor of shape \(1, 7\)"
    ):
        add_se(tiny_resnet().eval(), after={"fc": 7})(x)

    class ByKeyword(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(input=x)

    with pytest.raises(ValueError, match="Conv2d is called by keyword alone"):
        add_se(ByKeyword(), before={"conv": 3}, reduction=1)(x)


def with_part(net: nn.Module, name: str, part: nn.Module) -> nn.Module:
    net.set_submodule(name, part)
    return net


@pytest.mark.parametrize(
    ("make", "settings", "says"),
    [
        (tiny_resnet, {"placement": "before"}, "placement is one of .*'3x3'"),
        (tiny_resnet, {"stages": (1, 2)}, r"stages of this network are \[2, 3, 4, 5\], not \[1\]"),
        (tiny_resnet, {"reduction": 128, "min_hidden": 0}, "C = 64, r = 128"),
        (tiny_resnet, {"squeeze": "mean"}, "squeeze is one of"),
        (tiny_resnet, {"after": {"layer9": 64}}, "no module layer9"),
        (tiny_resnet, {"after": {"layer1": 64}, "placement": "pre"}, "do not go with"),
        (lambda: nn.ModuleDict({"a": nn.ModuleList([nn.ReLU()])}), {"after": {"a": 8}}, "a is a list of modules"),
        (tiny_vgg, {"before": {"features": 3, "features.0": 3}, "reduction": 1}, "two names mean the same place"),
        (tiny_vgg, {"placement": "pre"}, "'pre' is for residual units; VGG has only 'standard'"),
        (lambda: tv.mobilenet_v2(), {"placement": "identity"}, "not every unit has a skip"),
        (lambda: tv.mobilenet_v3_small(), {}, "SE of its own .SqueezeExcitation"),
        (lambda: timm.create_model("efficientnet_b0"), {}, "SE of its own .SqueezeExcite"),
        (lambda: timm.create_model("mobilenetv2_100"), {}, "EfficientNet of another kind than MobileNet v1"),
        (lambda: tv.quantization.resnet18(), {}, "QuantizableBasicBlock"),
        (lambda: nn.Linear(3, 3), {}, "does not know this Linear"),
        (lambda: with_part(tiny_resnet(), "layer4", nn.Identity()), {}, "'Identity' object is not iterable"),
        (lambda: with_part(net := tiny_resnet(), "layer1.1", net.layer1[0]), {}, "one unit stands in two places"),
        (lambda: with_part(tiny_vgg(), "features.2", nn.GELU()), {}, "not every convolution has a ReLU module"),
        (lambda: with_part(net := tiny_vgg(), "features.2", net.features[5]), {}, "not every convolution has a ReLU"),
        (lambda: se.create_model("resnet18"), {}, "resnet18 of `create_model`, which builds networks with SE itself"),
    ],
)
def test_errors_leave_the_network_alone(make: Callable[[], nn.Module], settings: dict, says: str) -> None:
    with torch.device("meta"):
        net = make()
    keys, kinds = list(net.state_dict()), [type(m) for m in net.modules()]
    with pytest.raises(ValueError, match=says):
        add_se(net, **settings)
    assert list(net.state_dict()) == keys
    assert [type(m) for m in net.modules()] == kinds


@pytest.mark.parametrize("make", [tiny_resnet, tiny_vgg])
def test_twice_is_an_error(make: Callable[[], nn.Module]) -> None:
    net = add_se(make(), stages=(2,))
    for again in ({}, {"stages": (1,)}, {"after": {"classifier": 7}}):
        with pytest.raises(ValueError, match="has SE blocks already"):
            add_se(net, **again)


def test_two_places_with_one_name_are_refused() -> None:
    net = nn.ModuleDict({"a": nn.Sequential(nn.Conv2d(3, 8, 1)), "a_0": nn.Conv2d(3, 8, 1)})
    with pytest.raises(ValueError, match="two blocks are called SE_a_0"):
        add_se(net, after={"a.0": 8, "a_0": 8})
    assert not se_blocks(net)


def test_before_an_empty_sequential() -> None:
    """As a residual unit without projection has for its skip: the block stands there, once."""
    net = nn.Sequential(nn.Conv2d(3, 16, 1), nn.Sequential())
    plain = copy.deepcopy(net)
    add_se(net, before={"1": 16})
    x = torch.randn(2, 3, 4, 4)
    (block,) = se_blocks(net).values()
    torch.testing.assert_close(net(x), block(plain(x)))
