"""The SE block against hand-written sums, two libraries, and the blocks of other people's notes."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import SEModule
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torchvision.ops import SqueezeExcitation

from senet_edu.blocks import SEBlock, excite, hidden_width, scale, squeeze

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
SQUEEZES = ("avg", "max", "none")
GATES = ("sigmoid", "tanh", "relu")

few = settings(max_examples=40, deadline=None)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def make(*args, seed: int = 0, dtype: torch.dtype = torch.float64, **kwargs) -> SEBlock:
    """An SE block whose every parameter, biases too, is random."""
    block = SEBlock(*args, **kwargs).to(dtype)
    with torch.no_grad():
        for i, parameter in enumerate(block.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=1000 * seed + i + 1))
    return block


def close(got: Tensor, wanted: Tensor, steps: float = 4) -> None:
    """Equal up to `steps` rounding steps of got's type, on the scale of the largest value."""
    largest = wanted.abs().max().item() if wanted.numel() else 0.0
    atol = steps * torch.finfo(got.dtype).eps * max(1.0, largest)
    torch.testing.assert_close(got.double(), wanted.double(), rtol=0, atol=atol)


maps = st.builds(
    normal,
    st.integers(0, 3),
    st.integers(1, 6),
    st.integers(1, 7),
    st.integers(1, 7),
    seed=st.integers(0, 99),
    dtype=st.sampled_from(DTYPES),
)


# The three functions


@few
@given(maps)
def test_squeeze_is_the_mean_of_each_map(u):
    n, c, h, w = u.shape
    wanted = torch.zeros(n, c, dtype=torch.float64)
    for i in range(n):
        for k in range(c):
            wanted[i, k] = sum(u[i, k, y, x].item() for y in range(h) for x in range(w)) / (h * w)
    z = squeeze(u)
    assert z.shape == (n, c)
    assert z.dtype == u.dtype
    close(z, wanted)


def test_squeeze_divides_by_positions_not_channels():
    u = torch.ones(1, 5, 2, 3)
    assert torch.equal(squeeze(u), torch.ones(1, 5))  # 1/(H·C), as one of the notes has it, gives 0.6


def test_squeeze_in_half_precision_survives_a_large_sum():
    u = torch.full((1, 2, 64, 64), 100.0, dtype=torch.float16)  # the sum, 409,600, is not a float16
    assert torch.equal(squeeze(u), torch.full((1, 2), 100.0, dtype=torch.float16))


@few
@given(st.integers(0, 3), st.integers(1, 6), st.integers(1, 4), st.booleans(), st.integers(0, 99))
def test_excite_is_two_layers_relu_and_sigmoid(n, c, hidden, bias, seed):
    z, w1, w2 = normal(n, c, seed=seed), normal(hidden, c, seed=seed + 1), normal(c, hidden, seed=seed + 2)
    b1, b2 = (normal(hidden, seed=seed + 3), normal(c, seed=seed + 4)) if bias else (None, None)
    wanted = torch.zeros(n, c, dtype=torch.float64)
    for i in range(n):
        inner = []
        for j in range(hidden):
            total = sum(w1[j, k].item() * z[i, k].item() for k in range(c)) + (b1[j].item() if bias else 0)
            inner.append(max(total, 0.0))
        for k in range(c):
            total = sum(w2[k, j].item() * inner[j] for j in range(hidden)) + (b2[k].item() if bias else 0)
            wanted[i, k] = 1 / (1 + math.exp(-total))
    s = excite(z, w1, w2, b1, b2)
    assert s.shape == (n, c)
    close(s, wanted, steps=64)


@few
@given(maps, st.booleans())
def test_scale_multiplies_each_map_by_its_gate(u, by_position):
    n, c, h, w = u.shape
    s = normal(n, c, h, w, seed=7, dtype=u.dtype) if by_position else normal(n, c, seed=7, dtype=u.dtype)
    wanted = torch.empty_like(u)
    for i in range(n):
        for k in range(c):
            wanted[i, k] = u[i, k] * s[i, k]
    assert torch.equal(scale(u, s), wanted)


@pytest.mark.parametrize("shape", [(4,), (3, 2), (2, 3, 4, 1), (1, 3), (2, 3, 4)])
def test_gates_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=rf"gates \[{', '.join(map(str, shape))}\] for maps \[2, 3, 4, 4\]"):
        scale(torch.ones(2, 3, 4, 4), torch.ones(shape))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gates_of_one_give_the_input_back_bit_for_bit(dtype):
    u = normal(2, 3, 4, 5, dtype=dtype)
    u[0, 0, 0, :4] = torch.tensor([0.0, -0.0, math.inf, torch.finfo(dtype).tiny / 2])
    block = SEBlock(3, reduction=1).to(dtype)
    block.gate.register_forward_hook(lambda module, inputs, s: torch.ones_like(s))
    for out in (scale(u, torch.ones(2, 3, dtype=dtype)), scale(u, torch.ones_like(u)), block(u)):
        assert torch.equal(out, u)
        assert torch.equal(out.signbit(), u.signbit())


# The module is the three functions


@few
@given(maps, st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_block_is_squeeze_excite_scale(u, reduction, bias, seed):
    block = make(u.shape[1], reduction, bias=bias, min_hidden=1, seed=seed, dtype=u.dtype)
    w1, w2, b1, b2 = block.fc1.weight, block.fc2.weight, block.fc1.bias, block.fc2.bias
    wanted = scale(u, excite(squeeze(u), w1, w2, b1, b2))
    out = block(u)
    assert out.shape == u.shape
    assert out.dtype == u.dtype
    assert (b1 is None) == (b2 is None) == (not bias)
    torch.testing.assert_close(out, wanted)


@pytest.mark.parametrize("kind", SQUEEZES)
@pytest.mark.parametrize("gate", GATES)
def test_variants_against_sums_by_position(kind, gate):
    u = normal(2, 4, 3, 2)
    u[:, 0] -= 5  # a map without a positive value
    block = make(4, 2, squeeze=kind, gate=gate)
    w1, b1, w2, b2 = block.parameters()
    activation = {
        "sigmoid": lambda t: 1 / (1 + (-t).exp()),
        "tanh": torch.tanh,
        "relu": lambda t: t.clamp(min=0),
    }[gate]
    wanted = torch.zeros_like(u)
    for i in range(2):
        for y in range(3):
            for x in range(2):
                z = {
                    "avg": u[i].sum((1, 2)) / 6,
                    "max": u[i].flatten(1).max(1).values,
                    "none": u[i, :, y, x],
                }[kind]
                s = activation(w2 @ (w1 @ z + b1).clamp(min=0) + b2)
                wanted[i, :, y, x] = s * u[i, :, y, x]
    close(block(u), wanted, steps=64)


@pytest.mark.parametrize("kind", SQUEEZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_channels_last_gives_the_same_and_stays(kind, dtype):
    u = normal(2, 8, 5, 3, dtype=dtype)
    block = make(8, 2, squeeze=kind, dtype=dtype)
    with torch.no_grad():
        out = block(u.to(memory_format=torch.channels_last))
        close(out, block(u), steps=16)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", SQUEEZES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near_double(kind, dtype):
    u = normal(2, 8, 6, 6, dtype=dtype)
    block = SEBlock(8, 2, squeeze=kind).to(dtype)
    exact = copy.deepcopy(block).double()
    close(block(u), exact(u.double()), steps=8)


@pytest.mark.parametrize("kind", SQUEEZES)
@pytest.mark.parametrize("shape", [(0, 8, 4, 4), (3, 8, 1, 1), (1, 8, 1, 9), (2, 8, 5, 2)])
def test_empty_batches_and_odd_maps(kind, shape):
    u = normal(*shape).requires_grad_()
    block = make(8, 2, squeeze=kind)
    out = block(u)
    out.sum().backward()
    assert out.shape == shape
    assert out.isfinite().all()
    assert u.grad.shape == shape
    assert block.fc1.weight.grad.isfinite().all()


def test_compiles_into_one_graph():
    # Without a C++ compiler the graph is still captured whole, only not turned into code.
    backend = "inductor" if shutil.which("g++") else "aot_eager"
    block, u = make(8, 4, dtype=torch.float32), normal(2, 8, 3, 5, dtype=torch.float32)
    compiled = torch.compile(block, fullgraph=True, backend=backend)
    torch.testing.assert_close(compiled(u), block(u))


# Gradients


def test_gradients_of_the_functions():
    u, z, s = (normal(*shape).requires_grad_() for shape in ((2, 3, 2, 4), (2, 3), (2, 3)))
    w1, b1, w2, b2 = (normal(*shape, seed=5).requires_grad_() for shape in ((2, 3), (2,), (3, 2), (3,)))
    assert F.linear(z, w1, b1).abs().min() > 1e-3  # no ReLU on its kink
    assert torch.autograd.gradcheck(squeeze, (u,))
    assert torch.autograd.gradcheck(excite, (z, w1, w2, b1, b2))
    assert torch.autograd.gradcheck(excite, (z, w1, w2))
    assert torch.autograd.gradcheck(scale, (u, s))
    assert torch.autograd.gradcheck(scale, (u, normal(2, 3, 2, 4, seed=9).requires_grad_()))


def distance_to_kinks(block: SEBlock, u: Tensor) -> float:
    """How near any ReLU's input is to zero, or any maximum to the second largest value."""
    inputs = []
    layers = (block.fc1, block.fc2)
    hooks = [layer.register_forward_hook(lambda m, i, out: inputs.append(out)) for layer in layers]
    block(u)
    for hook in hooks:
        hook.remove()
    top = u.flatten(2).topk(2).values
    return min(*(x.abs().min().item() for x in inputs), (top[..., 0] - top[..., 1]).min().item())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("kind", SQUEEZES)
def test_gradients_of_the_block(kind, gate, bias):
    for seed in range(100):
        block, u = make(4, 2, bias, kind, gate, seed=seed), normal(2, 4, 2, 3, seed=seed).requires_grad_()
        if distance_to_kinks(block, u) > 1e-3:
            break
    else:
        pytest.fail("every seed puts a ReLU or a maximum on its kink")
    names, parameters = zip(*block.named_parameters(), strict=True)
    assert len(names) == (4 if bias else 2)

    def call(u: Tensor, *values: Tensor) -> Tensor:
        return functional_call(block, dict(zip(names, values, strict=True)), (u,))

    assert torch.autograd.gradcheck(call, (u, *parameters))


# The same function as others'


def as_convolutions(block: SEBlock) -> dict[str, Tensor]:
    return {k: v[:, :, None, None] if v.dim() == 2 else v for k, v in block.state_dict().items()}


@few
@given(maps.filter(len), st.integers(1, 3), st.integers(0, 99))
def test_equals_torchvision(u, reduction, seed):
    u = u.double()
    block = make(u.shape[1], reduction, seed=seed)
    theirs = SqueezeExcitation(u.shape[1], block.fc1.out_features).double()
    theirs.load_state_dict(as_convolutions(block))
    torch.testing.assert_close(block(u), theirs(u))


@few
@given(maps.filter(len), st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_equals_timm(u, reduction, bias, seed):
    u = u.double()
    block = make(u.shape[1], reduction, bias=bias, seed=seed)
    theirs = SEModule(u.shape[1], rd_channels=block.fc1.out_features, bias=bias).double()
    theirs.load_state_dict(as_convolutions(block))
    torch.testing.assert_close(block(u), theirs(u))


def linear_version(u: Tensor, w1: Tensor, w2: Tensor) -> Tensor:
    """What the layer of notes 001 and 002 computes: adaptive pooling, two linear maps without bias."""
    n, c = u.shape[:2]
    pooled = F.adaptive_avg_pool2d(u, 1).reshape(n, c)
    gates = F.linear(F.linear(pooled, w1).relu(), w2).sigmoid()
    return u * gates.reshape(n, c, 1, 1).expand_as(u)


def convolution_version(u: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """What the basic block of note 004 computes: pooling over H×H, two 1×1 convolutions with bias."""
    pooled = F.avg_pool2d(u, u.size(2))
    gates = F.conv2d(F.conv2d(pooled, w1, b1).relu(), w2, b2).sigmoid()
    return u * gates


@few
@given(maps.filter(len), st.integers(1, 3), st.integers(0, 99))
def test_equals_the_linear_version_of_the_notes(u, reduction, seed):
    u = u.double()
    block = make(u.shape[1], reduction, bias=False, seed=seed)
    torch.testing.assert_close(block(u), linear_version(u, block.fc1.weight, block.fc2.weight))


@few
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 7), st.integers(1, 3), st.integers(0, 99))
def test_equals_the_convolution_version_of_the_notes_on_square_maps(n, c, side, reduction, seed):
    u = normal(n, c, side, side, seed=seed)
    block = make(c, reduction, seed=seed)
    torch.testing.assert_close(block(u), convolution_version(u, *as_convolutions(block).values()))


def test_convolution_version_of_the_notes_is_wrong_on_other_maps():
    block = make(4, 2)
    with pytest.raises(RuntimeError):
        convolution_version(normal(1, 4, 3, 2), *as_convolutions(block).values())
    wide = normal(1, 4, 3, 5)  # its pooling sees the first three columns only
    assert not torch.allclose(block(wide), convolution_version(wide, *as_convolutions(block).values()))


@few
@given(maps.filter(len), st.integers(1, 3), st.sampled_from(GATES), st.booleans(), st.integers(0, 99))
def test_no_squeeze_is_two_convolutions(u, reduction, gate, bias, seed):
    u, c = u.double(), u.shape[1]
    block = make(c, reduction, bias, "none", gate, seed=seed)
    hidden = block.fc1.out_features
    layers = nn.Sequential(
        nn.Conv2d(c, hidden, 1, bias=bias), nn.ReLU(), nn.Conv2d(hidden, c, 1, bias=bias), block.gate
    ).double()
    weights = as_convolutions(block)
    layers.load_state_dict({k.replace("fc1", "0").replace("fc2", "2"): v for k, v in weights.items()})
    torch.testing.assert_close(block(u), u * layers(u))


# Gates


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("kind", SQUEEZES)
def test_a_hook_on_the_gate_sees_s(kind, gate):
    u, seen = normal(2, 4, 3, 5), []
    block = make(4, 2, squeeze=kind, gate=gate)
    block.gate.register_forward_hook(lambda module, inputs, s: seen.append(s))
    out = block(u)
    (s,) = seen
    assert s.shape == ((2, 4, 3, 5) if kind == "none" else (2, 4))
    assert torch.equal(out, scale(u, s))


@pytest.mark.parametrize(("gate", "low", "high"), [("sigmoid", 0, 1), ("tanh", -1, 1), ("relu", 0, math.inf)])
def test_ranges_of_the_gates(gate, low, high):
    seen = []
    block = make(16, 2, gate=gate)
    block.gate.register_forward_hook(lambda module, inputs, s: seen.append(s))
    block(10 * normal(64, 16, 2, 2))
    s = seen[0]
    assert (s >= low).all()
    assert (s <= high).all()
    spread = {"sigmoid": (0.01, 0.99), "tanh": (-0.99, 0.99), "relu": (0.01, 2.0)}[gate]
    assert s.min() < spread[0]
    assert s.max() > spread[1]
    if gate == "relu":
        assert (s == 0).any()


# Hidden width and errors


@few
@given(st.integers(1, 600), st.integers(1, 700), st.integers(0, 40))
def test_hidden_width(c, r, floor):
    if c // r < 1 and floor < 1:
        with pytest.raises(ValueError, match=rf"C = {c}, r = {r}\b"):
            hidden_width(c, r, floor)
    else:
        assert hidden_width(c, r, floor) == max(c // r, floor)


@pytest.mark.parametrize(
    ("c", "r", "floor", "wanted"),
    [(64, 16, 1, 4), (64, 48, 1, 1), (100, 16, 1, 6), (8, 16, 1, 1), (16, 16, 4, 4), (64, 16, 0, 4)],
)
def test_hidden_width_of_the_layers(c, r, floor, wanted):
    block = SEBlock(c, r, min_hidden=floor)
    assert block.fc1.weight.shape == (wanted, c)
    assert block.fc2.weight.shape == (c, wanted)
    assert block.fc1.bias.shape == (wanted,)
    assert block.fc2.bias.shape == (c,)


@pytest.mark.parametrize(("c", "r", "floor"), [(64, 0, 1), (64, -2, 4), (8, 16, 0), (8, 9, -1)])
def test_no_hidden_unit_left(c, r, floor):
    with pytest.raises(ValueError, match=rf"C = {c}, r = {r}\b"):
        SEBlock(c, r, min_hidden=floor)


def test_unknown_squeeze_and_gate():
    with pytest.raises(ValueError, match="squeeze is one of .*'avg', 'max', 'none'.* not 'mean'"):
        SEBlock(16, squeeze="mean")
    with pytest.raises(ValueError, match="gate is one of .*'sigmoid', 'tanh', 'relu'.* not 'softmax'"):
        SEBlock(16, gate="softmax")


# Weights


def test_first_weights_keep_the_variance():
    torch.manual_seed(0)
    block = SEBlock(1024, 2)
    w1, w2 = block.fc1.weight, block.fc2.weight
    assert w1.std().item() == pytest.approx(math.sqrt(2 / 1024), rel=0.02)  # He
    assert w2.std().item() == pytest.approx(1 / math.sqrt(512), rel=0.02)
    for w in (w1, w2):
        assert abs(w.mean().item()) < 1e-3
        assert w.abs().max() > 3.5 * w.std()  # normal, not uniform
    assert not block.fc1.bias.any()
    assert not block.fc2.bias.any()

    z = normal(512, 1024, dtype=torch.float32)
    hidden = block.fc1(z).relu()
    assert hidden.square().mean().item() == pytest.approx(1, rel=0.05)
    assert block.fc2(hidden).square().mean().item() == pytest.approx(1, rel=0.05)


def test_weights_are_drawn_from_the_global_seed_and_anew():
    def draw(call: Callable[[], object]) -> Tensor:
        torch.manual_seed(3)
        call()
        return block.fc1.weight.detach().clone()

    block = SEBlock(8, 2)
    first = block.fc1.weight.detach().clone()
    again = draw(block.reset_parameters)
    assert not torch.equal(first, again)
    assert torch.equal(again, draw(block.reset_parameters))


@pytest.mark.parametrize("kind", SQUEEZES)
@pytest.mark.parametrize("bias", [True, False])
def test_state_dict_round_trip(kind, bias):
    a, b = make(6, 2, bias, kind, seed=1), make(6, 2, bias, kind, seed=2)
    names = {"fc1.weight", "fc2.weight"} | ({"fc1.bias", "fc2.bias"} if bias else set())
    u = normal(2, 6, 3, 3)
    assert set(a.state_dict()) == names
    assert not torch.equal(a(u), b(u))
    b.load_state_dict(a.state_dict())
    assert torch.equal(a(u), b(u))
    assert torch.equal(copy.deepcopy(a)(u), a(u))
