"""Chapter 04's part of the corpus in `wrong_answers`: importing it adds them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from wrong_answers import RIGHT, STUBS, WRONG

# -------------------------------------------------------------------------------------- 4.1 residual_unit


def unit_chain(x, conv1, conv2, conv3, skip, se, placement):
    u = se(x) if placement == "pre" else x
    u = torch.relu(conv1(u))
    u = torch.relu(conv2(u))
    if placement == "3x3":
        u = se(u)
    u = conv3(u)
    if placement == "standard":
        u = se(u)
    way = skip(x)
    if placement == "identity":
        way = se(way)
    out = torch.relu(u + way)
    return se(out) if placement == "post" else out


def unit_returns(x, conv1, conv2, conv3, skip, se, placement):
    """A whole line for each place."""

    def branch(u):
        return conv3(conv2(conv1(u).relu()).relu())

    if placement == "standard":
        return F.relu(se(branch(x)) + skip(x))
    if placement == "pre":
        return F.relu(branch(se(x)) + skip(x))
    if placement == "post":
        return se(F.relu(branch(x) + skip(x)))
    if placement == "identity":
        return F.relu(branch(x) + se(skip(x)))
    return F.relu(conv3(se(conv2(conv1(x).relu()).relu())) + skip(x))


def unit_dictionary(x, conv1, conv2, conv3, skip, se, placement):
    at = dict.fromkeys(["standard", "pre", "post", "identity", "3x3"], lambda u: u)
    at[placement] = se
    u = at["pre"](x)
    for conv in (conv1, conv2):
        u = conv(u).clamp(min=0)
    u = at["standard"](conv3(at["3x3"](u)))
    return at["post"]((u + at["identity"](skip(x))).clamp(min=0))


def renamed(**names):
    """The right unit, with some places taken for others."""

    def my_unit(*arguments):
        *parts, placement = arguments
        return unit_chain(*parts, names.get(placement.replace("3x3", "middle"), placement))

    return my_unit


def no_block(x, conv1, conv2, conv3, skip, se, placement):
    return unit_chain(x, conv1, conv2, conv3, skip, lambda u: u, placement)


def always_standard(x, conv1, conv2, conv3, skip, se, placement):
    return torch.relu(se(conv3(torch.relu(conv2(torch.relu(conv1(x)))))) + skip(x))


def post_early(x, conv1, conv2, conv3, skip, se, placement):
    if placement != "post":
        return unit_chain(x, conv1, conv2, conv3, skip, se, placement)
    return torch.relu(se(conv3(torch.relu(conv2(torch.relu(conv1(x))))) + skip(x)))


def pre_everywhere(x, conv1, conv2, conv3, skip, se, placement):
    if placement == "pre":
        x = se(x)
    return unit_chain(x, conv1, conv2, conv3, skip, se, placement.replace("pre", "none"))


def identity_early(x, conv1, conv2, conv3, skip, se, placement):
    if placement == "identity":
        return unit_chain(x, conv1, conv2, conv3, lambda x: skip(se(x)), se, "none")
    return unit_chain(x, conv1, conv2, conv3, skip, se, placement)


def skip_is_x(x, conv1, conv2, conv3, skip, se, placement):
    return unit_chain(x, conv1, conv2, conv3, lambda x: x, se, placement)


def no_last_relu(x, conv1, conv2, conv3, skip, se, placement):
    u = torch.relu(conv2(torch.relu(conv1(se(x) if placement == "pre" else x))))
    u = conv3(se(u) if placement == "3x3" else u)
    out = (se(u) if placement == "standard" else u) + (se(skip(x)) if placement == "identity" else skip(x))
    return se(out) if placement == "post" else out


def branch_only(x, conv1, conv2, conv3, skip, se, placement):
    return unit_chain(x, conv1, conv2, conv3, lambda x: 0 * x, se, placement)


def no_relus(x, conv1, conv2, conv3, skip, se, placement):
    return torch.relu(se(conv3(conv2(conv1(x)))) + skip(x))


def three_places(x, conv1, conv2, conv3, skip, se, placement):
    if placement in ("standard", "pre", "post"):
        return unit_chain(x, conv1, conv2, conv3, skip, se, placement)
    return None


def in_place(x, conv1, conv2, conv3, skip, se, placement):
    x += 1
    return unit_chain(x, conv1, conv2, conv3, skip, se, placement)


RIGHT["residual_unit"] = {"step by step": unit_chain, "a line a place": unit_returns, "dictionary": unit_dictionary}
WRONG["residual_unit"] = [
    (no_block, "the block is never called"),
    (always_standard, "`placement` is not looked at: it is 'standard'"),
    (post_early, "post stands after the ReLU"),
    (pre_everywhere, "pre gates the skip too"),
    (identity_early, "identity stands after the projection"),
    (skip_is_x, "the skip is x itself"),
    (no_last_relu, "the last ReLU, after the sum, is missing"),
    (branch_only, "the skip is not added"),
    (renamed(pre="identity", identity="pre"), "For placement 'pre' the block stands where 'identity' has it"),
    (renamed(middle="standard", standard="3x3"), "For placement 'standard' the block stands where '3x3' has it"),
    (renamed(middle="standard"), "For placement '3x3' the block stands where 'standard' has it"),
    (renamed(identity="none"), "For placement 'identity' the block is not called"),
    (no_relus, "not that of a block in any of the five places"),
    (three_places, "For placement 'identity' it returns nothing"),
    (in_place, "changes its argument x in place"),
    (lambda x, *rest: unit_chain(x, *rest)[0], "should have the shape [2, 6, 5, 4] and has [6, 5, 4]"),
]
STUBS["residual_unit"] = []

# ---------------------------------------------------------------------------------- 4.2 placement_weights


def place_loop(units, placement, reduction):
    total = 0
    for c_in, width, c_out in units:
        channels = c_in if placement == "pre" else width if placement == "3x3" else c_out
        total += 2 * channels * (channels // reduction)
    return total


def place_index(units, placement, reduction):
    i = {"pre": 0, "3x3": 1}.get(placement, 2)
    return sum(2 * unit[i] * int(unit[i] / reduction) for unit in units)


def place_tensor(units, placement, reduction):
    c = torch.tensor(units)[:, ["pre", "3x3"].index(placement) if placement in ("pre", "3x3") else 2]
    return (2 * c * (c // reduction)).sum()


def place_wrong(index=None, block=lambda c, r: 2 * c * (c // r), which=slice(None)):
    """Places with other widths (`index` of a place), another block, or only some units."""
    at = {"pre": 0, "3x3": 1, "standard": 2, "post": 2, "identity": 2} | (index or {})
    return lambda units, placement, r: sum(block(unit[at[placement]], r) for unit in units[which])


def place_early_return(units, placement, reduction):
    for c_in, width, c_out in units:
        c = {"pre": c_in, "3x3": width}.get(placement, c_out)
        return 2 * c * (c // reduction)


RIGHT["placement_weights"] = {"loop": place_loop, "index": place_index, "tensor": place_tensor}
WRONG["placement_weights"] = [
    (place_wrong({"pre": 2, "3x3": 2}), "the unit's output width everywhere"),
    (place_wrong({"pre": 2}), "pre stands before the unit"),
    (place_wrong({"3x3": 2}), "3x3 stands after the 3×3"),
    (place_wrong({"identity": 0}), "identity stands after the projection"),
    (place_wrong({"post": 0}), "post stands after the sum"),
    (place_wrong(dict.fromkeys(["3x3", "standard", "post", "identity"], 0)), "the unit's input width everywhere"),
    (place_wrong(dict.fromkeys(["pre", "standard", "post", "identity"], 1)), "the 3×3's width everywhere"),
    (place_wrong(block=lambda c, r: c * (c // r)), "the factor 2 is missing"),
    (place_wrong(block=lambda c, r: 2 * c**2 / r), "C/r is not rounded down"),
    (place_wrong(block=lambda c, r: 2 * c * (c // r) + c // r + c), "biases are counted"),
    (place_early_return, "only the first unit"),
    (place_wrong(which=slice(-1, None)), "only the last unit"),
    (place_wrong(which=slice(None, -1)), "the last unit is left out"),
    (place_wrong({"pre": 1}), "For placement 'pre', r = 16 it gives 3,072 instead of 16,896"),
]
STUBS["placement_weights"] = []
