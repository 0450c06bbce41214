"""The lectures without a browser: what is on a slide and what is not, minutes, plans, solutions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
import slides
from nbformat import NotebookNode

from senet_edu import results

ROOT = Path(__file__).resolve().parents[1]
DECKS = {deck.stem.partition("_")[0]: deck for deck in slides.decks()}
HOUR = slides.one_hour(list(DECKS.values()))
LECTURERS = (ROOT / "book" / "lecturers.md").read_text(encoding="utf-8")
EXERCISES = {
    name: int(time)
    for path in (ROOT / "notebooks").glob("*.py")
    for name, time in re.findall(
        r"### Exercise ([\dA]+\.\d): .* · (\d+) minutes$", path.read_text(encoding="utf-8"), re.MULTILINE
    )
}

by_deck = pytest.mark.parametrize("deck", [pytest.param(deck, id=name) for name, deck in DECKS.items()])


def test_every_chapter_but_start_and_glossary_has_a_deck() -> None:
    chapters = {path.stem.partition("_")[0] for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert set(DECKS) == chapters - {"00", "C"}


@by_deck
def test_length(deck: slides.Deck) -> None:
    assert 15 <= len(deck.slides) <= 25
    assert 40 <= deck.minutes <= 60


@by_deck
def test_every_slide_has_minutes_and_something_to_say(deck: slides.Deck) -> None:
    for slide in deck.slides:
        assert 1 <= slide.minutes <= 5, slide.cells[0].source
        assert sum(map(len, slide.notes)) > 20, f"nothing to say about {slide.cells[0].source[:60]!r}"


def shown_text(deck: slides.Deck) -> str:
    return "\n".join(cell.source for slide in deck.slides for cell in slide.cells)


@by_deck
def test_no_answer_solution_or_machinery_is_on_a_slide(deck: slides.Deck) -> None:
    text = shown_text(deck)
    for never in ("<details", "<summary", "checks.", "google.colab", "| time to run |", "Open in Colab"):
        assert never not in text, never
    assert "Solution" not in "".join(note for slide in deck.slides for note in slide.notes)
    for _, solution in slides.solutions(ROOT / "notebooks" / f"{deck.stem}.ipynb"):
        name = re.search(r"^(?:def|class) (\w+)", solution, re.MULTILINE)[1]
        assert name not in text, name


@by_deck
def test_a_prediction_comes_before_its_answer(deck: slides.Deck) -> None:
    """What a slide shows after "Before you run the next cell" waits for a key; the answer is in the notes."""
    for slide in deck.slides:
        kinds = [cell.metadata["slideshow"]["slide_type"] for cell in slide.cells]
        asked = [i for i, cell in enumerate(slide.cells) if "> **Before you" in cell.source]
        for i in asked:
            assert set(kinds[i + 1 :]) <= {"fragment"}, slide.cells[i].source
            assert any("<summary>" in note for note in slide.notes), slide.cells[i].source


# The rules, on made-up chapters


def chapter(tmp_path: Path, *cells: NotebookNode) -> Path:
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), tmp_path / "09_made_up.ipynb")
    return tmp_path / "09_made_up.ipynb"


def text(source: str, **about: Any) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(source, metadata={"slideshow": about} if about else {})


def code(source: str, html: str = "", printed: str = "", **about: Any) -> NotebookNode:
    outputs = [nbformat.v4.new_output("stream", text=printed)] if printed else []
    outputs += [nbformat.v4.new_output("display_data", data={"text/html": html})] if html else []
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"slideshow": about} if about else {})


def test_what_has_no_metadata_is_on_no_slide(tmp_path: Path) -> None:
    cells = [
        text("# 09 · Title", slide_type="slide", minutes=1),
        text("the badge"),
        code("secret = 1", printed="secret"),
        text("said", slide_type="notes"),
        text("also", slide_type="skip"),
        text("## Part", slide_type="slide", minutes=2.5),
        text("more", slide_type="-"),
    ]
    deck = slides.read_deck(chapter(tmp_path, *cells))
    assert [[cell.source for cell in slide.cells] for slide in deck.slides] == [["# 09 · Title"], ["## Part", "more"]]
    assert [slide.notes for slide in deck.slides] == [["said"], []]
    assert (deck.title, deck.minutes) == ("09 · Title", 3.5)
    assert slides.read_deck(chapter(tmp_path, text("# 09"), code("1"))) is None


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"slide_type": "slide"}, "how long it takes"),
        ({"slide_type": "slide", "minutes": "3"}, "how long it takes"),
        ({"slide_type": "notes"}, "no slide has begun"),
        ({"slide_type": "fragment"}, "no slide has begun"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(tmp_path: Path, about: dict[str, Any], message: str) -> None:
    with pytest.raises(slides.SlideError, match=message):
        slides.read_deck(chapter(tmp_path, text("# 09 · Title", **about)))


def test_unknown_slide_type_is_refused(tmp_path: Path) -> None:
    cells = text("# 09", slide_type="slide", minutes=1), text("x", slide_type="subside")
    with pytest.raises(slides.SlideError, match="no slide type 'subside'"):
        slides.read_deck(chapter(tmp_path, *cells))


def test_a_figure_is_shown_without_its_code_and_code_with_what_it_prints() -> None:
    figure = "<figure><img></figure>"
    shown = slides.shown(code("draw()", figure, "noise", slide_type="-"))
    assert (shown["source"], shown["printed"], len(shown["pictures"])) == ("", "", 1)
    shown = slides.shown(code("a = 1\n\n\nb = 2", printed="3\n", slide_type="-"))
    assert (shown["source"], shown["printed"], shown["pictures"]) == ("a = 1\n\nb = 2", "3", [])
    assert slides.shown(code("a", printed="3", slide_type="-", show="output"))["source"] == ""
    assert slides.shown(code("draw()", figure, "3", slide_type="-", show="output"))["printed"] == "3"
    assert slides.shown(code("a", figure, slide_type="-", show="code"))["pictures"] == []


def test_a_lecture_has_no_next_cell(tmp_path: Path) -> None:
    """A prediction's words, a note that ends in a colon, and code that speaks in a note."""
    cells = [
        text("> **Before you run the next two cells:** how many?", slide_type="slide", minutes=1),
        text("It counts:", slide_type="notes"),
        code("count()", printed="seven\n", slide_type="notes"),
    ]
    cell = slides.as_slides(slides.read_deck(chapter(tmp_path, *cells))).cells[0]
    assert cell.source == "> **Before you look:** how many?"
    assert cell.metadata["deck"]["notes"] == "**1 minute**\n\nIt counts.\n\n```text\nseven\n```"


def test_an_explorer_has_a_slide_to_itself(tmp_path: Path) -> None:
    explorer = code("Explorer()", slide_type="fragment")
    explorer.outputs = [nbformat.v4.new_output("display_data", data={slides.WIDGET: {"model_id": "1"}})]
    cells = [text("what if?", slide_type="slide", minutes=3), text("this", slide_type="notes"), explorer]
    deck = slides.read_deck(chapter(tmp_path, *cells, text("and that", slide_type="notes")))
    assert deck is not None
    assert [slide.minutes for slide in deck.slides] == [1, 2]
    assert [slide.notes for slide in deck.slides] == [["this", "and that"]] * 2
    assert [cell.metadata["deck"]["fragment"] for cell in slides.as_slides(deck).cells] == [False, False]


@pytest.mark.parametrize(
    ("line", "lines", "size"), [("x", 1, 28), ("x" * 80, 1, 23), ("x" * 140, 1, 16), ("x", 25, 16)]
)
def test_letters_of_code_are_as_large_as_fits(line: str, lines: int, size: float) -> None:
    cell = code("\n".join([line] * lines), slide_type="-")
    assert slides.letters(slides.Slide("", 1, [cell])) == pytest.approx(size, abs=0.1)


def test_without_fetched_files_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slides, "STATIC", tmp_path)
    with pytest.raises(SystemExit, match="fetch.py"):
        slides.make(tmp_path / "out")


# Exercises and plans


def test_solutions_page_has_every_exercise_with_its_solution() -> None:
    notebook = slides.solutions_page(ROOT / "notebooks")
    cells = [cell.source for cell in notebook.cells]
    cards = [i for i, cell in enumerate(cells) if cell.startswith("### Exercise")]
    assert sorted(re.match(r"### Exercise ([\dA]+\.\d)", cells[i])[1] for i in cards) == sorted(EXERCISES)
    assert all(cells[i + 1].startswith("```python\n") for i in cards)


def minutes_of(claim: str) -> float:
    """ "02" is a whole deck, "02, Heading" a section of it, "one_hour, Heading" one of the hour."""
    chapter, _, heading = claim.partition(", ")
    deck = HOUR if chapter == "one_hour" else DECKS[chapter]
    return sum(slide.minutes for slide in deck.section(heading)) if heading else deck.minutes


def test_plans_take_their_minutes_from_decks_and_exercises() -> None:
    claims = re.findall(r"(\d+)<!-- minutes: (.+?) -->", LECTURERS)
    assert len(claims) >= 15
    for said, claim in claims:
        assert int(said) == minutes_of(claim), claim
    claims = re.findall(r"(\d+)<!-- exercises: (.+?) -->", LECTURERS)
    assert len(claims) >= 7
    for said, names in claims:
        assert int(said) == sum(EXERCISES[name] for name in names.split(", ")), names


def test_plans_add_up() -> None:
    tables = [part for part in re.split(r"\n\n", LECTURERS) if part.startswith("| minutes |")]
    assert len(tables) == 8
    for table in tables:
        *rows, last = [int(number) for number in re.findall(r"^\| \**(\d+)", table, re.MULTILINE)]
        assert sum(rows) == last, table


def test_two_days_hold_every_deck_and_every_exercise() -> None:
    plan = LECTURERS.partition("## Two days")[2].partition("## What to prepare")[0]
    assert sorted(re.findall(r"minutes: (\w+) -->", plan)) == sorted(DECKS)
    assert sorted(", ".join(re.findall(r"exercises: (.+?) -->", plan)).split(", ")) == sorted(EXERCISES)


def test_the_hour_is_the_plan_and_an_hour() -> None:
    plan = LECTURERS.partition("## One hour")[2].partition("## Three hours")[0]
    rows = re.findall(r"minutes: one_hour, (.+?) -->.*\| (\w*) ?\|$", plan, re.MULTILINE)
    assert [heading for heading, _ in rows] == [heading for heading, _, _ in slides.outline(HOUR)]
    assert [(chapter, heading) for heading, chapter in rows if chapter] == list(slides.ONE_HOUR)
    assert 50 <= HOUR.minutes <= 60
    assert int(re.search(r"\*\*(\d+)\*\*", plan)[1]) == 60


def test_the_hour_speaks_of_nothing_that_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown_text(HOUR)
    for never in ("four spellings", "gradient by hand", "eq. 5", *slides.LEFT_OUT):
        assert never not in text, never
    assert "Next:" not in "".join(note for slide in HOUR.slides for note in slide.notes)
    monkeypatch.setattr(slides, "LEFT_OUT", ("No slide begins so",))
    with pytest.raises(slides.SlideError, match="No slide begins so"):
        slides.one_hour(list(DECKS.values()))


def test_page_for_lecturers_agrees_with_the_records() -> None:
    assert results.false_claims(LECTURERS) == []
    assert LECTURERS.count("<!-- record: chapter-times.") == len(DECKS)
