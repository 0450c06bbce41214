"""The SK convolution against sums written out, the released model's layers, and the version of the notes."""

from __future__ import annotations

import copy
import sys
from collections import OrderedDict
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.feature_extraction import create_feature_extractor

from senet_edu.models import create_model
from senet_edu.selective import SKConv, fuse, select, sk_blocks, split

few = settings(max_examples=25, deadline=None)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def make(*args, seed: int = 0, dtype: torch.dtype = torch.float64, **kwargs) -> SKConv:
    """An SK convolution with nothing left at its first value, running statistics included."""
    conv = SKConv(*args, **kwargs).to(dtype)
    with torch.no_grad():
        for i, (name, value) in enumerate(conv.state_dict().items()):
            if value.is_floating_point():
                drawn = normal(*value.shape, seed=1000 * seed + i + 1)
                value.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
    return conv


def attention_of(conv: SKConv, x: Tensor) -> tuple[Tensor, Tensor]:
    """The output, and the attention [N, M, C] that a hook sees."""
    seen = []
    handle = conv.attention.register_forward_hook(lambda module, inputs, a: seen.append(a))
    out = conv(x)
    handle.remove()
    (a,) = seen
    return out, a


# The three functions


def test_split_gives_each_branch_the_same_map():
    x = normal(2, 3, 4, 5)
    seen = []
    out = split(x, [lambda t: seen.append(t) or t + 1, lambda t: seen.append(t) or 2 * t])
    assert all(t is x for t in seen)
    assert [u.tolist() for u in out] == [(x + 1).tolist(), (2 * x).tolist()]


@few
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_fuse_is_sum_mean_layer_norm_relu(m, n, c, d, seed):
    maps = [normal(n, c, 3, 2, seed=seed + i) for i in range(m)]
    w, gain, shift = normal(d, c, seed=seed + 10), normal(d, seed=seed + 11), normal(d, seed=seed + 12)
    z = fuse(maps, w, lambda t: gain * t + shift)
    wanted = torch.zeros(n, d, dtype=torch.float64)
    for i in range(n):
        s = [sum(u[i, k, y, x].item() for u in maps for y in range(3) for x in range(2)) / 6 for k in range(c)]
        for j in range(d):
            wanted[i, j] = max(0.0, gain[j] * sum(w[j, k] * s[k] for k in range(c)) + shift[j])
    torch.testing.assert_close(z, wanted)


@few
@given(st.integers(1, 4), st.integers(0, 3), st.integers(1, 5), st.integers(0, 99))
def test_select_weighs_each_map_by_its_attention(m, n, c, seed):
    maps = [normal(n, c, 3, 2, seed=seed + i) for i in range(m)]
    a = normal(n, m, c, seed=seed + 10)
    wanted = torch.zeros(n, c, 3, 2, dtype=torch.float64)
    for i in range(n):
        for k in range(c):
            wanted[i, k] = sum(a[i, j, k] * maps[j][i, k] for j in range(m))
    torch.testing.assert_close(select(maps, a), wanted)


def test_select_refuses_an_attention_for_another_number_of_branches():
    with pytest.raises(ValueError):
        select([normal(2, 3, 4, 4)], normal(2, 2, 3))


def test_gradients_of_the_functions():
    maps = [normal(2, 3, 2, 4, seed=i).requires_grad_() for i in range(3)]
    w, a = normal(2, 3, seed=5).requires_grad_(), normal(2, 3, 3, seed=6).requires_grad_()

    def norm(t: Tensor) -> Tensor:
        return F.batch_norm(t, None, None, training=True)

    s = sum(maps).mean(dim=(2, 3))
    assert norm(F.linear(s, w)).abs().min() > 1e-3  # no ReLU on its kink
    assert torch.autograd.gradcheck(lambda w, *maps: fuse(maps, w, norm), (w, *maps))
    assert torch.autograd.gradcheck(lambda a, *maps: select(maps, a), (a, *maps))


# The module


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("settings", [{}, {"branches": 3}, {"groups": (1, 4)}, {"stride": 2}, {"dilations": (1, 3)}])
def test_the_module_is_split_fuse_select_on_the_released_models_layers(settings, training):
    """Grouped 3×3 convolution, BN and ReLU a branch; W, BN, ReLU; A and B; softmax over branches."""
    conv = make(8, 12, min_width=5, **{"groups": 2} | settings).train(training)
    x = normal(3, 8, 7, 6)
    w = {k: v.clone() for k, v in conv.state_dict().items()}

    def norm(t: Tensor, at: str) -> Tensor:
        mean, var = w[f"{at}.running_mean"], w[f"{at}.running_var"]
        if training:
            over = [i for i in range(t.dim()) if i != 1]
            mean, var = t.mean(over), t.var(over, unbiased=False)
        shape = (1, -1) + (1,) * (t.dim() - 2)
        t = (t - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt()
        return t * w[f"{at}.weight"].view(shape) + w[f"{at}.bias"].view(shape)

    maps = []
    for m, (d, g) in enumerate(zip(conv.dilations, conv.groups, strict=True)):
        u = F.conv2d(x, w[f"branches.{m}.0.weight"], None, settings.get("stride", 1), d, d, g)
        maps.append(norm(u, f"branches.{m}.1").relu())
    z = fuse(maps, w["fc1.weight"], lambda t: norm(t, "norm"))
    rows = w["fc2.weight"].view(len(maps), 12, 5)
    logits = torch.stack([z @ row.T for row in rows])  # [M, N, C]
    a = logits.exp() / logits.exp().sum(0)

    out, seen = attention_of(conv, x)
    torch.testing.assert_close(seen, a.transpose(0, 1))
    torch.testing.assert_close(out, sum(a[m, :, :, None, None] * maps[m] for m in range(len(maps))))


@few
@given(st.integers(2, 4), st.integers(2, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 2))
def test_attention_sums_to_one_over_branches(m, n, height, width, stride):
    conv = make(4, 6, branches=m, groups=2, stride=stride, min_width=3).eval()
    out, a = attention_of(conv, normal(n, 4, height, width))
    assert a.shape == (n, m, 6)
    assert (a > 0).all()
    torch.testing.assert_close(a.sum(1), torch.ones(n, 6, dtype=torch.float64))
    assert out.shape == (n, 6, -(-height // stride), -(-width // stride))


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_one_branch_is_a_grouped_convolution_bn_relu(dilation, stride):
    one = make(8, 4, branches=1, groups=4, stride=stride, dilations=[dilation])
    plain = nn.Sequential(
        nn.Conv2d(8, 4, 3, stride, padding=dilation, dilation=dilation, groups=4, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
    ).double()
    plain.load_state_dict(one.branches[0].state_dict())
    x = normal(2, 8, 9, 7)
    assert torch.equal(one(x), plain(x))
    assert sum(p.numel() for p in one.parameters()) == sum(p.numel() for p in plain.parameters())


@pytest.mark.parametrize(("dilation", "reach"), [(1, 3), (2, 5), (3, 7)])
def test_what_a_branch_sees(dilation, reach):
    """K3, K5, K7: the gradient of one output position lies within a square of that side, and reaches its corners."""
    conv = make(2, branches=1, groups=1, dilations=(dilation,)).eval()
    x = normal(1, 2, 15, 15).requires_grad_()
    conv.branches[0][0](x)[0, :, 7, 7].sum().backward()
    rows, columns = x.grad.abs().sum((0, 1)).nonzero(as_tuple=True)
    for places in (rows, columns):
        assert (places.min(), places.max()) == (7 - reach // 2, 7 + reach // 2)


def test_without_attention_it_is_the_sum_of_the_branches():
    conv = make(8, branches=3, groups=2, attention=False)
    assert not hasattr(conv, "attention")
    assert set(dict(conv.named_children())) == {"branches"}
    x = normal(2, 8, 5, 5)
    torch.testing.assert_close(conv(x), sum(split(x, copy.deepcopy(conv).branches)), rtol=0, atol=0)


@pytest.mark.parametrize("m", [2, 3])
def test_equal_attention_is_the_mean_of_the_branches(m):
    conv = make(8, branches=m, groups=2).eval()
    nn.init.zeros_(conv.fc2.weight)
    x = normal(2, 8, 5, 5)
    torch.testing.assert_close(conv(x), sum(split(x, conv.branches)) / m)


def test_attention_follows_the_larger_logit():
    conv = make(4, groups=1).eval()
    nn.init.constant_(conv.norm.bias, 5.0)
    nn.init.zeros_(conv.fc1.weight)
    with torch.no_grad():
        conv.norm.running_mean.zero_()
        conv.fc2.weight[:4], conv.fc2.weight[4:] = -10.0, 10.0
    x = normal(2, 4, 5, 5)
    assert torch.equal(conv(x), conv.branches[1](x))  # A's rows come first


@pytest.mark.parametrize(("channels", "r", "floor", "d"), [(128, 16, 32, 32), (1024, 16, 32, 64), (64, 2, 8, 32)])
def test_width_of_z(channels, r, floor, d):
    with torch.device("meta"):
        conv = SKConv(channels, reduction=r, min_width=floor)
    assert conv.fc1.weight.shape == (d, channels)
    assert conv.fc2.weight.shape == (2 * channels, d)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_channels_last_gives_the_same(dtype):
    conv = make(16, groups=4, dtype=dtype).eval()
    x = normal(2, 16, 6, 5, dtype=dtype)
    with torch.no_grad():
        out, wanted = conv(x.to(memory_format=torch.channels_last)), conv(x)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(out, wanted, rtol=8 * eps, atol=16 * eps * wanted.abs().max().item())


@pytest.mark.parametrize("of_weights", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("channels", "groups"), [(8, 2), (16, 2), (16, 8)])
def test_gradients_of_channels_last_batches_in_bfloat16(channels, groups, of_weights):
    """As `fit` trains on a CPU. A plain `nn.Conv2d` gets those of dilated branches wrong, on some processors."""
    torch.manual_seed(0)
    whole = SKConv(channels, branches=3, groups=groups)
    for conv in [branch[0] for branch in whole.branches]:
        exact = copy.deepcopy(conv)
        conv.to(memory_format=of_weights)
        x, g = torch.randn(16, channels, 32, 32), torch.randn(16, channels, 32, 32)
        exact(x).backward(g)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = conv(x.to(memory_format=torch.channels_last))
        out.backward(g.to(out.dtype))
        wanted = exact.weight.grad
        assert (conv.weight.grad - wanted).abs().max() < 0.02 * wanted.abs().max()


@pytest.mark.skipif(sys.platform == "win32", reason="torch.compile wants a compiler that Windows rarely has")
def test_gradients_of_compiled_code_in_bfloat16():
    """Compiled code lays maps out as it likes, also in the way that a dilated branch must not have on a CPU."""
    torch.manual_seed(0)
    conv = SKConv(16, groups=2)
    exact = copy.deepcopy(conv)
    x, g = torch.randn(16, 16, 32, 32), torch.randn(16, 16, 32, 32)
    exact(x).backward(g)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = torch.compile(conv)(x.to(memory_format=torch.channels_last))
    out.backward(g.to(out.dtype))
    for branch, wanted in zip(conv.branches, exact.branches, strict=True):
        wanted = wanted[0].weight.grad
        assert (branch[0].weight.grad - wanted).abs().max() < 0.3 * wanted.abs().max()


def test_bfloat16_is_near_double_and_autocast_keeps_its_maps_narrow():
    torch.manual_seed(0)
    conv = SKConv(16, groups=4).eval()
    exact = copy.deepcopy(conv).double()
    x = normal(2, 16, 6, 6, dtype=torch.bfloat16)
    wanted = exact(x.double())
    narrow = copy.deepcopy(conv).bfloat16()(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = conv(x.float())
    for out in (narrow, cast):
        assert out.dtype == torch.bfloat16
        assert (out.double() - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_torchvisions_feature_extractor():
    """It follows the network with torch.fx, which takes no branch on a tensor's type."""
    net = create_model("sk_resnet18", width=0.25).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        found = create_feature_extractor(net, {"fc": "logits"})(x)
        torch.testing.assert_close(found["logits"], net(x))


def test_compiles_into_one_graph():
    # Captured whole, forward and backward; turning such graphs into code is tested on the SE block.
    conv, x = make(8, groups=2, dtype=torch.float32).eval(), normal(2, 8, 3, 5, dtype=torch.float32)
    torch.testing.assert_close(torch.compile(conv, fullgraph=True, backend="aot_eager")(x), conv(x))


def test_every_weight_learns():
    torch.manual_seed(0)
    conv = SKConv(8, branches=3, groups=2)
    (conv(torch.randn(4, 8, 6, 6)) * torch.randn(4, 8, 6, 6)).sum().backward()
    for name, parameter in conv.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_first_weights():
    torch.manual_seed(0)
    conv = SKConv(512, groups=4, reduction=2)
    assert conv.fc2.weight.std().item() == pytest.approx(256**-0.5, rel=0.02)
    assert conv.fc1.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)
    assert conv.branches[1][0].weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.02)
    torch.manual_seed(1)
    before = conv.fc2.weight.clone()
    conv.reset_parameters()
    assert not torch.equal(before, conv.fc2.weight)


def test_blocks_are_found_by_their_names():
    network = nn.Sequential(SKConv(4, groups=1), nn.Sequential(SKConv(4, groups=1)), SKConv(4, groups=1))
    network[1][0].name, network[2].name = "SK_2_1", "SK_3_1"
    assert sk_blocks(network) == {"SK_2_1": network[1][0], "SK_3_1": network[2]}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"branches": 0}, "branches = 0, at least 1"),
        ({"branches": 2, "dilations": (1, 2, 3)}, r"branches = 2.*dilations \(1, 2, 3\)"),
        ({"branches": 3, "groups": (1, 2)}, r"branches = 3.*groups \(1, 2\)"),
        ({"groups": 3}, r"groups of \[3, 3\] do not divide 8 channels in and 8 out"),
        ({"groups": (2, 0)}, r"groups of \[0\]"),
        ({"out_channels": 6, "groups": 4}, "8 channels in and 6 out"),
        ({"groups": 2, "reduction": 0}, "must be at least 1: C = 8, r = 0"),
        ({"groups": 2, "reduction": 16, "min_width": 0}, "C = 8, r = 16, min_width = 0; take r <= 8 or min_width >= 1"),
        ({"groups": 2, "dilations": (1, 0)}, r"dilations \(1, 0\)"),
        ({"groups": 2, "stride": 0}, "stride = 0"),
    ],
)
def test_argument_errors(settings, says):
    with pytest.raises(ValueError, match=says):
        SKConv(8, **settings)


# The version of the notes


class NotesSK(nn.Module):
    """What note 001's `SKAttention` computes: whole kernels of sides k with biases, one group, z = W s + b as it is."""

    def __init__(self, channels: int, kernels: Sequence[int], d: int, groups: int = 1) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Sequential(
                OrderedDict(
                    conv=nn.Conv2d(channels, channels, k, padding=k // 2, groups=groups),
                    bn=nn.BatchNorm2d(channels),
                    relu=nn.ReLU(),
                )
            )
            for k in kernels
        )
        self.fc = nn.Linear(channels, d)
        self.fcs = nn.ModuleList(nn.Linear(d, channels) for _ in kernels)

    def forward(self, x: Tensor, b: nn.Module | None = None) -> Tensor:
        """`b` is what the paper has after W and the notes have not: BN and ReLU."""
        maps = torch.stack([conv(x) for conv in self.convs], dim=1)  # [N, M, C, H, W]
        z = self.fc(maps.sum(1).mean(dim=(2, 3)))  # [N, d]
        z = z if b is None else b(z)
        a = torch.stack([fc(z) for fc in self.fcs], dim=1).softmax(1)  # [N, M, C]
        return (a[..., None, None] * maps).sum(1)


def as_in_the_notes(conv: SKConv) -> NotesSK:
    """The notes' layer with the weights of a `conv` of one group: dilated kernels as whole ones with zeros between."""
    kernels = [2 * d + 1 for d in conv.dilations]
    theirs = NotesSK(conv.channels, kernels, conv.fc1.out_features).to(conv.fc1.weight.dtype).eval()
    with torch.no_grad():
        for value in theirs.parameters():
            value.zero_()
        theirs.fc.weight.copy_(conv.fc1.weight)
        rows = conv.fc2.weight.split(conv.channels)
        for branch, fc, row, ours, d in zip(theirs.convs, theirs.fcs, rows, conv.branches, conv.dilations, strict=True):
            branch.conv.weight[:, :, ::d, ::d] = ours[0].weight
            branch.bn.load_state_dict(ours[1].state_dict())
            fc.weight.copy_(row)
    return theirs


def test_the_notes_version_lacks_bn_and_relu_after_the_reduction_and_nothing_else_once_kernels_agree():
    conv, x = make(6, groups=1, min_width=4).eval(), normal(3, 6, 8, 8)
    theirs = as_in_the_notes(conv)
    torch.testing.assert_close(theirs(x, nn.Sequential(conv.norm, nn.ReLU())), conv(x))
    assert (theirs(x) - conv(x)).abs().max() > 1e-2 * conv(x).abs().max()


def test_what_the_notes_version_costs_for_the_same_branches():
    """At C = 128: four whole kernels of sides 1, 3, 5, 7 in one group against two grouped 3×3."""
    with torch.device("meta"):
        paper, notes = SKConv(128), NotesSK(128, (1, 3, 5, 7), 32)
    ours = sum(branch[0].weight.numel() for branch in paper.branches)
    theirs = sum(branch.conv.weight.numel() for branch in notes.convs)
    assert theirs == 128 * 128 * (1 + 9 + 25 + 49)
    assert ours == 2 * 9 * 128 * 128 // 32
    assert [k for k in dict(notes.named_parameters()) if k.endswith("bias") and "bn" not in k]
    assert not [
        k for k in dict(paper.named_parameters()) if k.endswith("bias") and k.split(".")[-2] not in ("1", "norm")
    ]
