"""Tables 1 and 2, counted and not quoted: weights and multiply-adds of every named network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from senet_edu import cost
from senet_edu.models import create_model
from senet_edu.models.registry import NETWORKS, Network, find
from senet_edu.placement.residual import Placement


@dataclass(frozen=True)
class Row:
    """One network as counted.

    Attributes:
        network: its name.
        placement: of its SE blocks, "" without.
        parameters: weights and biases, those of BN included.
        multiply_adds: of one forward pass on one image of `size` [C, H, W].
        printed: multiply-adds in the paper, in units of 1e9; None where it has none for this network.
        source: paper and table.
        note: why the two differ by more than 0.5 %, "" where they do not.
    """

    network: str
    placement: str
    parameters: int
    multiply_adds: int
    size: tuple[int, int, int]
    printed: float | None
    source: str
    note: str

    @property
    def difference(self) -> float | None:
        """Of our multiply-adds from the printed ones, as a share of these."""
        return None if self.printed is None else self.multiply_adds / (1e9 * self.printed) - 1


def count_network(network: Network, name: str, **settings: Any) -> Row:
    """A row: the network `name` as its paper counts it, with further arguments of `create_model`."""
    with torch.device("meta"):  # shapes without values: nothing is computed
        model = create_model(name, num_classes=network.num_classes, **network.counted, **settings)
    with_se = find(name)[1]
    placement = model.config.get("placement", "standard") if with_se else ""
    return Row(
        network=name,
        placement=placement,
        parameters=cost.parameters(model),
        multiply_adds=cost.multiply_adds(model, network.size),
        size=network.size,
        printed=network.printed[with_se] if placement in ("", "standard") else None,
        source=network.source,
        note=network.note,
    )


def count_models(
    placement: Placement = "standard", bias: bool = True, missing: dict[str, str] | None = None
) -> Iterator[Row]:
    """A row for every named network, plain and with SE, one by one as they are counted.

    Args:
        placement: of the SE blocks; for others than "standard" there are only rows with SE of networks that have it.
        bias: of the SE layers: the released models have biases, the paper's ablations none.
        missing: filled with the networks that cannot be counted here, and why (timm is an extra).

    Raises:
        ModuleNotFoundError: a library is not installed, and there is no `missing` to say so in.
    """
    for network in NETWORKS.values():
        for name in network.names:
            with_se = find(name)[1]
            if placement != "standard" and not (with_se and "placement" in network.options):
                continue
            try:
                yield count_network(network, name, **{"placement": placement, "bias": bias} if with_se else {})
            except ModuleNotFoundError as error:
                if missing is None:
                    raise
                missing[network.name] = str(error)


def count_installed(bias: bool = True) -> tuple[list[Row], dict[str, str]]:
    """The rows of `count_models` that can be counted here, and for each other network why not."""
    missing: dict[str, str] = {}
    return list(count_models(bias=bias, missing=missing)), missing
