"""Where SE goes in the backbones that `add_se` knows: for each family a list of places, in order of depth.

Stages are numbered as in the papers: in stage s an image's side is divided by 2^s (ResNet's stages 2 to 5), but in a
VGG stage s is the s-th pooling block (1 to 5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from torch import nn

from senet_edu.placement.hooks import after, before
from senet_edu.placement.residual import Placement


class Place(NamedTuple):
    """One place for an SE block: its name SE_{stage}_{block}, its channels C, and how it gets there."""

    stage: int
    block: int
    channels: int
    insert: Callable[[nn.Module], None]


Backbone = Any  # a network whose layers the functions below call by name
Numbered = Iterable[tuple[int, int, Callable[[nn.Module], None]]]  # stage, channels, how


def resnet(net: Backbone, placement: Placement) -> list[Place]:
    """torchvision's ResNet, ResNeXt and Wide ResNet: one block a residual unit, at any of the five places."""
    from functools import partial

    from senet_edu.placement.torchvision_units import WITH_SE, channels_at, put_into

    places, units = [], []
    for stage, layer in enumerate((net.layer1, net.layer2, net.layer3, net.layer4), start=2):
        for unit in layer:
            if type(unit) not in WITH_SE:
                raise LookupError(f"its units are {type(unit).__name__}s of {type(unit).__module__}")
            if unit in units:
                raise LookupError("one unit stands in two places")
            units.append(unit)
            insert = partial(put_into, unit, placement=placement)
            places.append((stage, channels_at(unit, placement), insert))
    return numbered(places)


def vgg(net: Backbone, placement: Placement) -> list[Place]:
    """torchvision's VGG, with BN or without: after the non-linearity of every convolution."""
    only_standard(net, placement)
    places, stage, channels = [], 1, 0
    for module in net.features:
        if isinstance(module, nn.Conv2d):
            channels = module.out_channels
        elif isinstance(module, nn.ReLU):
            places.append((stage, channels, after(module)))
        elif isinstance(module, nn.MaxPool2d):
            stage += 1
    kinds = Counter(type(module) for module in set(net.features))
    if kinds[nn.ReLU] < kinds[nn.Conv2d]:
        raise LookupError("not every convolution has a ReLU module of its own")
    return numbered(places)


def googlenet(net: Backbone, placement: Placement) -> list[Place]:
    """torchvision's GoogLeNet: after each module's concatenation."""
    only_standard(net, placement)
    places = []
    for name, module in net.named_children():
        if name.startswith("inception"):  # inception3a, 3b, 4a, …
            branches = (module.branch1, module.branch2[-1], module.branch3[-1], module.branch4[-1])
            places.append((int(name[9]), sum(b.conv.out_channels for b in branches), after(module)))
    return numbered(places)


def inception_v3(net: Backbone, placement: Placement) -> list[Place]:
    """torchvision's Inception v3: after each module's concatenation. Mixed_5b is in stage 3: an eighth of the side."""
    only_standard(net, placement)
    modules = [(int(name[6]) - 2, m) for name, m in net.named_children() if name.startswith("Mixed")]
    last = net.Mixed_7c
    thirds = (last.branch3x3_2a, last.branch3x3_2b, last.branch3x3dbl_3a, last.branch3x3dbl_3b)
    widths = [first_convolution(m).in_channels for _, m in modules[1:]]  # a module puts out what the next one takes
    widths.append(sum(b.conv.out_channels for b in (last.branch1x1, *thirds, last.branch_pool)))
    return numbered((stage, channels, after(m)) for (stage, m), channels in zip(modules, widths, strict=True))


def inception_resnet_v2(net: Backbone, placement: Placement) -> list[Place]:
    """timm's Inception-ResNet-v2: on the branch of each residual module, after its last (linear) 1×1 convolution and
    before it is scaled and added; after the concatenation of the three modules between them."""
    only_standard(net, placement)
    places: list[tuple[int, int, Callable[[nn.Module], None]]] = []
    groups = (
        (net.mixed_5b, net.repeat, ()),
        (net.mixed_6a, net.repeat_1, ()),
        (net.mixed_7a, net.repeat_2, [net.block8]),
    )
    for stage, (mixed, repeat, rest) in enumerate(groups, start=3):
        places.append((stage, first_convolution(repeat).in_channels, after(mixed)))
        places += [(stage, unit.conv2d.out_channels, after(unit.conv2d)) for unit in (*repeat, *rest)]
    return numbered(places)


def mobilenet_v1(net: Backbone, placement: Placement) -> list[Place]:
    """timm's MobileNet v1: after each pointwise convolution's non-linearity. Stage 1 is the first such convolution."""
    only_standard(net, placement)
    places, stage = [], 1
    for unit in (unit for stage_units in net.blocks for unit in stage_units):
        if type(unit).__name__ != "DepthwiseSeparableConv" or not unit.has_pw_act or unit.has_skip:
            raise LookupError("it is an EfficientNet of another kind than MobileNet v1")
        stage += unit.conv_dw.stride[0] == 2
        places.append((stage, unit.conv_pw.out_channels, after(unit)))
    return numbered(places)


def mobilenet_v2(net: Backbone, placement: Placement) -> list[Place]:
    """torchvision's MobileNet v2, which the paper does not have: its inverted residual units are taken as residual
    units, so standard is after the last BN and before the sum; "3x3" is after the depthwise 3×3's non-linearity, where
    MobileNet v3 has its SE. Not every unit has a skip, so there is no placement identity."""
    places, stage = [], 1
    for unit in net.features[1:-1]:
        if type(unit).__name__ != "InvertedResidual":
            raise LookupError(f"its units are {type(unit).__name__}s")
        stage += unit.stride == 2
        depthwise, last = unit.conv[-3], unit.conv[-2]
        at: dict[str, tuple[int, Callable[[nn.Module], None]]] = {
            "standard": (last.out_channels, after(unit.conv)),
            "pre": (first_convolution(unit).in_channels, before(unit.conv)),
            "post": (last.out_channels, after(unit)),
            "3x3": (last.in_channels, after(depthwise)),
        }
        if placement not in at:
            raise ValueError(f"{type(net).__name__} has no placement {placement!r}: not every unit has a skip")
        places.append((stage, *at[placement]))
    return numbered(places)


def numbered(places: Numbered) -> list[Place]:
    """The places with their number within the stage."""
    seen: Counter[int] = Counter()
    out = []
    for stage, channels, insert in places:
        seen[stage] += 1
        out.append(Place(stage, seen[stage], channels, insert))
    return out


def only_standard(net: nn.Module, placement: Placement) -> None:
    if placement != "standard":
        raise ValueError(f"placement {placement!r} is for residual units; {type(net).__name__} has only 'standard'")


def first_convolution(module: nn.Module) -> nn.Conv2d:
    return next(m for m in module.modules() if isinstance(m, nn.Conv2d))


# By name, so that a family's library is not imported to find out that a network is not of this family.
FAMILIES: dict[str, Callable[[Backbone, Placement], list[Place]]] = {
    "torchvision.models.resnet.ResNet": resnet,
    "torchvision.models.vgg.VGG": vgg,
    "torchvision.models.googlenet.GoogLeNet": googlenet,
    "torchvision.models.inception.Inception3": inception_v3,
    "torchvision.models.mobilenetv2.MobileNetV2": mobilenet_v2,
    "timm.models.efficientnet.EfficientNet": mobilenet_v1,
    "timm.models.inception_resnet_v2.InceptionResnetV2": inception_resnet_v2,
}
KNOWN = (
    "torchvision's ResNet, ResNeXt, Wide ResNet, VGG, GoogLeNet, Inception v3 and MobileNet v2, "
    "and timm's MobileNet v1 and Inception-ResNet-v2"
)
