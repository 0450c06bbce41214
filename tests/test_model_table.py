"""The sortable table of networks: rows as counted, no other columns, and the same columns on both sides."""

from __future__ import annotations

import json
import re
import sys

import pytest
import traitlets

from senet_edu.models import table
from senet_edu.widgets import ModelTable
from senet_edu.widgets.explorer import module, read
from senet_edu.widgets.model_table import COLUMNS


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("resnet18", "resnet50", "mobilenet_v1")
    monkeypatch.setattr(table, "NETWORKS", {name: table.NETWORKS[name] for name in names})


def test_networks_that_need_timm_are_told_and_the_others_counted(few, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    rows, missing = table.count_installed()
    assert [row.network for row in rows] == ["resnet18", "se_resnet18", "resnet50", "se_resnet50"]
    assert missing.keys() == {"mobilenet_v1"}
    assert "pip install timm" in missing["mobilenet_v1"]


def test_the_table_carries_the_rows_as_counted(few, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(table.NETWORKS, "mobilenet_v1")
    rows, missing = table.count_installed()
    assert rows == list(table.count_models())
    assert missing == {}
    widget = ModelTable(rows)
    json.dumps(widget.rows)  # what goes to the page
    for row, written in zip(rows, widget.rows, strict=True):
        assert all(written[name] == getattr(row, name) for name in COLUMNS)
        assert (written["note"], written["size"]) == (row.note, list(row.size))


def test_only_columns_that_are_there_can_be_sorted_by() -> None:
    widget = ModelTable([], sort="parameters", descending=True)
    with pytest.raises(traitlets.TraitError, match="sort"):
        widget.sort = "colour"
    assert widget.sort == "parameters"
    assert repr(widget) == "ModelTable(sort='parameters', descending=True)"


def test_python_and_the_page_have_the_same_columns() -> None:
    text = module("model_table.mjs")
    listed = re.search(r"const COLUMNS = \{\n(.*?)\n\};", read("model_table.mjs"), re.DOTALL)[1]
    assert tuple(re.findall(r"^  (\w+):", listed, re.MULTILINE)) == COLUMNS
    assert re.findall(r"^export .*", text, re.MULTILINE) == ["export default { render };"]
