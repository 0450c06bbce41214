"""The table of named networks (chapter 04): counted in Python, sorted in the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import traitlets

from senet_edu.models.table import Row
from senet_edu.widgets.explorer import Explorer, module

COLUMNS = ("network", "placement", "parameters", "multiply_adds", "printed", "difference", "source")


class ModelTable(Explorer):
    """Networks as counted, a row each; the header of a column sorts by it, and once more turns the order round.

    Attributes:
        rows: what the page writes. Set once.
        sort: the column that gives the order, one of `COLUMNS`. Rows with nothing there come last.
        descending: largest, or last in the alphabet, first.
    """

    shown = ("sort", "descending")
    _esm = module("model_table.mjs")

    rows = traitlets.List(traitlets.Dict()).tag(sync=True)
    sort = traitlets.Enum(COLUMNS, default_value="multiply_adds").tag(sync=True)
    descending = traitlets.Bool(False).tag(sync=True)

    def __init__(self, rows: Iterable[Row], **options: Any) -> None:
        """`rows`: of `senet_edu.models.table`; further arguments set the traits `sort` and `descending`."""
        written = [asdict(row) | {"size": list(row.size), "difference": row.difference} for row in rows]
        super().__init__(rows=written, **options)
