"""The named networks: counts, stage sizes, torchvision's weights, and SE in the right places."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn

from senet_edu.blocks import SEBlock
from senet_edu.models import create_model, list_models, se_blocks

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
    assert set(names) >= {"resnet18", "resnet34", "resnet50", "se_resnet18", "se_resnet34", "se_resnet50"}
    for name in names:
        assert bool(se_blocks(empty(name))) == name.startswith("se_")


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


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_plain_networks_equal_torchvision(name):
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)(weights=None).double().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):  # nothing left at its first value
            for values, low in (
                (module.weight, 0.5),
                (module.running_var, 0.5),
                (module.bias, -0.3),
                (module.running_mean, -0.3),
            ):
                nn.init.uniform_(values, low, low + 0.6)
    ours = empty(name, stem="imagenet", num_classes=1000).double().eval()
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


@pytest.mark.parametrize("name", list_models())
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
        ({"stages": (1, 2)}, r"2 to 5, not \[1\]"),
        ({"stages": (5, 6)}, r"2 to 5, not \[6\]"),
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
