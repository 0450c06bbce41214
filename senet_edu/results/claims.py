"""Numbers in prose about our own runs, held to their records."""

from __future__ import annotations

import re

from senet_edu.results.records import look_up

CLAIM = re.compile(r"(?P<number>-?\d[\d,]*\.?\d*)\s?(?P<unit>%|[a-z]*)<!--\s*record:\s*(?P<claim>\S+)\s*-->")


def false_claims(text: str) -> list[str]:
    """Numbers in prose that their record does not bear out.

    A number about our own runs carries its source behind it: ``84.3 %<!-- record: se_resnet18-quarter.accuracy -->``.
    It holds if the record's value, as a percentage where there is a % sign, rounds to it.

    Returns:
        A sentence for each that does not hold.
    """
    wrong = []
    if (annotations := len(re.findall(r"<!--\s*record:", text))) != (read := len(CLAIM.findall(text))):
        wrong.append(f"{annotations - read} of {annotations} comments that name a record have no number before them")
    for match in CLAIM.finditer(text):
        said = match["number"].replace(",", "")
        value = float(look_up(match["claim"])) * (100 if match["unit"] == "%" else 1)
        decimals = len(said.partition(".")[2])
        if f"{round(value, decimals) + 0.0:.{decimals}f}" != said:  # + 0.0 makes -0.0 plain
            wrong.append(f"the text says {match['number']} {match['unit']}, {match['claim']} is {value}")
    return wrong
