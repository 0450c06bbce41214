"""Named networks, with or without SE: `create_model`, `list_models`, and `se_blocks` to find the blocks again.

`registry` says what a named network is, `named` lists them, the other modules build them.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from inspect import signature
from typing import Any, cast, get_args

from torch import nn

from senet_edu.blocks import Gate, SEBlock, Squeeze, by_name
from senet_edu.models import named as named  # fills the registry
from senet_edu.models.registry import MakeSE, NamedNetwork, Network, Stem, Variant, find, list_models
from senet_edu.models.resnet import STAGES, BasicBlock, Bottleneck, ResNet
from senet_edu.placement.residual import Placement

__all__ = [
    "STAGES",
    "BasicBlock",
    "Bottleneck",
    "MakeSE",
    "NamedNetwork",
    "Network",
    "Placement",
    "ResNet",
    "Stem",
    "Variant",
    "create_model",
    "find",
    "list_models",
    "se_blocks",
    "usual_arguments",
]


def create_model(
    name: str,
    num_classes: int = 10,
    in_channels: int = 3,
    stem: Stem | None = None,
    width: float = 1.0,
    reduction: int = 16,
    bias: bool = True,
    squeeze: Squeeze = "avg",
    gate: Gate = "sigmoid",
    min_hidden: int = 1,
    stages: Collection[int] | None = None,
    pretrained: bool | str = False,
    *,
    variant: Variant = "torchvision",
    placement: Placement = "standard",
    **more: Any,
) -> NamedNetwork:
    """Build a network by name: "resnet18", "se_resnet18", … (see `list_models`).

    Args:
        name: with the prefix "se_" every unit of `stages` has an SE block.
        num_classes: number of logits.
        in_channels: channels of the input images.
        stem: "cifar" for images of about 32×32 (ResNets' default), "imagenet" for about 224×224 (the others' only one).
        width: factor on all channel counts of a ResNet: 1.0 is 64 to 512 channels, 0.25 is 16 to 128.
        reduction, bias, squeeze, gate, min_hidden: of the SE blocks, see `SEBlock`. The plain twin of a network with
            SE ignores them, `placement` and `stages`; a network without such a twin (SKNet, MobileNetV3) refuses them,
            but for SKNet's own `reduction`.
        stages: stages with SE (table 13), by default all of the network's: 2 to 5 in a ResNet.
        pretrained: True loads the shipped weights of this very network, a string those of that name
            (see `senet_edu.results.list_weights`).
        variant: "torchvision", or "caffe" for the paper's ResNets (see `ResNet`).
        placement: where in a residual unit the SE block stands: "standard", "pre", "post", "identity" (table 14) or
            "3x3" (table 15), see `senet_edu.placement`.
        more: what one kind of network alone has: `halve_first`, `deep_stem`, `projection` and `dropout` of SENet-154
            (its changes (a) to (d), see `models.senet154`); `branches`, `groups`, `min_width`, `dilations` and
            `attention` of SKNets (see `SKConv`).

    Returns:
        The network, with these arguments in its `config`, as records keep them.

    Raises:
        ValueError: an unknown name, stem, stage, variant or placement, or one that this network does not have; SE
            blocks without hidden units; no such shipped weights.
        TypeError: an argument in `more` that this network does not take.

    The weights that the SENet authors released, as timm's `legacy_seresnet50` and its kin hold them, fit the variant
    "caffe": `models.legacy.from_legacy_senet` gives them our names.
    """
    network, with_se = find(name)
    stem = stem or network.stems[0]
    if stem not in get_args(Stem):
        raise ValueError(f"stem is 'cifar' or 'imagenet', not {stem!r}")
    if stem not in network.stems:
        raise ValueError(f"{name} has only the stem {network.stems[0]!r}")
    if variant not in get_args(Variant):
        raise ValueError(f"variant is 'torchvision' or 'caffe', not {variant!r}")
    if placement not in get_args(Placement):
        raise ValueError(f"placement is one of {get_args(Placement)}, not {placement!r}")
    stages = network.stages if stages is None else tuple(stages)
    if unknown := set(stages) - set(network.stages):
        raise ValueError(f"stages of {name} that can have SE: {list(network.stages)}, not {sorted(unknown)}")
    usual = usual_arguments() | {"stem": stem, "stages": sorted(network.stages)}
    block = {"reduction": reduction, "bias": bias, "squeeze": squeeze, "gate": gate, "min_hidden": min_hidden}
    if not network.with_se:
        asked = block | {"placement": placement}
        changed = {key: value for key, value in asked.items() if value != usual[key]}
        if refused := [key for key in changed if key not in network.more]:
            raise ValueError(f"{name} takes no SE blocks of ours, and so no {', '.join(refused)}")
        more |= changed  # an SK convolution has an r, too

    options: dict[str, Any] = {"stem": stem, "width": width, "variant": variant}
    se: dict[str, Any] = block if with_se else {}
    if with_se:
        options |= {"placement": placement, "stages": sorted(stages)}
    for key in options.keys() - set(network.options):
        if options.pop(key) != usual[key]:
            raise ValueError(f"{name} has no choice of {key}")
    if strange := sorted(more.keys() - set(network.more)):
        own = ", ".join(network.more) or "nothing"
        raise TypeError(f"{name} takes no {', '.join(strange)}; of its own it takes {own}")
    make_se = partial(SEBlock, **se) if with_se else None
    built = cast(NamedNetwork, network.build(num_classes, in_channels, make_se, **network.own, **options, **more))
    built.config = {"name": name, "num_classes": num_classes, "in_channels": in_channels, **options, **se, **more}
    if pretrained:
        from senet_edu.results import load_pretrained

        load_pretrained(built, built.config, pretrained)
    return built


def usual_arguments() -> dict[str, Any]:
    """What `create_model` takes for each argument that is not given."""
    return {name: argument.default for name, argument in signature(create_model).parameters.items()}


def se_blocks(model: nn.Module) -> dict[str, SEBlock]:
    """The SE blocks of a network by the paper's names, SE_2_1 to SE_5_2 in a ResNet-18, in order of depth.

    Raises:
        ValueError: two have one name, as in a module of two networks.
    """
    return by_name(m for m in model.modules() if isinstance(m, SEBlock))
