"""Turn the chapters into lectures: reveal.js decks with speaker notes, one of an hour made of parts of several, an
index, and the exercises' solutions on a page apart.

    python book/slides.py [folder]        # `make slides`; the folder is _build/slides if none is named

A deck is made of its chapter's own cells, with the outputs that are committed. The cell metadata "slideshow" says what
goes where, as JupyterLab's property inspector does:

- slide     a slide begins here: {"slide_type": "slide", "minutes": 3}
- subslide  the same, under the heading of the section that it is in
- "-"       the cell goes on the slide, too
- fragment  the same, but it waits for a key
- notes     what the lecturer says while the slide is shown; of code, what it printed

An explorer has a slide to itself: what stands before it takes one of the slide's minutes, and both have its notes.
Any other cell is on the page only. A figure or an explorer is shown by itself, other code with what it prints;
{"show": "code"} asks for the code, {"show": "output"} for all that came out of it, with what a figure's cell printed.
Nothing is executed, and a deck asks no other host.
"""

from __future__ import annotations

import base64
import re
import shutil
import struct
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import SlidesExporter
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
STATIC = ROOT / "book" / "_static"  # filled by book/fetch.py
TEMPLATE = ROOT / "book" / "deck"
LOADED = {  # what a deck loads beside the template's own files
    "reveal": ("reveal.js", "reveal.css", "plugin/notes.js"),
    "mathjax": ("tex-svg.js",),
    "widgets": ("require.js", "paths.js", "embed-amd.js", "anywidget.js", "*.woff2"),
}
STATE = "application/vnd.jupyter.widget-state+json"
WIDGET = "application/vnd.jupyter.widget-view+json"

# The lecture of one hour: chapter and section, between an opening and an end of its own, and the beginnings of the
# slides that it leaves out. book/lecturers.md has it as a plan, beside longer ones.
ONE_HOUR = (
    ("01", "Attention: spend on what matters"),
    ("02", "What a convolution hands over"),
    ("02", "Squeeze: one number a channel"),
    ("02", "Excite: from what is there to what matters"),
    ("02", "Scale: every map times its gate"),
    ("02", "The block in ten lines"),
    ("03", "What r buys"),
    ("07", "The figure"),
)
LEFT_OUT = ("One of the notes this course grew out of divides", "What if $r$ is larger than $C$")
HOUR = "Squeeze and excitation in one hour"
HOUR_NOTES = """\
Made of parts of the course's lectures; each has a chapter to run and to change. Equation and table numbers are \
those of the paper, Hu et al., *Squeeze-and-Excitation Networks*, arXiv 1709.01507. The course grew out of a handful \
of notes on SE found on the web: "one note" is one of them, and is quoted where it has an error.

"Our network" is an SE-ResNet-18, trained on CIFAR-10 (60,000 photographs of 32×32 pixels in ten classes) as in \
chapter 05: with all its channels in the last figure, with a quarter of them before. A ResNet is a chain of residual \
blocks: convolutions whose result is added to the block's input."""
HOUR_END = """\
## What to take along

- **Squeeze, excite, scale:** a mean for each channel, two small layers and a sigmoid, a product. Ten lines.
- **$r$ trades weights for accuracy:** from 2 to 16 the paper's error hardly moves, for an eighth of the weights.
- **Late gates depend on the class,** early ones little, in our network.
- **Not shown in this hour:** whether a network needs gates that move. Chapters 05 and 07 ask."""
HOUR_END_NOTES = """\
In the paper's table SE helps: an error of 22.28 % with $r = 16$, of 23.30 % without. Chapter 05 trains a narrow \
network beside its plain twin, over seeds. Chapter 07 asks whether the gates learned what they show (most of it \
is in $z$ already), and what the network loses when its gates stand still.

To take home: exercises 2.1 to 2.3, at the end of the sections on squeeze, excite and the block in chapter 02."""

WIDTH, HEIGHT = 1110, 500  # of a slide's code, in pixels
SMALLEST, LARGEST = 16, 28  # its letters
CHARACTER, LINE = 0.602, 1.35  # a letter's width and a line's height, as shares of its size
WIDEST = int(WIDTH / (CHARACTER * SMALLEST))  # characters on a line
TALL = 1.5  # a figure that is less than this times as wide as it is high stands beside the text, not below it


class SlideError(ValueError):
    """A chapter's slides make no sense; the message names the chapter and the cell."""


@dataclass
class Slide:
    """One slide: its section's heading, the minutes it takes, the cells shown, and what is said."""

    section: str
    minutes: float
    cells: list[NotebookNode] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Deck:
    """The slides of one chapter."""

    stem: str
    title: str
    slides: list[Slide]
    explorers: dict[str, Any]  # the state of the widgets

    @property
    def minutes(self) -> float:
        return sum(slide.minutes for slide in self.slides)

    def section(self, heading: str) -> list[Slide]:
        """The slides under a heading; a SlideError if there are none."""
        found = [slide for slide in self.slides if slide.section == heading]
        if not found:
            raise SlideError(f"{self.stem} has no slides under {heading!r}")
        return found


def read_deck(path: Path) -> Deck | None:
    """The deck of an executed chapter; None when no cell of it asks for a slide.

    Raises:
        SlideError: a slide without minutes, an unknown slide type, or a cell for a slide before there is one.
    """
    notebook = nbformat.read(path, as_version=4)
    slides: list[Slide] = []
    title = section = path.stem
    for cell in notebook.cells:
        headings = re.findall(r"^(#{1,2}) (.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else []
        for level, heading in headings:
            section = heading
            title = heading if level == "#" else title
        about = cell.metadata.get("slideshow", {})
        kind = about.get("slide_type", "skip")
        where = f"{path.stem}, cell {cell.source[:50]!r}"
        if kind == "skip":
            continue
        if kind in ("slide", "subslide"):
            if not isinstance(about.get("minutes"), int | float):
                raise SlideError(f'{where}: a slide says how long it takes, {{"slide_type": "{kind}", "minutes": 3}}')
            slides.append(Slide(section, about["minutes"]))
        elif not slides:
            raise SlideError(f"{where}: no slide has begun")
        if kind == "notes":
            slides[-1].notes.append(cell.source if cell.cell_type == "markdown" else f"```text\n{printed(cell)}\n```")
        elif kind in ("slide", "subslide", "fragment", "-"):
            if is_explorer(cell) and slides[-1].cells:
                before = slides[-1]
                slides.append(Slide(section, before.minutes - 1, notes=before.notes))
                before.minutes = 1
            slides[-1].cells.append(cell)
        else:
            raise SlideError(f"{where}: no slide type {kind!r}")
    return Deck(path.stem, title, slides, notebook.metadata.get("widgets", {}).get(STATE, {})) if slides else None


def decks(folder: Path = NOTEBOOKS) -> list[Deck]:
    """The decks of all chapters that have one, in reading order."""
    return [deck for deck in map(read_deck, sorted(folder.glob("*.ipynb"))) if deck]


def one_hour(made: list[Deck]) -> Deck:
    """The lecture of one hour: sections of the chapters' decks, between a slide with its title and one that sums it up.

    Raises:
        SlideError: a section is not there, or a slide to leave out.
    """
    of_chapter = {deck.stem.partition("_")[0]: deck for deck in made}
    parts = [slide for chapter, heading in ONE_HOUR for slide in of_chapter[chapter].section(heading)]
    for beginning in LEFT_OUT:
        kept = [slide for slide in parts if not slide.cells[0].source.startswith(beginning)]
        if len(kept) == len(parts):
            raise SlideError(f"no slide of the hour begins {beginning!r}")
        parts = kept
    opening = own_slide(HOUR, 1, f"# {HOUR}", HOUR_NOTES)
    end = own_slide("What to take along", 2, HOUR_END, HOUR_END_NOTES)
    states = [of_chapter[chapter].explorers.get("state", {}) for chapter in dict(ONE_HOUR)]
    explorers = {"version_major": 2, "version_minor": 0, "state": {k: v for state in states for k, v in state.items()}}
    return Deck("one_hour", HOUR, [opening, *parts, end], explorers)


def own_slide(section: str, minutes: float, text: str, notes: str) -> Slide:
    """A slide that no chapter has."""
    cell = nbformat.v4.new_markdown_cell(text, metadata={"slideshow": {"slide_type": "slide"}})
    return Slide(section, minutes, [cell], [notes])


# What a slide shows


def is_picture(output: NotebookNode) -> bool:
    """A figure or an explorer: shown as large as the slide allows."""
    data = output.get("data", {})
    return WIDGET in data or "<figure" in data.get("text/html", "")


def is_explorer(cell: NotebookNode) -> bool:
    return any(WIDGET in output.get("data", {}) for output in cell.get("outputs", []))


def is_tall(output: NotebookNode) -> bool:
    picture = re.search(r'src="data:image/png;base64,([^"]{32})', output.get("data", {}).get("text/html", ""))
    if not picture:
        return False
    width, height = struct.unpack(">II", base64.b64decode(picture[1])[16:24])  # a PNG begins with its size
    return width < TALL * height


def printed(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs).rstrip()


def shown(cell: NotebookNode) -> dict[str, Any]:
    """What a slide shows of a code cell: its source, what it printed, its figures and explorers."""
    pictures = [output for output in cell.outputs if is_picture(output)]
    show = cell.metadata["slideshow"].get("show", "picture" if pictures else "both")
    source = re.sub(r"\n{3,}", "\n\n", cell.source) if show in ("code", "both") else ""
    lines = printed(cell) if show in ("output", "both") else ""
    return {"source": source, "printed": lines, "pictures": [] if show == "code" else pictures}


def letters(slide: Slide) -> float:
    """Size of the letters of a slide's code and printed output, in pixels: as large as fits.

    A very long line of output, such as an error's message, is broken.
    """
    parts = [shown(cell) for cell in slide.cells if cell.cell_type == "code"]
    lines = [line for part in parts for line in part["source"].splitlines()]
    for part in parts:
        for line in part["printed"].splitlines():
            lines += [line] if len(line) <= WIDEST else textwrap.wrap(line, 80)
    if not lines:
        return LARGEST
    wanted = min(LARGEST, WIDTH / (CHARACTER * max(map(len, lines))), HEIGHT / (LINE * len(lines)))
    return max(SMALLEST, round(wanted, 1))


def unlinked(markdown: str) -> str:
    """Markdown without links to other chapters: in a lecture they lead nowhere."""
    return re.sub(r"\[([^\]]+)\]\(\w+\.ipynb[^)]*\)", r"\1", markdown)


def told(markdown: str) -> str:
    """A page's Markdown in a lecture, where nobody runs a next cell."""
    return re.sub(r"\*\*Before you run the next (\w+ )?cells?:\*\*", "**Before you look:**", unlinked(markdown))


def said(markdown: str) -> str:
    """A page's Markdown as a note: what follows a colon on the page, such as code, may not be on the slide."""
    return re.sub(r":$", ".", unfolded(told(markdown)).rstrip())


def unfolded(markdown: str) -> str:
    """Markdown with its folded parts open, as a lecturer wants them."""
    markdown = re.sub(r"<details><summary>(.*?)</summary>", r"**\1:**", markdown)
    return markdown.replace("</details>", "")


def minutes(number: float) -> str:
    return f"{number:g} minute" + ("" if number == 1 else "s")


def as_slides(deck: Deck) -> NotebookNode:
    """The deck as a notebook of its shown cells, with all that the template prints in the cells' metadata."""
    cells = []
    for number, slide in enumerate(deck.slides, 1):
        first = slide.cells[0].source
        heading = "" if re.match(r"#{1,2} ", first) else slide.section
        for cell in slide.cells:
            waits = cell.metadata["slideshow"]["slide_type"] == "fragment" and cell is not slide.cells[0]
            deck_cell: dict[str, Any] = {"fragment": waits}
            if cell.cell_type == "code":
                deck_cell |= shown(cell)
            else:
                cell.source = told(cell.source)
            cell.metadata["deck"] = deck_cell
        pictures = [picture for cell in slide.cells for picture in cell.metadata["deck"].get("pictures", [])]
        slide.cells[0].metadata["deck"] |= {
            "opens": True,
            "beside": len(pictures) == 1 and is_tall(pictures[0]),
            "number": number,
            "heading": heading,
            "title": first.startswith("# "),
            "letters": letters(slide),
        }
        notes = "\n\n".join([f"**{minutes(slide.minutes)}**", *map(said, slide.notes)])
        slide.cells[-1].metadata["deck"] |= {"closes": True, "notes": notes}
        cells += slide.cells
    widgets = {STATE: deck.explorers} if deck.explorers.get("state") else {}
    return nbformat.v4.new_notebook(cells=cells, metadata={"title": deck.title, "widgets": widgets})


# The exercises


def solutions(path: Path) -> list[tuple[str, str]]:
    """(task, solution) of each exercise of a chapter, as Markdown, taken from its folded cells.

    Raises:
        SlideError: an exercise without a solution two cells on.
    """
    cells = nbformat.read(path, as_version=4).cells
    found = []
    for i, cell in enumerate(cells):
        card = re.search(r"^### Exercise .*", cell.source, re.MULTILINE | re.DOTALL)
        if cell.cell_type != "markdown" or not card:
            continue
        folded = re.search(r"<summary>Solution</summary>\s*(.*?)\s*</details>", cells[i + 2].source, re.DOTALL)
        if not folded:
            raise SlideError(f"{path.stem}: no solution two cells after {card[0].splitlines()[0]!r}")
        found.append((card[0].rstrip(), folded[1]))
    return found


def solutions_page(folder: Path) -> NotebookNode:
    """All exercises with their solutions."""
    parts = ["# Solutions", "For lecturers: every exercise and its solution, taken from the chapters."]
    for path in sorted(folder.glob("*.ipynb")):
        if found := solutions(path):
            title = re.search(r"^# (.+)$", nbformat.read(path, as_version=4).cells[0].source, re.MULTILINE)[1]
            parts += [f"## {title}", *(part for pair in found for part in pair)]
    return page("Solutions", parts)


def index_page(made: list[Deck]) -> NotebookNode:
    """The decks and their sections, with slides and minutes."""
    parts = [
        "# Lectures",
        "In a deck, space goes on, Esc shows all slides, S opens the speaker's window with notes and a clock, and "
        "`?print-pdf` behind its address makes it a page to print.",
        "The exercises' [solutions](solutions.html) stand apart.",
    ]
    for deck in made:
        parts.append(f"## [{deck.title}]({deck.stem}.html)\n\n{len(deck.slides)} slides, {minutes(deck.minutes)}")
        rows = [f"- [{text}]({deck.stem}.html#/slide-{first}): {minutes(sum_)}" for text, first, sum_ in outline(deck)]
        parts.append("\n".join(rows))
    return page("Lectures", parts)


def outline(deck: Deck) -> list[tuple[str, int, float]]:
    """(heading, number of its first slide, minutes) of each section of a deck."""
    headings = dict.fromkeys(slide.section for slide in deck.slides)
    first = [next(i for i, slide in enumerate(deck.slides, 1) if slide.section == heading) for heading in headings]
    spent = [sum(slide.minutes for slide in deck.section(heading)) for heading in headings]
    return list(zip(headings, first, spent, strict=True))


def page(title: str, parts: list[str]) -> NotebookNode:
    """A page that is no deck."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(unlinked(part)) for part in parts])
    notebook.metadata["title"] = title
    return notebook


# Writing


def write(notebook: NotebookNode, target: Path) -> None:
    """Write a deck, or a page, with our template."""
    exporter = SlidesExporter(
        template_name=TEMPLATE.name, extra_template_basedirs=[str(TEMPLATE.parent)], exclude_anchor_links=True
    )
    html, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": target.stem}})
    target.write_text(html, encoding="utf-8")


def make(folder: Path, notebooks: Path = NOTEBOOKS) -> list[Deck]:
    """Write all decks, the index and the solutions, with what they load, into a folder.

    Raises:
        SystemExit: book/fetch.py has not run.
        SlideError: see `read_deck` and `solutions`.
    """
    files = [TEMPLATE / "deck.css", TEMPLATE / "deck.js"]
    for place, patterns in LOADED.items():
        for pattern in patterns:
            found = sorted((STATIC / place).glob(pattern))
            if not found:
                raise SystemExit(
                    f"{STATIC / place / pattern} is not there: run `python book/fetch.py`, once, with network"
                )
            files += found
    (folder / "static").mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, folder / "static")
    made = decks(notebooks)
    made.insert(0, one_hour(made))
    for deck in made:
        write(as_slides(deck), folder / f"{deck.stem}.html")
    write(index_page(made), folder / "index.html")
    write(solutions_page(notebooks), folder / "solutions.html")
    return made


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "_build" / "slides"
    for deck in make(folder):
        print(f"{len(deck.slides):3} slides, {deck.minutes:3g} minutes: {deck.title}")
    print(f"Open {folder / 'index.html'} in a browser.")


if __name__ == "__main__":
    main()
