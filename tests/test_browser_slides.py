"""The lectures in a real Chromium: every slide of every deck fits, can be read, and asks no other host for anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slides
from browser import SHOTS, chromium, keyboard, served
from playwright.sync_api import Browser, Page, expect

DECKS = {deck.stem.partition("_")[0]: deck for deck in slides.decks()}


@pytest.fixture(scope="module")
def lectures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the decks, the index and the solutions, made as `make slides` makes them."""
    folder = tmp_path_factory.mktemp("slides")
    try:
        slides.make(folder)
    except SystemExit:
        pytest.skip("npm's files for pages without a kernel are not there")
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def browser(lectures: str) -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def open_deck(open_page: Callable[..., Page], address: str) -> Page:
    """A deck with its formulas set, its letters fitted and its explorers drawn."""
    page = open_page(address, width=1280, height=720)
    page.locator("body[data-fitted]").wait_for(timeout=60_000)
    for explorer in page.locator(".explorer").all():
        explorer.locator(".senet-explorer").wait_for(state="attached", timeout=60_000)
    return page


# Shows every slide with all its fragments and measures what people see of it: where it ends, its smallest letters (of
# text and of code, without those of explorers), and its pictures' widths and heights.
MEASURE = """() => [...document.querySelectorAll(".slides > section")].map((slide, i) => {
    Reveal.slide(i, 0, 99);
    const frame = slide.getBoundingClientRect();
    const found = { end: 0, right: 0, left: 1280, text: 99, code: 99, pictures: [] };
    found.inside = slide.scrollHeight <= 720 && slide.scrollWidth <= 1280;
    found.whole = frame.width === 1280 && frame.height === 720;
    for (const part of slide.querySelectorAll("*")) {
        if (part.closest("aside, mjx-assistive-mml") || part.parentElement.closest(".explorer")) continue;
        const box = part.getBoundingClientRect();
        if (!box.width || !box.height) continue;
        found.end = Math.max(found.end, box.bottom - frame.top);
        found.right = Math.max(found.right, box.right - frame.left);
        found.left = Math.min(found.left, box.left - frame.left);
        if ([...part.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())) {
            const kind = part.closest("pre") ? "code" : "text";
            found[kind] = Math.min(found[kind], parseFloat(getComputedStyle(part).fontSize));
        }
        if (part.tagName === "IMG") {
            const scale = Math.min(box.width / part.naturalWidth, box.height / part.naturalHeight);
            found.pictures.push([part.naturalWidth * scale, part.naturalHeight * scale]);
        }
    }
    return found;
})"""


@pytest.mark.parametrize("name", [*DECKS, "one_hour"])
def test_every_slide_fits_and_can_be_read(open_page: Callable[..., Page], lectures: str, name: str) -> None:
    deck = DECKS[name] if name in DECKS else slides.one_hour(list(DECKS.values()))
    page = open_deck(open_page, f"{lectures}/{deck.stem}.html")
    measured = page.evaluate(MEASURE)
    assert len(measured) == len(deck.slides)
    for number, slide in enumerate(measured, 1):
        about = f"slide {number} of {name}: {slide}"
        assert slide["inside"] and slide["whole"], about
        assert slide["end"] <= 720 - 40, about  # the lowest strip has the number and the arrows
        assert slide["left"] >= 60, about
        assert slide["right"] <= 1280 - 60, about
        assert slide["text"] >= 20, about
        assert slide["code"] >= slides.SMALLEST, about
        for width, height in slide["pictures"]:
            assert width * height >= 0.12 * 1280 * 720, about
        if SHOTS:
            page.evaluate(f"Reveal.slide({number - 1}, 0, 99)")
            page.screenshot(path=Path(SHOTS) / f"{name}-{number:02d}.png")
    assert page.locator("mjx-merror").count() == 0
    left = page.evaluate("[...document.querySelectorAll('section p, section li, section td')].map(e => e.innerText)")
    assert not [words for words in left if re.search(r"\$[^$]+\$", words)]


def test_an_explorer_moves_on_its_slide_and_the_slide_stays(open_page: Callable[..., Page], lectures: str) -> None:
    page = open_deck(open_page, f"{lectures}/{DECKS['03'].stem}.html")
    number = page.evaluate(
        "[...document.querySelectorAll('.slides > section')].findIndex((s) => s.querySelector('.explorer'))"
    )
    page.evaluate(f"Reveal.slide({number})")
    explorer = page.locator(".present .senet-explorer")
    expect(explorer).to_be_visible()
    status = explorer.get_by_role("status")
    expect(status).to_contain_text("r = 16")
    keyboard(page, explorer.get_by_role("slider"), "ArrowLeft", "ArrowLeft")
    expect(status).to_contain_text("r = 4")
    assert page.evaluate("Reveal.getIndices().h") == number
    box = explorer.bounding_box()
    assert box["width"] > 1000
    assert box["height"] > 300


@pytest.mark.parametrize(
    ("name", "kind", "choices"),
    [
        ("02", ".block", ["C = 128 (SE_5_2)"]),
        ("07", ".gates", ["all", "shade one standard deviation over the images of a class"]),
        ("07", "[aria-label='Explorer of other gates']", ["one channel moved"]),
    ],
)
def test_a_large_explorer_is_seen_without_scrolling(
    open_page: Callable[..., Page], lectures: str, name: str, kind: str, choices: list[str]
) -> None:
    """Its controls and all that they change, however it is set."""
    page = open_deck(open_page, f"{lectures}/{DECKS[name].stem}.html")
    page.evaluate(
        "(kind) => Reveal.slide([...document.querySelectorAll('.slides > section')]"
        ".findIndex((slide) => slide.querySelector(kind)))",
        f".senet-explorer{kind}",
    )
    explorer = page.locator(f".present .senet-explorer{kind}")
    for choice in ["", *choices]:
        if choice:
            explorer.get_by_label(choice, exact=True).check()
        if kind == ".block":
            explorer.get_by_role("slider").first.press("Home")  # the most hidden units
        for part in explorer.locator("input:visible, svg:visible, table:visible, dl:visible").all():
            box = part.bounding_box()
            assert box is not None
            assert box["x"] >= 60, part
            assert box["x"] + box["width"] <= 1280 - 60, part
            assert box["y"] + box["height"] <= 720 - 40, part
        assert explorer.evaluate("(e) => e.scrollWidth - e.clientWidth") == 0
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}-explorer-{choices[0]}.png")


def test_keys_go_on_and_the_speaker_sees_notes_and_minutes(open_page: Callable[..., Page], lectures: str) -> None:
    page = open_deck(open_page, f"{lectures}/{DECKS['02'].stem}.html")
    page.keyboard.press("Space")
    assert page.evaluate("Reveal.getIndices().h") == 1
    with page.expect_popup() as opened:
        page.keyboard.press("s")
    notes = opened.value.locator(".speaker-controls-notes .value")
    expect(notes).to_contain_text("2 minutes", timeout=30_000)
    expect(notes).to_contain_text("counts input channels")
    assert notes.locator("svg").count() > notes.locator("math").count() == 0  # a formula once, as a picture
    opened.value.close()


def test_a_deck_can_be_printed(open_page: Callable[..., Page], lectures: str) -> None:
    """A page a slide and one more for each further step of it, each as large as on the screen."""
    page = open_deck(open_page, f"{lectures}/{DECKS['01'].stem}.html?print-pdf")
    expect(page.locator(".pdf-page").first).to_be_visible()
    sizes = page.locator(".pdf-page").evaluate_all("p => p.map((e) => [e.clientWidth, e.clientHeight])")
    assert len(sizes) >= len(DECKS["01"].slides)
    assert {width for width, _ in sizes} == {1280}
    ends = page.locator(".pdf-page .cell").evaluate_all(
        "c => c.map((e) => e.getBoundingClientRect().bottom - e.closest('.pdf-page').getBoundingClientRect().top)"
    )
    assert max(ends) <= 720
    assert page.locator(".pdf-page h1").evaluate("e => e.getBoundingClientRect().left") >= 60


def test_index_leads_to_every_section(open_page: Callable[..., Page], lectures: str) -> None:
    page = open_page(f"{lectures}/index.html")
    links = page.locator("main a").evaluate_all("a => a.map((e) => e.getAttribute('href'))")
    made = [slides.one_hour(list(DECKS.values())), *DECKS.values()]
    wanted = {f"{deck.stem}.html#/slide-{first}" for deck in made for _, first, _ in slides.outline(deck)}
    assert wanted | {f"{deck.stem}.html" for deck in made} | {"solutions.html"} == set(links)
    deck = DECKS["02"]
    heading, first, _ = slides.outline(deck)[3]
    page = open_deck(open_page, f"{lectures}/{deck.stem}.html#/slide-{first}")
    expect(page.locator(".present h2")).to_have_text(heading)


def test_solutions_are_on_a_page_of_their_own(open_page: Callable[..., Page], lectures: str) -> None:
    page = open_page(f"{lectures}/solutions.html", width=375)
    page.locator("body[data-fitted]").wait_for(timeout=60_000)
    assert page.locator("h3").count() == page.locator(".highlight").count() > 15
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
