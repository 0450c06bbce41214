"""Exercise 2.3, the block as a class: our weights go into its layers, whatever they are called."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from senet_edu import blocks
from senet_edu.checks.chapter02 import (
    DIVISORS,
    NONLINEARITIES,
    WRONG_AXES,
    Function,
    excitation,
    feature_maps,
    map_shapes,
    over,
    pool_high,
    pool_wide,
    random_weights,
    sum_divided,
)
from senet_edu.checks.verdicts import (
    Case,
    Finding,
    Mistake,
    NotTried,
    Verdict,
    diagnose,
    numbers,
    own_random_numbers,
    same,
    seeded,
    whole,
)


def se_block(my_se: Any) -> Verdict:
    """Exercise 2.3, eqs 2 to 4: a class MySE(channels, reduction) whose forward(u) is s_c u_c, [N, C, H, W].

    Our weights are copied into its two layers: nn.Linear, 1×1 convolutions or plain parameters, in the order
    in which it has them, with or without biases.
    """
    generator = seeded(24)
    if isinstance(my_se, nn.Module):
        return Verdict("2.3", False, "Exercise 2.3: not yet. Give it the class MySE, not a block.")
    reduction, hidden = whole(generator, 2, 4), whole(generator, 3, 4)
    wide, tall, _ = map_shapes(generator)
    biases = biases_of(my_se, channels=hidden * reduction, reduction=reduction)
    cases = [
        se_case(generator, wide[0], hidden * reduction, hidden, wide[2:], biases),
        se_case(generator, tall[0], 12, 4, tall[2:], biases),
        se_case(generator, 8, 8, 4, (8, 8), biases),  # all axes alike: wrong axes give numbers, not errors
    ]
    answer = partial(with_our_weights, my_se) if callable(my_se) else my_se
    which = "with biases" if all(biases) else "with one bias" if any(biases) else "without biases"
    right = f"With our weights ({which}) it gives our block's output, on wide, tall and square maps."
    return diagnose("2.3", answer, cases, se, se_mistakes(), right)


def se_mistakes() -> list[Mistake]:
    return [
        Mistake("returns u itself: the gates are not applied", lambda u, *w: u),
        Mistake("the gate is added; it multiplies: x̃ = s·u", partial(se, apply=lambda u, s: u + broad(s))),
        Mistake("u is added to the result; that sum belongs to the residual unit around the block", residual),
        Mistake("returns the gates; asked are the scaled maps u·s", partial(se, apply=lambda u, s: s)),
        Mistake(
            "scales the squeezed z; asked are the maps u·s",
            lambda u, *w: blocks.squeeze(u) * gates_of(u, *w),
        ),
        *[Mistake(says, partial(se, delta=delta, sigma=sigma)) for says, delta, sigma in NONLINEARITIES],
        Mistake(
            "one gate over the whole batch: each image has gates of its own",
            partial(se, pool=batch_mean),
        ),
        Mistake("max pooling; eq. 2 is the mean", partial(se, pool=lambda u: u.amax(dim=(2, 3)))),
        *[Mistake(says, partial(se, pool=partial(sum_divided, divisor=d))) for says, d in DIVISORS.items()],
        Mistake(
            "the pooling window is H×H, as in F.avg_pool2d(u, u.size(2)): square maps only",
            partial(se, pool=pool_high),
        ),
        Mistake(
            "the pooling window is W×W, as in F.avg_pool2d(u, u.size(3)): square maps only",
            partial(se, pool=pool_wide),
        ),
        Mistake(
            "the gates lack their last two axes, s[:, :, None, None]: u * s lays them along height and width",
            partial(se, apply=lambda u, s: u * s),
        ),
        Mistake("nothing is pooled: a gate a position, which is NoSqueeze (table 16)", no_squeeze),
        *[Mistake(over(a, "pooled"), partial(se, pool=partial(torch.mean, dim=a))) for a in WRONG_AXES],
    ]


def with_our_weights(make: Callable[[int, int], Any], u: Tensor, *weights: Tensor | None) -> Tensor:
    """What the reader's block puts out for u, once our W₁, W₂, b₁ and b₂ (None without biases) are in it."""
    w1, w2, b1, b2 = weights
    assert w1 is not None
    assert w2 is not None
    hidden, channels = w1.shape
    block = build(make, channels, channels // hidden, u)
    first, second = matrices(block, channels, hidden)
    for vector in vectors(block):
        fill(vector, b1 if vector.numel() == hidden else b2)
    if first.squeeze().shape == w1.shape:
        fill(first, w1)
        fill(second, w2)
        return forward(block, u)
    fill(first, w2)  # built in the reverse order
    fill(second, w1)
    try:
        x = forward(block, u)
        if same(numbers(x), numbers(se(u, w1, w2, b1, b2))):
            return x
        fill(first, w1)
        fill(second, w2)
        return forward(block, u)
    except RuntimeError:
        raise Finding(
            f"The layers have the wrong sizes: for C = {channels} and r = {channels // hidden}, W₁ is "
            f"[{hidden}, {channels}], nn.Linear(C, C // r), and W₂ [{channels}, {hidden}]; yours have "
            f"{list(first.shape)} and {list(second.shape)}, in this order"
        ) from None


def build(make: Callable[[int, int], Any], channels: int, reduction: int, u: Tensor) -> nn.Module:
    """The reader's block, or why there is none."""
    if getattr(make, "__init__", None) in (nn.Module.__init__, object.__init__):
        raise NotTried
    try:
        block = make(channels, reduction)
    except AttributeError as error:
        if "Module.__init__() call" not in str(error):
            raise
        raise Finding("`super().__init__()` is missing: it is the first line of __init__") from None
    except TypeError as error:
        if "float" not in str(error):
            raise
        raise Finding("channels / reduction is a float; a layer's width is channels // reduction") from None
    if block is None or block is Ellipsis:
        raise NotTried
    if not isinstance(block, nn.Module):
        raise Finding("MySE is not an nn.Module; write `class MySE(nn.Module)`")
    if "_parameters" not in vars(block):
        raise NotTried
    if not any(True for _ in block.parameters()):
        check_for_hidden_layers(block, u)
    return block


def check_for_hidden_layers(block: nn.Module, u: Tensor) -> None:
    """A block without parameters is a stub, unless it computes: then nn.Module cannot see its layers."""
    try:
        x = block(u)
    except Exception:
        raise NotTried("`__init__` builds no layers.") from None
    if not isinstance(x, Tensor) or torch.equal(x, u):
        raise NotTried
    raise Finding(
        "The block has no parameters, so nothing would be trained: make the layers in __init__ and keep them "
        "as attributes (self.fc1 = …), not in a plain list and not in forward"
    )


def matrices(block: nn.Module, channels: int, hidden: int) -> tuple[nn.Parameter, nn.Parameter]:
    """The two weight matrices, whatever the layers are called."""
    if any(isinstance(p, nn.UninitializedParameter) for p in block.parameters()):
        raise Finding("A lazy layer has no size before it has seen a batch: give its sizes in __init__")
    sizes = [list(p.shape) for p in block.parameters()]
    if any(0 in size for size in sizes):
        raise Finding(f"A layer has width 0; for C = {channels}, r = {channels // hidden} it has {hidden}")
    found = [p for p in block.parameters() if p.numel() == hidden * channels and p.squeeze().dim() == 2]
    others = [p.numel() for p in block.parameters() if not any(p is q for q in found)]
    if len(found) != 2 or sorted(others) not in ([], [hidden], [channels], [hidden, channels]):
        raise Finding(
            f"The layers have the wrong sizes: for C = {channels} and r = {channels // hidden} there should "
            f"be two weights, [{hidden}, {channels}] and [{channels}, {hidden}], with or without biases; the "
            f"parameters found have the sizes {', '.join(map(str, sizes))}"
        )
    return found[0], found[1]


def vectors(block: nn.Module) -> list[nn.Parameter]:
    """The biases."""
    return [p for p in block.parameters() if p.squeeze().dim() < 2]


def fill(parameter: nn.Parameter, values: Tensor | None) -> None:
    assert values is not None
    if values.dim() == 2 and parameter.squeeze().shape != values.shape:
        values = values.T  # a plain parameter, stored for z @ W
    with torch.no_grad():
        parameter.copy_(values.reshape(parameter.shape))


def forward(block: nn.Module, u: Tensor) -> Tensor:
    x = block(u)
    if isinstance(x, Tensor) and not x.requires_grad and not torch.equal(x, u):
        raise Finding("No gradient reaches the weights: leave out detach, .data and no_grad in forward")
    return x


def biases_of(make: Any, channels: int, reduction: int) -> tuple[bool, bool]:
    """Whether the reader's layers have biases; a block that cannot be built counts as without, for now."""
    try:
        with own_random_numbers():
            block = build(make, channels, reduction, torch.ones(2, channels, 3, 4))
            lengths = [v.numel() for v in vectors(block)]
    except Exception:
        return False, False
    return channels // reduction in lengths, channels in lengths


# What mistakes are made of.


def se(
    u: Tensor,
    w1: Tensor,
    w2: Tensor,
    b1: Tensor | None,
    b2: Tensor | None,
    pool: Function = blocks.squeeze,
    delta: Function = torch.relu,
    sigma: Function = torch.sigmoid,
    apply: Callable[[Tensor, Tensor], Tensor] = blocks.scale,
) -> Tensor:
    """The SE block as a function, each part exchangeable."""
    return apply(u, excitation(pool(u), w1, w2, b1, b2, delta, sigma))


def gates_of(u: Tensor, w1: Tensor, w2: Tensor, b1: Tensor | None, b2: Tensor | None) -> Tensor:
    return blocks.excite(blocks.squeeze(u), w1, w2, b1, b2)


def residual(u: Tensor, *weights: Any) -> Tensor:
    return u + se(u, *weights)


def no_squeeze(u: Tensor, *weights: Any) -> Tensor:
    return u * excitation(u.movedim(1, -1), *weights).movedim(-1, 1)


def broad(s: Tensor) -> Tensor:
    return s[:, :, None, None]


def batch_mean(u: Tensor) -> Tensor:
    return u.mean(dim=(0, 2, 3)).expand(len(u), -1)


def se_case(
    generator: torch.Generator,
    n: int,
    channels: int,
    hidden: int,
    size: tuple[int, int],
    biases: tuple[bool, bool],
) -> Case:
    u = feature_maps(generator, (n, channels, *size))
    w1, w2, b1, b2 = random_weights(generator, u.mean(dim=(2, 3)), hidden)
    weights = {"w1": w1, "w2": w2, "b1": b1 if biases[0] else None, "b2": b2 if biases[1] else None}
    return Case({"u": u, **weights}, label=f"MySE({channels}, {channels // hidden}) and u {list(u.shape)}")
