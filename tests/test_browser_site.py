"""The built site in a real Chromium: no errors, nothing asked of other hosts, readable, and usable without a mouse.

Axe-core looks at every page for what keeps people from reading it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import chromium, keyboard, pages, served, shot
from playwright.sync_api import Browser, Page, expect

from senet_edu import results
from senet_edu.models.price import added

ROOT = Path(__file__).resolve().parents[1]
AXE = ROOT / "tests" / "js" / "fetched" / "axe.min.js"
SOURCES = [*ROOT.glob("book/*.md"), ROOT / "CONTRIBUTING.md", *ROOT.glob("notebooks/*.ipynb")]
PAGES = sorted(source.relative_to(ROOT).with_suffix(".html").as_posix() for source in SOURCES)
START, CHAPTER = "book/index.html", "notebooks/02_squeeze_excite_scale.html"


@pytest.fixture(scope="module")
def browser(site: Path) -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    if not (AXE.exists() and (site / "_static" / "mathjax" / "tex-mml-chtml.js").exists()):
        pytest.skip("npm's files for pages without a kernel are not there")
    with served(site) as address:
        yield address


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens a page of the site; at the end of the test no page may have had an error, or asked another host."""
    with pages(browser) as open_at:
        yield lambda page, **options: settled(open_at(f"{address}/{page}", **options))


def settled(page: Page) -> Page:
    """The page, once its formulas and widgets are there."""
    page.evaluate("window.MathJax?.startup?.promise")
    wanted = page.locator("script[type='application/vnd.jupyter.widget-view+json']").count()
    expect(page.locator(".widget-subarea > *:not(script)")).to_have_count(wanted)
    return page


WITH_LIGHT_AND_WIDTH = ("color-contrast", "link-in-text-block", "scrollable-region-focusable")


def serious(page: Page, *rules: str) -> list[str]:
    """What axe-core finds that bars somebody's way, by all of its rules or by some."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=AXE)
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = page.evaluate("(options) => axe.run(options).then((result) => result.violations)", options)
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def runs_over(page: Page) -> list[str]:
    """What makes the page wider than the window. Empty if it is not."""
    return page.evaluate("""() => {
        const width = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= width) return [];
        return [...document.querySelectorAll("main *")]
            .filter((e) => e.getBoundingClientRect().right > width)
            .map((e) => e.outerHTML.slice(0, 100));
    }""")


SCROLLED_BY_KEY = """() => [...document.querySelectorAll("main :is(pre, .output, .pst-scrollable-table-container)")]
    .every((e) => e.scrollWidth <= e.clientWidth || e.tabIndex === 0)"""


@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole_in_both_lights_and_on_a_phone(visit: Callable[..., Page], name: str) -> None:
    page = visit(name, width=1280, height=900)
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    broken = "i => i.filter(e => e.complete && !e.naturalWidth).map(e => e.src.slice(0, 80))"
    assert page.locator("img").evaluate_all(broken) == []
    assert page.locator("mjx-merror").count() == 0
    assert serious(page) == []
    shot(page, f"site-{Path(name).stem}-light-1280")

    page.set_viewport_size({"width": 375, "height": 812})
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert runs_over(page) == []
    page.wait_for_function(SCROLLED_BY_KEY)  # the theme sees to it a moment after the width has changed
    assert serious(page, *WITH_LIGHT_AND_WIDTH) == []
    shot(page, f"site-{Path(name).stem}-dark-375")


def test_formulas_are_set(visit: Callable[..., Page]) -> None:
    page = visit(CHAPTER)
    formulas = page.locator("main .math")
    assert formulas.count() > 20
    assert page.locator("main .math:not(:has(mjx-container))").count() == 0


# Search


def test_search_finds_a_word_and_leads_there_by_keyboard(visit: Callable[..., Page]) -> None:
    page = visit(START)
    page.keyboard.press("Control+k")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("saturation sigmoid", delay=10)
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=saturation+sigmoid")
    results = page.locator("#search-results li a")
    page.get_by_text(re.compile(r"found \d+ page|\d+ pages? match", re.IGNORECASE)).wait_for()
    titles = results.all_inner_texts()
    assert any("Build the block" in title for title in titles), titles
    assert serious(page) == []
    shot(page, "site-search")
    keyboard(page, results.filter(has_text="Build the block").first, "Enter")
    page.wait_for_url("**/02_squeeze_excite_scale.html**")


def test_search_says_when_there_is_nothing(visit: Callable[..., Page]) -> None:
    page = visit("search.html?q=zebrafinch")
    page.get_by_text("did not match any documents").wait_for()
    assert page.locator("#search-results li").count() == 0


# Explorers


def test_explorer_of_the_reduction_ratio_moves(visit: Callable[..., Page]) -> None:
    page = visit("notebooks/03_what_attention_costs.html", theme="dark")
    explorer = page.locator(".senet-explorer", has=page.get_by_role("slider", name="reduction ratio r"))
    said = explorer.get_by_role("status")
    expect(said).to_contain_text("r = 16")
    before = explorer.locator(".plot path").evaluate_all("p => p.map(e => e.getAttribute('d'))")
    keyboard(page, explorer.get_by_role("slider"), "ArrowLeft", "ArrowLeft")
    expect(said).to_contain_text("r = 4")
    assert explorer.locator(".plot path").evaluate_all("p => p.map(e => e.getAttribute('d'))") != before
    explorer.get_by_role("radio", name="SE_3_1").click()
    expect(said).to_contain_text("SE_3_1")


CLEAR = (
    "rgba(0, 0, 0, 0)"  # what is marked can be seen through its mark; the theme has colours of its own for some classes
)


def test_explorer_of_a_block_moves(visit: Callable[..., Page]) -> None:
    page = visit("notebooks/02_squeeze_excite_scale.html")
    explorer = page.locator(".senet-explorer.block")
    before = explorer.get_by_role("status").inner_text()
    keyboard(page, explorer.get_by_role("slider", name="z of channel 0", exact=True), "End")
    expect(explorer.get_by_role("status")).not_to_have_text(before)
    assert explorer.locator(".marked").evaluate("e => getComputedStyle(e).backgroundColor") == CLEAR


def test_explorer_of_the_gates_moves(visit: Callable[..., Page]) -> None:
    page = visit("notebooks/07_what_the_gates_learned.html")
    explorer = page.locator(".senet-explorer.gates")
    said = explorer.get_by_role("status")
    explorer.get_by_role("radio", name="SE_3_1").click()
    keyboard(page, explorer.get_by_role("slider", name="channel"), "Home", "ArrowRight")
    expect(said).to_contain_text("Channel ")
    assert explorer.locator(".marked").evaluate("e => getComputedStyle(e).backgroundColor") == CLEAR


def test_explorer_of_other_gates_answers(visit: Callable[..., Page]) -> None:
    page = visit("notebooks/07_what_the_gates_learned.html")
    explorer = page.get_by_role("region", name="Explorer of other gates")
    said = explorer.get_by_role("status")
    expect(said).to_contain_text("SE_2_2 with gates as computed", timeout=30_000)
    explorer.get_by_role("radio", name="all 1").click()
    expect(said).to_contain_text("SE_2_2 with gates all 1", timeout=30_000)


def test_explorer_of_the_price_adds_up(visit: Callable[..., Page]) -> None:
    page = visit("notebooks/04_one_block_any_network.html")
    explorer = page.get_by_role("region", name="Explorer of what SE costs")
    expect(explorer.get_by_role("status")).to_contain_text("resnet50, r = 16")
    expect(explorer.get_by_role("checkbox", name="1")).to_be_disabled()  # a ResNet has no SE there
    explorer.get_by_role("checkbox", name="5").click()
    weights, _ = added(results.load_record("network-prices")["networks"]["resnet50"], 16, (2, 3, 4))
    expect(explorer.get_by_role("status")).to_contain_text(f"SE in stages 2, 3, 4: {weights:,} weights more")


def test_table_of_networks_sorts(visit: Callable[..., Page]) -> None:
    page = visit("notebooks/04_one_block_any_network.html")
    table = page.locator(".senet-explorer.sortable").first
    header = table.get_by_role("columnheader", name="parameters")
    column = header.evaluate("e => e.cellIndex")

    def values() -> list[float]:
        cells = table.locator(f"tbody tr > :nth-child({column + 1})").all_inner_texts()
        return [float(re.sub(r"[^\d.]", "", cell)) for cell in cells]

    keyboard(page, header.get_by_role("button"), "Enter")
    upwards = header.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values(), reverse=not upwards)
    header.get_by_role("button").click()
    assert (header.get_attribute("aria-sort") == "ascending") is not upwards
    assert values() == sorted(values(), reverse=upwards)
    assert len(set(values())) > 3


# Without a mouse, and on a phone


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.innerText || document.activeElement.getAttribute('aria-label') || ''")


def tab_to(page: Page, text: str, limit: int = 60) -> None:
    """Press Tab until something with this text has the focus, and can be seen to have it."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        if text in focused(page):
            seen = "getComputedStyle(document.activeElement)"
            assert page.evaluate(f"{seen}.outlineStyle !== 'none' || {seen}.boxShadow !== 'none'"), text
            return
    raise AssertionError(f"{limit} times Tab, and {text!r} was not reached; now on {focused(page)!r}")


def test_from_the_start_page_into_a_chapter_by_keyboard(visit: Callable[..., Page]) -> None:
    page = visit(START, width=1280)
    tab_to(page, "Skip to main content", limit=1)
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")
    tab_to(page, "squeeze")  # the first link of the text, in "In ten minutes"
    page.keyboard.press("Enter")
    page.wait_for_url("**/02_squeeze_excite_scale.html#squeeze-one-number-a-channel")
    top = page.locator("#squeeze-one-number-a-channel").evaluate("e => e.getBoundingClientRect().top")
    assert -50 < top < 900


def test_folded_answers_open_by_keyboard(visit: Callable[..., Page]) -> None:
    page = visit(CHAPTER)
    answer = page.locator("main details").filter(has_text="What we found").first
    assert answer.get_attribute("open") is None
    keyboard(page, answer.locator("summary"), "Enter")
    assert answer.get_attribute("open") is not None
    expect(answer.locator("p").first).to_be_visible()
    keyboard(page, answer.locator("summary"), "Space")
    assert answer.get_attribute("open") is None


def test_colours_change_by_button_and_stay(visit: Callable[..., Page]) -> None:
    page = visit(START)
    theme = "document.documentElement.dataset.theme"
    seen = []
    for _ in range(3):
        keyboard(page, page.get_by_role("button", name="Color mode"), "Enter")
        seen.append(page.evaluate(theme))
    assert set(seen) == {"light", "dark"}
    while page.evaluate(theme) != "dark":
        page.get_by_role("button", name="Color mode").click()
    page.goto(page.url.replace(START, CHAPTER))
    assert page.evaluate(theme) == "dark"


def test_on_a_phone_the_chapters_are_behind_a_button(visit: Callable[..., Page]) -> None:
    page = visit(START, width=375, height=812)
    chapters = page.get_by_role("link", name="03 · Count what attention costs").first
    expect(chapters).not_to_be_in_viewport()
    page.locator("button.primary-toggle:visible").first.click()
    link = page.locator("dialog").get_by_role("link", name="03 · Count what attention costs")
    expect(link).to_be_in_viewport()
    shot(page, "site-phone-chapters")
    link.click()
    page.wait_for_url("**/03_what_attention_costs.html")


def test_start_page_opens_from_the_disk(browser: Browser, site: Path) -> None:
    """As `make course` says: no server is needed to read the course, its formulas and its widgets."""
    context = browser.new_context()
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    cut_short = "net::ERR_ABORTED"  # by the next page: a browser asks for the icon when a page is there already
    page.on("requestfailed", lambda request: wrong.append(request.url) if request.failure != cut_short else None)
    page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    page.goto((site / "index.html").as_uri())
    page.wait_for_url("**/book/index.html")
    page.goto((site / "notebooks" / "03_what_attention_costs.html").as_uri())
    settled(page)
    expect(page.locator(".senet-explorer").first.get_by_role("status")).to_contain_text("r = 16")
    context.close()
    assert wrong == []
