"""The list of named networks: for each how it is built, and where it comes from. A table, no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

Stem = Literal["cifar", "imagenet"]
Variant = Literal["torchvision", "caffe"]
MakeSE = Callable[[int], nn.Module]  # channels C to an SE block for C channels


class NamedNetwork(nn.Module):
    """A network with the arguments of `create_model` that made it, as records keep them."""

    config: dict[str, Any]


@dataclass(frozen=True)
class Network:
    """A network that `create_model` knows.

    Attributes:
        name: of the plain network. With SE it is "se_" + name.
        build: ``build(num_classes, in_channels, make_se, **options)`` returns the network. `make_se` gives an SE block
            for so many channels, and is None for the plain network; the builder sets the block's `.name`. `options`
            are those of `create_model`'s arguments that `options` names, and what `own` fixes.
        source: paper, and its table or section.
        options: which of "stem", "width", "variant", "placement" and "stages" the builder takes ("placement" and
            "stages" reach it only if there is SE).
        own: further arguments of `build`, fixed for this network, such as its depths.
        more: names of further arguments of `build` that `create_model` hands on as they are.
        with_se, plain: which of the two networks there are: SKNet has no SE version, SENet-154 no plain one. A network
            that exists only with SE is called by `name` itself.
        stems: those it can have, its own first.
        stages: numbers of the stages that SE blocks can be in.
        smallest: side of the smallest image it takes.
        counted: arguments of `create_model` for the network that the paper counts, beside `num_classes`.
        size: of the image [C, H, W] for which the paper counts multiply-adds.
        num_classes: for which the paper counts weights.
        printed: multiply-adds that the paper prints, in units of 1e9: plain, with SE.
        note: why our count differs from `printed` by more than 0.5 %.
    """

    name: str
    build: Callable[..., nn.Module]
    source: str
    options: tuple[str, ...] = ()
    own: dict[str, Any] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    with_se: bool = True
    plain: bool = True
    stems: tuple[Stem, ...] = ("imagenet",)
    stages: tuple[int, ...] = (2, 3, 4, 5)
    smallest: int = 1
    counted: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int, int] = (3, 224, 224)
    num_classes: int = 1000
    printed: tuple[float | None, float | None] = (None, None)
    note: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Those that `create_model` takes: plain first."""
        if not self.plain:
            return (self.name,)
        return (self.name, f"se_{self.name}") if self.with_se else (self.name,)


NETWORKS: dict[str, Network] = {}


def register(network: Network) -> None:
    """Add a network to the list; `create_model` and `list_models` know it from then on.

    Raises:
        ValueError: the name is taken.
    """
    if network.name in NETWORKS:
        raise ValueError(f"there is a network {network.name!r} already")
    NETWORKS[network.name] = network


def find(name: str) -> tuple[Network, bool]:
    """The network of a name that `create_model` was given, and whether it has SE.

    Raises:
        ValueError: no network has that name.
    """
    for network in NETWORKS.values():
        if name in network.names:
            return network, not network.plain or name != network.name
    raise ValueError(f"no network {name!r}; there are {', '.join(list_models())}")


def list_models() -> list[str]:
    """Names that `create_model` knows."""
    return [name for network in NETWORKS.values() for name in network.names]
