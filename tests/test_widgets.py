"""The explorers' Python: data equal to the record, traits that refuse what is not there, one JavaScript text."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sweeps
import traitlets
from safetensors.numpy import load_file, save_file

from senet_edu import figures, results
from senet_edu.widgets import PriceExplorer, ReductionExplorer, reduction_sliders
from senet_edu.widgets.explorer import module
from senet_edu.widgets.reduction import load_sweep

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    return sweeps.write(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(params=["made up", "shipped"] if sweeps.shipped() else ["made up"])
def recorded(request: pytest.FixtureRequest, source) -> tuple[dict[str, Any], Path]:
    """A sweep as it lies in its files: the made-up one, and the one that the package ships."""
    return source if request.param == "made up" else sweeps.shipped()


@pytest.fixture
def explorer(source: tuple[dict[str, Any], Path]) -> ReductionExplorer:
    return ReductionExplorer(*source)


def test_the_data_are_the_recorded_ones(recorded) -> None:
    record, path = recorded
    explorer, means = ReductionExplorer(*recorded), load_file(path)
    gates = np.frombuffer(explorer.gates, "<f2")
    wanted = [means[f"r{r}.{block}"] for r in (2, 4, 8, 16) for block in sweeps.CHANNELS]
    assert np.array_equal(gates, np.concatenate([means.ravel() for means in wanted]))
    assert explorer.reductions == [2, 4, 8, 16]
    assert dict(zip(explorer.blocks, explorer.channels, strict=True)) == sweeps.CHANNELS
    assert explorer.classes == list(sweeps.CLASSES)
    assert explorer.colours == list(figures.COLOURS)
    for name, numbers in explorer.numbers.items():
        assert numbers.items() <= record[name].items()
    assert set(explorer.numbers) == {"r2", "r4", "r8", "r16", "plain"}


def test_the_data_are_small(explorer: ReductionExplorer) -> None:
    """Two bytes a gate, and all the rest, the JavaScript among it, less than a small picture."""
    state = explorer.get_state()
    gates = state.pop("gates")
    assert len(gates) == 2 * 10 * 4 * sum(sweeps.CHANNELS.values())
    assert len(json.dumps({k: v for k, v in state.items() if k != "layout"})) < 40_000


def test_traits_refuse_what_is_not_there(explorer: ReductionExplorer, source) -> None:
    for name, value, message in (
        ("reduction", 3, "reduction is one of"),
        ("block", "SE_6_1", "block is one of"),
        ("chosen", ["cat", "lynx"], "no class .'lynx'."),
        ("chosen", ["cat", "cat"], "each once"),
        ("chosen", list(sweeps.CLASSES[:7]), "at most 6"),
    ):
        before = getattr(explorer, name)
        with pytest.raises(traitlets.TraitError, match=message):
            setattr(explorer, name, value)
        assert getattr(explorer, name) == before
        with pytest.raises(traitlets.TraitError, match=message):
            ReductionExplorer(*source, **{name: value})
    explorer.chosen = []
    assert ReductionExplorer(*source, reduction=2, chosen=["dog"]).reduction == 2


def test_a_misspelt_trait_is_refused() -> None:
    with pytest.raises(TypeError, match="PriceExplorer has no stage; it takes .*stages"):
        PriceExplorer(stage=[4])


def test_repr_is_the_same_in_every_run(explorer: ReductionExplorer) -> None:
    assert repr(explorer) == (
        "ReductionExplorer(reduction=16, block='SE_5_2', chosen=['airplane', 'cat', 'frog', 'truck'])"
    )
    page = explorer._repr_mimebundle_()
    assert repr(explorer) in str(page)
    assert "0x" not in str(page)


def damaged_records() -> list[tuple[str, Callable[[dict], Any]]]:
    return [
        (r"no r4\.accuracy", lambda record: record["r4"].pop("accuracy")),
        (r"no r8\.hidden\.SE_4_1", lambda record: record["r8"]["hidden"].pop("SE_4_1")),
        (r"no plain\.accuracy", lambda record: record.pop("plain")),
        ("no gates r32.SE_2_1", lambda record: record.update(r32=record["r16"])),
        ("no network r2, r4", lambda record: [record.pop(f"r{r}") for r in (2, 4, 8, 16)]),
    ]


@pytest.mark.parametrize(("message", "damage"), damaged_records(), ids=lambda value: str(value)[:20])
def test_a_record_with_gaps_says_which(source, message: str, damage: Callable[[dict], Any]) -> None:
    record = copy.deepcopy(source[0])
    damage(record)
    with pytest.raises(results.AssetError, match=message):
        ReductionExplorer(record, source[1])


DAMAGED_GATES = {
    "no gates r2.SE_3_1": lambda gates: gates.pop("r2.SE_3_1"),
    r"r4.SE_2_1 are float32 \[10, 16\], not float16": lambda gates: gates.update(
        {"r4.SE_2_1": gates["r4.SE_2_1"].astype(np.float32)}
    ),
    "r4.SE_2_1 has 8 channels, with another r it has 16": lambda gates: gates.update(
        {"r4.SE_2_1": gates["r4.SE_2_1"][:, :8].copy()}
    ),
    "r16.SE_5_2 are not all between 0 and 1": lambda gates: gates["r16.SE_5_2"].fill(np.nan),
}


@pytest.mark.parametrize("message", DAMAGED_GATES)
def test_gates_that_do_not_fit_say_which(source, tmp_path: Path, message: str) -> None:
    gates = sweeps.made_up_gates()
    DAMAGED_GATES[message](gates)
    header = {"classes": json.dumps(sweeps.CLASSES), "blocks": json.dumps(list(sweeps.CHANNELS))}
    save_file(gates, tmp_path / "gates.safetensors", metadata=header)
    with pytest.raises(results.AssetError, match=message):
        reduction_sliders(source[0], tmp_path / "gates.safetensors")


def test_missing_files_are_named(source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(results.AssetError, match=re.escape(str(tmp_path / "none.safetensors"))):
        ReductionExplorer(source[0], tmp_path / "none.safetensors")
    save_file(sweeps.made_up_gates(), tmp_path / "nameless.safetensors")
    with pytest.raises(results.AssetError, match="does not name its blocks and classes"):
        ReductionExplorer(source[0], tmp_path / "nameless.safetensors")
    monkeypatch.setattr(results.records, "RECORDS", tmp_path)
    with pytest.raises(results.AssetError, match="no record 'reduction-sweep'"):
        ReductionExplorer()
    monkeypatch.setattr(results, "EXCITATIONS", tmp_path)
    with pytest.raises(results.AssetError, match="reduction-sweep.safetensors is missing"):
        ReductionExplorer(source[0])


# With a kernel


def test_sliders_write_and_draw_what_they_show(source) -> None:
    sweep = load_sweep(*source)
    reduction, block, chosen, said, drawn = reduction_sliders(*source).children
    assert (reduction.options, block.options) == ((2, 4, 8, 16), tuple(sweeps.CHANNELS))
    assert (reduction.value, block.value, chosen.value) == (16, "SE_5_2", sweep.first_classes)
    assert said.value == sweep.sentence(16, "SE_5_2")
    assert "data:image/png" in drawn.value and sweep.sentence(16, "SE_5_2") in drawn.value


def test_sliders_redraw_when_they_move(source) -> None:
    sweep = load_sweep(*source)
    reduction, block, chosen, said, drawn = reduction_sliders(*source).children
    before = drawn.value
    reduction.value, block.value = 4, "SE_4_1"
    assert said.value == sweep.sentence(4, "SE_4_1")
    assert drawn.value != before
    before = drawn.value
    chosen.value = sweep.first_classes[:1]
    assert drawn.value != before
    chosen.value = sweep.classes
    assert "at most 6 classes" in drawn.value


def test_the_picture_draws_the_recorded_means(source) -> None:
    sweep = load_sweep(*source)
    axis = sweep.picture(8, "SE_4_2", ("cat", "dog")).axes[0]
    gates = sweep.gates["r8.SE_4_2"].astype(np.float64)  # [K, C]
    lines = {line.get_label(): line for line in axis.get_lines()}
    for name in ("cat", "dog"):
        assert np.array_equal(lines[name].get_ydata(), gates[sweeps.CLASSES.index(name)])
    assert np.array_equal(lines["all classes"].get_ydata(), gates.mean(0))
    assert axis.get_ylim() == (0, 1)


# The JavaScript


def test_one_text_with_one_export(node) -> None:
    text = module("reduction.mjs")
    assert "import " not in re.sub(r"^//.*", "", text, flags=re.MULTILINE)
    assert re.findall(r"^export .*", text, re.MULTILINE) == ["export default { render };"]
    url = "data:text/javascript,' + encodeURIComponent(given)"
    code = f"const all = await import('{url}); result = [Object.keys(all), typeof all.default.render];"
    assert node(code, text) == [["default"], "function"]


def test_node_runs_its_own_tests(node) -> None:
    files = sorted((ROOT / "tests" / "js").glob("*.test.mjs"))
    done = subprocess.run(["node", "--test", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(?:#|ℹ) pass (\d+)", done.stdout)[1]) >= 7


def test_every_float16_is_read_as_numpy_reads_it(node) -> None:
    code = 'const { half } = await import("$AT/numbers.mjs"); result = given.map((b) => String(half(b)));'
    bits = np.arange(2**16, dtype=np.uint16)
    read = np.array(node(code, bits.tolist()), dtype=object)
    read = np.array([float(text.replace("Infinity", "inf")) for text in read])
    assert np.array_equal(read, bits.view(np.float16).astype(np.float64), equal_nan=True)


def test_the_page_unpacks_the_gates_and_says_python_s_sentence(node, recorded) -> None:
    code = """
        const { unpack, sentence } = await import("$AT/reduction.mjs");
        const gates = unpack(new DataView(Uint8Array.from(given.gates).buffer), given);
        result = Object.entries(gates).flatMap(([name, blocks]) => Object.entries(blocks).map(([block, rows]) =>
            [`${name}.${block}`, rows.map((row) => [...row]), sentence(given.numbers[name], block, rows[0].length)]));
    """
    explorer, sweep = ReductionExplorer(*recorded), load_sweep(*recorded)
    names = ("reductions", "blocks", "channels", "classes", "numbers")
    given = {name: getattr(explorer, name) for name in names} | {"gates": list(explorer.gates)}
    answers = node(code, given)
    assert {key for key, _, _ in answers} == set(sweep.gates)
    for key, rows, said in answers:
        assert np.array_equal(np.array(rows), sweep.gates[key].astype(np.float64))
        name, block = key.split(".")
        assert said == sweep.sentence(int(name[1:]), block)
