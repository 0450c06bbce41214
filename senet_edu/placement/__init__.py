"""One block, any network: `add_se` puts SE blocks into a backbone, in place.

The places, exactly. **standard**: on the branch of a residual unit, after its last BN and before the sum. **pre**: on
the branch's input only, the skip stays untouched; C is the unit's input width. **post**: after the sum and its ReLU.
**identity**: on the skip, after its projection if it has one. **3x3**: after the 3×3 convolution with its BN and ReLU,
in a basic unit after the first. (Tables 14 and 15.) VGG: after each convolution's non-linearity. Inception: after each
module's concatenation. MobileNet v1: after each pointwise convolution's non-linearity.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TypeVar, get_args

from torch import nn

from senet_edu.blocks import Gate, SEBlock, Squeeze, by_name, is_foreign
from senet_edu.placement.backbones import FAMILIES, KNOWN, Place
from senet_edu.placement.hooks import first_link, put_after, put_before
from senet_edu.placement.residual import Placement

__all__ = ["PLACEMENTS", "Placement", "add_se", "insert"]

PLACEMENTS: tuple[Placement, ...] = get_args(Placement)

Net = TypeVar("Net", bound=nn.Module)


def add_se(
    backbone: Net,
    placement: Placement = "standard",
    reduction: int = 16,
    bias: bool = True,
    squeeze: Squeeze = "avg",
    gate: Gate = "sigmoid",
    min_hidden: int = 1,
    stages: Collection[int] | None = None,
    *,
    after: Mapping[str, int] | None = None,
    before: Mapping[str, int] | None = None,
) -> Net:
    """Put SE blocks into a backbone, in place, and return it.

    The backbone's modules, weights and names in `state_dict` stay as they are (only the blocks' are new), so weights
    can be loaded before or after. `se_blocks` finds the blocks, `print(backbone)` shows them.

    How it is done: residual units of a torchvision ResNet get a subclass whose `forward` has the five places
    (`placement.residual`); elsewhere a block becomes a child of the module it follows, called by a forward hook
    (`placement.hooks`). Both go through `deepcopy`, pickle, `torch.compile`, `torch.export` and ONNX.

    Args:
        backbone: torchvision's ResNet, ResNeXt, Wide ResNet, VGG, GoogLeNet, Inception v3 or MobileNet v2, timm's
            MobileNet v1 or Inception-ResNet-v2. Any other with `after` or `before`.
        placement: one of `PLACEMENTS`, see above; others than "standard" in residual networks only.
        reduction, bias, squeeze, gate, min_hidden: of each `SEBlock`.
        stages: stages that get SE, by default all. Numbers are those in the blocks' names SE_{stage}_{block}: 2 to 5 in
            a ResNet, 1 to 5 in VGG and MobileNet, 3 to 5 in the Inceptions.
        after: for a backbone of another kind, modules by name and the channels C they put out:
            ``{"features.3": 64}``. The block SE_features_3 then follows that module. Name modules that are called once
            in a forward pass: one ReLU that serves a whole network would bring its block to all these places.
        before: likewise with the channels they take; the block SE_features_3_in stands before the module.

    Raises:
        ValueError: a backbone that is not known, or has SE already; a stage, placement or module it does not have; no
            hidden unit left. The backbone is then as it was.
    """
    make_se = partial(SEBlock, reduction=reduction, bias=bias, squeeze=squeeze, gate=gate, min_hidden=min_hidden)
    if any(isinstance(module, SEBlock) for module in backbone.modules()):
        raise ValueError("this network has SE blocks already: give all places in one call, on a plain network")
    if after is None and before is None:
        return insert(backbone, make_se, placement, stages)
    if stages is not None or placement != "standard":
        raise ValueError("`stages` and `placement` do not go with `after` and `before`, which say where by themselves")
    return insert_by_hand(backbone, make_se, after or {}, before or {})


def insert(
    backbone: Net,
    make_se: Callable[[int], nn.Module],
    placement: Placement = "standard",
    stages: Collection[int] | None = None,
) -> Net:
    """`add_se` for a backbone that is known, with a function from channels C to an SE block."""
    if placement not in PLACEMENTS:
        raise ValueError(f"placement is one of {PLACEMENTS}, not {placement!r}")
    places = find_places(backbone, placement)
    numbers = {place.stage for place in places}
    wanted = numbers if stages is None else set(stages)
    if unknown := wanted - numbers:
        raise ValueError(f"stages of this network are {sorted(numbers)}, not {sorted(unknown)}")
    chosen = [place for place in places if place.stage in wanted]
    blocks = [named(f"SE_{place.stage}_{place.block}", make_se(place.channels), backbone) for place in chosen]
    for place, se in zip(chosen, blocks, strict=True):
        place.insert(se)
    return backbone


def insert_by_hand(
    backbone: Net, make_se: Callable[[int], nn.Module], after: Mapping[str, int], before: Mapping[str, int]
) -> Net:
    """`add_se` for any backbone, at modules given by name with their channels C."""
    modules = dict(backbone.named_modules())
    if unknown := {*after, *before} - modules.keys():
        raise ValueError(f"no module {', '.join(sorted(unknown))}; `named_modules()` lists them")
    for name in {*after, *before}:
        if isinstance(modules[name], nn.ModuleList | nn.ModuleDict):
            raise ValueError(f"{name} is a list of modules, which is never called: name one of its modules")
    if len({first_link(modules[name]) for name in before}) < len(before):
        raise ValueError(f"among {', '.join(before)} two names mean the same place: a Sequential begins with its first")
    blocks = [(put_after, modules[name], named(f"SE_{name}", make_se(c), backbone)) for name, c in after.items()]
    blocks += [(put_before, modules[name], named(f"SE_{name}_in", make_se(c), backbone)) for name, c in before.items()]
    by_name(se for _, _, se in blocks)  # a.b and a_b would both be SE_a_b
    for put, module, se in blocks:
        put(module, se)
    return backbone


def find_places(backbone: nn.Module, placement: Placement) -> list[Place]:
    """Where SE blocks go in this backbone.

    Raises:
        ValueError: it is not known, or has SE blocks of its library's already.
    """
    if own := {type(module).__name__ for module in backbone.modules() if is_foreign(module)}:
        raise ValueError(f"{type(backbone).__name__} has SE of its own ({', '.join(own)})")
    why = ""
    for parent in type(backbone).__mro__:
        family = FAMILIES.get(f"{parent.__module__}.{parent.__qualname__}")
        if family is not None:
            try:
                return family(backbone, placement)
            except (AttributeError, LookupError, TypeError) as error:
                why = f" ({error})"
    if isinstance(config := getattr(backbone, "config", None), dict) and "name" in config:
        why = f" ({config['name']} of `create_model`, which builds networks with SE itself: see `list_models`)"
    convolutions = [(name, m.out_channels) for name, m in backbone.named_modules() if isinstance(m, nn.Conv2d)]
    # an example from the middle: the last one may put out the classes
    name, channels = convolutions[len(convolutions) // 2] if convolutions else ("features.3", 64)
    raise ValueError(
        f"add_se does not know this {type(backbone).__name__}{why}; it knows {KNOWN}. Say yourself which modules SE "
        f"blocks shall follow, by name, with the channels they put out: add_se(net, after={{{name!r}: {channels}}}); "
        "`before=` puts them before modules. `net.named_modules()` lists the names."
    )


def named(name: str, se: nn.Module, backbone: nn.Module) -> nn.Module:
    """The block with its name, on the backbone's device, in its precision and mode."""
    se.name = name.replace(".", "_")  # type: ignore[assignment]
    for weights in backbone.parameters():
        se = se.to(weights.device, weights.dtype)
        break
    return se.train(backbone.training)
