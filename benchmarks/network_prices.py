"""What SE costs every named network, by stage and r, counted once: chapter 04's explorer adds the counts up.

    python benchmarks/network_prices.py        # needs timm; writes the record, if a count has changed

Nothing is timed or trained here: any machine gives the same numbers, in a minute.
"""

from __future__ import annotations

import argparse

from senet_edu import results
from senet_edu.models.price import REDUCTIONS, price
from senet_edu.models.registry import NETWORKS

NAME = "network-prices"
DATA = "none: weights and multiply-adds of networks without values"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    started = results.now()
    networks = {network.name: price(network) for network in NETWORKS.values()}
    counted = {"data": DATA, "reductions": list(REDUCTIONS), "networks": networks}
    if NAME in results.list_records() and counted.items() <= results.load_record(NAME).items():
        print(f"{NAME}: nothing has changed")
        return
    record = {"name": NAME, **counted, **results.circumstances(started)}
    results.write_record(record, results.RECORDS / f"{NAME}.json")
    print(f"{NAME}: {len(counted['networks'])} networks")


if __name__ == "__main__":
    main()
