"""The explorer of the price (chapter 04): weights and multiply-adds that SE adds to any named network."""

from __future__ import annotations

from typing import Any

import traitlets

from senet_edu import figures, results
from senet_edu.models.price import added
from senet_edu.widgets.explorer import Explorer, module, one_of

NAME = "network-prices"  # of the record: benchmarks/network_prices.py counts
STAGES = (1, 2, 3, 4, 5)
NONE = ""  # no second network


class PriceExplorer(Explorer):
    """Choose a network, r and the stages with SE: what it adds in weights and multiply-adds, alone or beside another.

    The counts are the package's own (`senet_edu.models.price`), from a record; the page adds them up. Readable and
    settable from Python are `network`, `beside` (a second network, or ""), `reduction` and `stages`; a network ignores
    stages that it does not have.

    Raises:
        traitlets.TraitError: a value that there is not.
    """

    shown = ("network", "beside", "reduction", "stages")
    _esm = module("price.mjs")

    prices = traitlets.Dict().tag(sync=True)  # network to what `models.price.price` counted
    reductions = traitlets.List(traitlets.Int()).tag(sync=True)
    colours = traitlets.List(traitlets.Unicode()).tag(sync=True)

    network = traitlets.Unicode("resnet50").tag(sync=True)
    beside = traitlets.Unicode("resnet34").tag(sync=True)
    reduction = traitlets.Int(16).tag(sync=True)
    stages = traitlets.List(traitlets.Int(), list(STAGES)).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        record = results.load_record(NAME)
        super().__init__(
            prices=record["networks"], reductions=record["reductions"], colours=list(figures.COLOURS), **traits
        )

    def sentence(self, name: str) -> str:
        """What SE adds to a network with the r and the stages that are set. The page says it too, word for word."""
        price = self.prices[name]
        if not price["stages"]:
            return f"{name} has no version with SE: {price['parameters']:,} weights."
        weights, adds = added(price, self.reduction, self.stages)
        on = [stage for stage in price["stages"] if int(stage) in self.stages]
        return (
            f"{name}, r = {self.reduction}, SE in {'stages ' + ', '.join(on) if on else 'no stage'}: "
            f"{weights:,} weights more ({100 * weights / price['parameters']:.2f} %), "
            f"{adds:,} multiply-adds more ({100 * adds / price['multiply_adds']:.3f} %)."
        )

    @traitlets.validate("network", "beside")
    def _known_network(self, proposal: Any) -> Any:
        known = [*self.prices, *([NONE] if proposal["trait"].name == "beside" else [])]
        if proposal["value"] not in known:
            raise traitlets.TraitError(f"no network {proposal['value']!r}; there are {', '.join(known)}")
        return proposal["value"]

    @traitlets.validate("reduction")
    def _known_reduction(self, proposal: Any) -> Any:
        return one_of(proposal, self.reductions)

    @traitlets.validate("stages")
    def _known_stages(self, proposal: Any) -> Any:
        chosen = sorted(set(proposal["value"]))
        if unknown := set(chosen) - set(STAGES):
            raise traitlets.TraitError(f"stages are numbered 1 to 5, not {sorted(unknown)}")
        return chosen
