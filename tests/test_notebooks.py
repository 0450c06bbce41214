"""The pages: in step with their text, executed, described, true to the records, and solvable."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupytext.compare import compare_notebooks

import senet_edu
from senet_edu import checks, results

ROOT = Path(__file__).resolve().parents[1]
TEXTS = sorted((ROOT / "notebooks").glob("*.py"))
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
REPOSITORY, SITE = URLS["Repository"], URLS["Documentation"]
CHAPTERS = [path for path in TEXTS if path.stem not in ("00_start", "C_words_and_symbols")]

by_name = pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
by_chapter = pytest.mark.parametrize("text", CHAPTERS, ids=lambda path: path.stem)


def executed(text: Path) -> nbformat.NotebookNode:
    return nbformat.read(text.with_suffix(".ipynb"), as_version=4)


def prose(text: Path) -> str:
    return "\n".join(cell.source for cell in jupytext.read(text).cells if cell.cell_type == "markdown")


@by_name
def test_pair_in_sync(text: Path) -> None:
    compare_notebooks(jupytext.read(text), executed(text), fmt="py:percent", allow_expected_differences=True)


def test_no_orphans() -> None:
    assert {path.stem for path in TEXTS} == {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


@by_name
def test_committed_notebook_was_executed_in_order(text: Path) -> None:
    """nbval compares nothing in a cell without a count, so a page that did not run would pass in silence."""
    cells = [cell for cell in executed(text).cells if cell.cell_type == "code" and cell.source]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    errors = [out for cell in cells for out in cell.outputs if out.output_type == "error"]
    assert not errors
    warned = [out.text for cell in cells for out in cell.outputs if out.get("name") == "stderr"]
    assert not warned


@by_name
def test_every_figure_has_its_description(text: Path) -> None:
    """Pictures reach the page through figures.show only, with alt text that says something."""
    for cell in executed(text).cells:
        for out in cell.get("outputs", []):
            data = out.get("data", {})
            assert "image/png" not in data, f"a picture without description in: {cell.source[:60]}"
            for tag in re.findall(r"<img [^>]*>", data.get("text/html", "")):
                assert len(re.search(r'alt="([^"]*)"', tag)[1]) > 40, tag[-200:]


@by_name
def test_badges_point_at_this_notebook_in_this_repository(text: Path) -> None:
    badges = re.findall(r"colab\.research\.google\.com/github/([^)]+)\)", prose(text))
    assert badges == [f"{REPOSITORY.removeprefix('https://github.com/')}/blob/main/notebooks/{text.stem}.ipynb"]
    everything = text.read_text(encoding="utf-8")
    for link in re.findall(r"https://github\.com/[\w.-]+/[\w.-]+", everything):
        assert link.removesuffix(".git") == REPOSITORY, link
    assert f"git+{REPOSITORY}@main" in everything
    slides = [f"{SITE}/slides/{text.stem}.html"] if text.stem[:2] not in ("00", "C_") else []  # these two have none
    assert re.findall(r"https://[\w.-]+\.github\.io[^)\s]*", everything) == slides


@by_name
def test_links_between_chapters_resolve(text: Path) -> None:
    for target in re.findall(r"\]\(([\w/]+\.ipynb)", prose(text)):
        assert (text.parent / target).exists(), target


def test_each_error_of_the_notes_is_shown_where_the_list_says() -> None:
    """A phrase of each row of the list must stand in the chapter that the row links to."""
    phrases = {
        "of CVPR 2017": "One note dates the paper to CVPR 2017",
        "with weight 1": "adds its channels up with weight 1",
        "a map of $U$": "a map of $U$ cannot use what the other maps hold",
        "the squeeze finds": "the squeeze finds how the channels relate",
        r"\frac{1}{H \cdot C}": "divides by $H \\times C$",
        "F.avg_pool2d(out": "F.avg_pool2d(u, u.size(2))",
        "`F.sigmoid`": "One note writes `F.sigmoid`",
        "without commas": "with the commas missing",
        "$r = 16$ is best": "r = 16",
        "the last stage saturates": "The last stage saturates",
        "an SK unit with ungrouped": "four whole ones: 1×1, 3×3, 5×5, 7×7",
    }
    page = prose(ROOT / "notebooks" / "C_words_and_symbols.py")
    rows = [row for row in page.partition("## Errors in the notes")[2].splitlines() if row.startswith("|")][2:]
    shown = [row for row in rows if ".ipynb" in row]
    assert len(shown) == len(phrases)
    assert all("to come" in row for row in rows if row not in shown)
    for row in shown:
        (phrase,) = [said for key, said in phrases.items() if key in row]
        chapter = re.search(r"\(([\w]+)\.ipynb\)", row)[1]
        assert phrase in (ROOT / "notebooks" / f"{chapter}.py").read_text(encoding="utf-8"), (chapter, phrase)


@by_name
def test_prose_agrees_with_the_records(text: Path) -> None:
    assert results.false_claims(prose(text)) == []


def test_readme_agrees_with_the_records() -> None:
    assert results.false_claims((ROOT / "README.md").read_text(encoding="utf-8")) == []


@by_chapter
def test_chapter_has_its_parts(text: Path) -> None:
    page = prose(text)
    for part in ("**You will**", "**You need**", "| time to run |", "Before you", "### Exercise", "To read"):
        assert part in page, part
    assert 2 <= page.count("### Exercise") <= 4
    assert page.count("<details>") == page.count("</details>")


@by_chapter
def test_cells_are_short(text: Path) -> None:
    """One idea a cell. A cell that defines something may be as long as a screen holds."""
    long = [
        cell.source for cell in jupytext.read(text).cells if cell.cell_type == "code" and cell.source.count("\n") > 26
    ]
    assert not long, long


@by_name
def test_compared_cells_print_no_measured_time_or_machine(text: Path) -> None:
    for cell in jupytext.read(text).cells:
        if "nbval-check-output" in cell.metadata.get("tags", []):
            assert not re.search(r"describe\(|\.about|seconds|time\.", cell.source), cell.source


def solutions(text: Path) -> list[tuple[str, str, str]]:
    """(exercise, checker call, solution) of each exercise on a page."""
    cells = jupytext.read(text).cells
    found = []
    for i, cell in enumerate(cells):
        if cell.cell_type == "markdown" and (card := re.search(r"### Exercise ([\dA]+\.\d)", cell.source)):
            call = re.search(r"^checks\.\w+\(\w+\)", cells[i + 1].source, re.MULTILINE)
            code = re.search(r"```python\n(.*?)```", cells[i + 2].source, re.DOTALL)
            assert call, f"exercise {card[1]} has no checker"
            assert code, f"exercise {card[1]} has no solution"
            assert re.search(r"· (easy|medium|hard) · \d+ minutes", cell.source), card[1]
            found.append((card[1], call[0], code[1]))
    return found


@pytest.mark.parametrize(
    ("exercise", "call", "solution"),
    [pytest.param(*found, id=found[0]) for text in CHAPTERS for found in solutions(text)],
)
def test_solutions_pass_their_own_checkers(exercise: str, call: str, solution: str) -> None:
    import torch

    names = {"torch": torch, "se": senet_edu, "checks": checks}
    exec(solution, names)
    verdict = eval(call, names)
    assert verdict.solved, verdict
    assert exercise in verdict.exercise


@by_chapter
def test_untouched_exercises_say_so(text: Path) -> None:
    stubs = [
        cell for cell in executed(text).cells if cell.cell_type == "code" and re.search(r"^checks\.", cell.source, re.M)
    ]
    assert len(stubs) == len(solutions(text))
    for cell in stubs:
        assert "not tried yet" in str(cell.outputs), cell.source
