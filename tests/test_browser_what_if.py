"""Two explorers in a real Chromium, without a kernel: other gates, and the price. Their numbers are Python's."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import drawn, keyboard, shot
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from torch import Tensor

import senet_edu as se
from senet_edu.course import run_chapter
from senet_edu.training import normalise
from senet_edu.widgets import PriceExplorer, WhatIfExplorer
from senet_edu.widgets.price import STAGES

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ["first", "second", "third", "fourth", "fifth"]
CHAPTER = f"""\
# %%
import senet_edu as se
from senet_edu.widgets import PriceExplorer, WhatIfExplorer
WhatIfExplorer(se.shapes(5, seed=0)[0], {NAMES})

# %%
PriceExplorer()
"""


@pytest.fixture(scope="module")
def chapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chapter")
    (folder / "07_explorers.py").write_text(CHAPTER, encoding="utf-8")
    run_chapter(folder / "07_explorers.py", folder)
    return folder


@pytest.fixture
def python() -> WhatIfExplorer:
    """The same explorer, to compute in PyTorch what the page should show."""
    return WhatIfExplorer(se.shapes(5, seed=0)[0], NAMES)


def rows_of(explorer: Locator, title: str) -> list[list[str]]:
    """The cells of a table twin, opened if it is not."""
    fold = explorer.locator("details", has=explorer.page.get_by_text(title, exact=True))
    if not fold.evaluate("fold => fold.open"):
        fold.locator("summary").click()
    rows = fold.locator("tbody tr")
    rows.first.wait_for()
    return rows.evaluate_all("r => r.map(e => [...e.children].map(c => c.innerText))")


# Other gates


def what_if_on(page: Page) -> Locator:
    explorer = page.get_by_role("region", name="Explorer of other gates")
    expect(explorer.get_by_role("status")).to_contain_text("With its own gates", timeout=60_000)
    return explorer


def deed(python: WhatIfExplorer) -> str:
    if python.gates == "one channel moved":
        return f"{python.block} with gate {python.channel} set to {python.value:.2f}: "
    more = f" ({NAMES[python.other]})" if python.gates == "of another picture" else ""
    return f"{python.block} with gates {python.gates}{more}: "


def assert_logits(explorer: Locator, python: WhatIfExplorer, wanted: tuple[Tensor, Tensor]) -> None:
    """Logits within 1e-3, probabilities, bars and the sentence as they follow from the logits."""
    rows = rows_of(explorer, "Logits and probabilities as a table")
    assert [row[0] for row in rows] == python.classes
    shown = torch.tensor([[float(cell) for cell in row[1:3]] for row in rows]).T  # [2, K]
    assert torch.allclose(shown, torch.stack(wanted), rtol=0, atol=1e-3)
    shares = torch.stack(wanted).softmax(1)
    said = torch.tensor([[float(cell.removesuffix(" %")) / 100 for cell in row[3:5]] for row in rows]).T
    assert torch.allclose(said, shares, rtol=0, atol=1e-3)
    lengths = explorer.locator(".lines span span").evaluate_all("s => s.map(e => parseFloat(e.style.width) / 100)")
    assert torch.allclose(torch.tensor(lengths).view(-1, 2).T, shares, rtol=0, atol=1e-3)
    status = explorer.get_by_role("status").inner_text()
    for share in shares:
        assert f": {python.classes[share.argmax()]}, {100 * share.max():.1f} %." in status


def assert_shows(explorer: Locator, python: WhatIfExplorer) -> None:
    """What the page says of the state that `python` is in, once it says it."""
    expect(explorer.get_by_role("status")).to_contain_text(f"Picture: {NAMES[python.picture]}. ", timeout=30_000)
    expect(explorer.get_by_role("status")).to_contain_text(deed(python), timeout=30_000)
    assert_logits(explorer, python, python.logits())
    own = python.own_gates(python.picture)[python.block]
    lines = drawn(explorer)
    assert np.allclose(lines["own"], own.numpy(), rtol=0, atol=1e-4)
    chosen = python.override().get(python.block, own)
    used = chosen(own[None])[0] if callable(chosen) else torch.as_tensor(chosen).expand_as(own)
    assert np.allclose(lines["chosen"], used.numpy(), rtol=0, atol=1e-4)
    cells = np.array([row[1:] for row in rows_of(explorer, "Gates as a table")], dtype=float)
    assert np.allclose(cells, torch.stack([own, used], 1).numpy(), rtol=0, atol=1e-3)


def test_the_mouse_moves_it_and_the_logits_are_pytorch_s(open_page, exported: str, python: WhatIfExplorer) -> None:
    page = open_page(f"{exported}/light.html")
    explorer = what_if_on(page)
    assert_shows(explorer, python)
    for picture, block, gates in ((3, "SE_2_1", "all 0.5"), (0, "SE_4_2", "mean over images"), (0, "SE_3_1", "all 1")):
        python.picture, python.block, python.gates = picture, block, gates
        explorer.get_by_role("radio", name=NAMES[picture]).click()
        explorer.get_by_role("radio", name=block).click()
        explorer.get_by_role("radio", name=gates).click()
        assert_shows(explorer, python)
    explorer.get_by_role("radio", name="of another picture").click()
    explorer.get_by_role("combobox", name="the other picture").select_option("fifth")
    python.gates, python.other = "of another picture", 4
    assert_shows(explorer, python)
    assert re.search(r"by a worker of this page in \d+ ms", explorer.locator(".caption").inner_text())
    shot(page, "what-if")


def test_the_keyboard_moves_it(open_page, exported: str, python: WhatIfExplorer) -> None:
    page = open_page(f"{exported}/dark.html")
    explorer = what_if_on(page)
    keyboard(page, explorer.get_by_role("radio", name="first"), "ArrowDown")
    keyboard(page, explorer.get_by_role("radio", name="SE_5_2"), "ArrowUp", "ArrowUp")
    keyboard(page, explorer.get_by_role("radio", name="all 1"), *["ArrowDown"] * 4)
    channel = explorer.get_by_role("slider", name="channel to move")
    keyboard(page, channel, "End", "ArrowLeft")
    keyboard(page, explorer.get_by_role("slider", name="its gate"), "ArrowLeft", "ArrowLeft")
    python.picture, python.block, python.gates, python.channel, python.value = (
        1,
        "SE_4_2",
        "one channel moved",
        62,
        0.98,
    )
    assert channel.get_attribute("aria-valuetext") == "62"
    assert_shows(explorer, python)
    keyboard(page, explorer.get_by_role("radio", name="SE_4_2"), *["ArrowUp"] * 4)  # SE_2_2 has 16 channels
    expect(explorer.get_by_role("status")).to_contain_text("SE_2_2 with gate 15 set to 0.98")
    keyboard(page, explorer.get_by_role("radio", name="one channel moved"), "ArrowUp")
    keyboard(page, explorer.get_by_role("combobox"), "ArrowDown")
    python.block, python.gates, python.other = "SE_2_2", "of another picture", 2
    assert_shows(explorer, python)
    shot(page, "what-if-keyboard")


def png(pixels: np.ndarray) -> bytes:
    """A file of pixels [H, W, 3]."""
    Image.fromarray(pixels).save(file := io.BytesIO(), "png")
    return file.getvalue()


def test_a_picture_of_the_reader_s_own(open_page, exported: str, python: WhatIfExplorer) -> None:
    """From the file button and dropped; its middle is taken; what is no picture is told; nothing is asked of a host."""
    page = open_page(f"{exported}/light.html")
    explorer = what_if_on(page)
    random = np.random.default_rng(0)
    inside = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    wide = np.concatenate([np.zeros((32, 20, 3), np.uint8), inside, np.full((32, 20, 3), 255, np.uint8)], axis=1)

    def logits(pixels: np.ndarray) -> tuple[Tensor, Tensor]:
        image = normalise(torch.from_numpy(pixels).permute(2, 0, 1)[None])  # [1, 3, 32, 32]
        with torch.no_grad():
            own = python.network(image)[0]
            with se.override_gates(python.network, python.override()):
                return own, python.network(image)[0]

    yours = explorer.get_by_role("radio", name="yours")
    expect(yours).to_be_hidden()
    explorer.locator("input[type=file]").set_input_files(
        {"name": "mine.png", "mimeType": "image/png", "buffer": png(wide)}
    )
    expect(explorer.get_by_role("status")).to_contain_text("Picture: yours.", timeout=30_000)
    assert yours.is_checked()
    assert_logits(explorer, python, logits(inside))

    explorer.get_by_role("radio", name="second").click()
    python.picture = 1
    assert_shows(explorer, python)
    turned = inside[::-1].copy()
    drop = """([explorer, data]) => {
        const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
        explorer.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(drop, [explorer.element_handle(), base64.b64encode(png(turned)).decode()])
    expect(explorer.get_by_role("status")).to_contain_text("Picture: yours.", timeout=30_000)
    assert_logits(explorer, python, logits(turned))

    text = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    explorer.locator("input[type=file]").set_input_files(text)
    expect(explorer.get_by_role("alert")).to_have_text("This browser cannot read notes.txt as a picture.")
    assert_logits(explorer, python, logits(turned))
    shot(page, "what-if-own")


WITHOUT = {
    "throws": "void (window.Worker = class { constructor() { throw new DOMException('no', 'SecurityError'); } })",
    "reports an error": """void (window.Worker = class {
        constructor() { setTimeout(() => this.onerror(new Event('error', { cancelable: true })), 50); }
        postMessage() {}
        terminate() { window.terminated = true; }
    })""",
    "is there": "",
}
RENDER = """async ([esm, state, bytes]) => {
    const view = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
    for (const [name, text] of Object.entries(bytes)) state[name] = view(text);
    const { default: widget } = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
    window.listeners = new Set();
    const set = (name, value) => {
        state[name] = value;
        listeners.forEach(([event, f]) => event === `change:${name}` && f());
    };
    const off = (event, f) => listeners.forEach((one) => one[0] === event && one[1] === f && listeners.delete(one));
    const on = (event, f) => listeners.add([event, f]);
    const el = document.body.appendChild(document.createElement("div"));
    window.stop = widget.render({ model: { get: (name) => state[name], set, save_changes() {}, on, off }, el });
}"""


@pytest.mark.parametrize("case", WITHOUT)
def test_a_page_without_workers_computes_itself(open_page, exported: str, python: WhatIfExplorer, case: str) -> None:
    page = open_page(f"{exported}/widgets/paths.js")  # any page without a widget
    if WITHOUT[case]:
        page.evaluate(WITHOUT[case])
    state = {name: value for name, value in python.get_state().items() if name != "layout"}
    sent = {n: base64.b64encode(state.pop(n)).decode() for n in ("weights", "means", "pictures")}
    page.evaluate(RENDER, [state["_esm"], state, sent])
    explorer = what_if_on(page)
    explorer.get_by_role("radio", name="SE_3_2").click()
    python.block = "SE_3_2"
    assert_shows(explorer, python)
    where = "by a worker of this page" if case == "is there" else "in the page itself, which allows no worker"
    expect(explorer.locator(".caption")).to_contain_text(f"Computed {where} in ")
    assert page.evaluate("[listeners.size > 0, (stop(), listeners.size)]") == [True, 0]


def test_every_move_is_answered(open_page, exported: str) -> None:
    """Also while the worker computes: what the status says in the end is about the last move."""
    page = open_page(f"{exported}/light.html")
    explorer = what_if_on(page)
    explorer.get_by_role("radio", name="SE_2_1").click()
    explorer.get_by_role("radio", name="one channel moved").click()
    page.evaluate("""() => {
        const range = document.querySelectorAll(".senet-explorer input[type=range]")[1];
        for (let i = 0; i < 30; i++) {
            range.value = i / 30;
            range.dispatchEvent(new Event("input"));
        }
    }""")
    expect(explorer.get_by_role("status")).to_contain_text("set to 0.97:")


# The price


def price_on(page: Page) -> Locator:
    explorer = page.get_by_role("region", name="Explorer of what SE costs")
    expect(explorer.get_by_role("status")).to_contain_text("r = ", timeout=60_000)
    return explorer


def assert_costs(explorer: Locator, python: PriceExplorer) -> None:
    """Sentence, table, bars and twin are what the record gives."""
    shown = [name for name in (python.network, python.beside) if name]
    expect(explorer.get_by_role("status")).to_have_text(" ".join(map(python.sentence, shown)))
    table = explorer.get_by_role("region", name="Weights and multiply-adds").locator("tr")
    cells = table.evaluate_all("r => r.map(e => [...e.children].map(c => c.innerText))")
    assert cells[0] == ["", *shown]
    counts = [se.models.price.added(python.prices[name], python.reduction, python.stages) for name in shown]
    assert cells[2][1:] == [f"{weights:,}" for weights, _ in counts]
    assert cells[4][1:] == [f"{python.prices[n]['parameters'] + c[0]:,}" for n, c in zip(shown, counts, strict=True)]
    assert cells[6][1:] == [f"{adds:,}" for _, adds in counts]
    most = max(1, *(weights for weights, _ in counts))
    lines = explorer.locator(".lines > span").evaluate_all(
        "s => s.map(e => [...e.children].map(c => parseFloat(c.style.width)))"
    )
    assert np.allclose([sum(line) for line in lines], [100 * weights / most for weights, _ in counts], atol=0.01)
    rows = rows_of(explorer, "Stages as a table")
    stages = [(name, stage) for name in shown for stage in python.prices[name]["stages"]]
    assert [row[0] for row in rows] == [f"{name}, stage {stage}" for name, stage in stages]
    for (name, stage), row in zip(stages, rows, strict=True):
        of_stage = python.prices[name]["stages"][stage]
        on = int(stage) in python.stages
        assert row[3] == (f"{of_stage['parameters'][str(python.reduction)]:,}" if on else "no SE")


def test_the_price_answers_to_mouse_and_keyboard(open_page, exported: str) -> None:
    page = open_page(f"{exported}/light.html")
    explorer, python = price_on(page), PriceExplorer()
    assert_costs(explorer, python)
    shot(page, "price")
    explorer.get_by_role("combobox", name="network").select_option("senet154")
    explorer.get_by_role("checkbox", name="5").click()
    python.network, python.stages = "senet154", list(STAGES[:-1])
    assert_costs(explorer, python)
    keyboard(page, explorer.get_by_role("slider"), "ArrowLeft", "ArrowLeft")
    keyboard(page, explorer.get_by_role("checkbox", name="2"), "Space")
    keyboard(page, explorer.get_by_role("combobox", name="beside it"), "Home")
    python.reduction, python.stages, python.beside = 4, [1, 3, 4], ""
    assert_costs(explorer, python)
    explorer.get_by_role("combobox", name="beside it").select_option("sknet50")
    python.beside = "sknet50"
    assert_costs(explorer, python)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_narrow_pages_do_not_run_over(open_page: Callable[..., Any], exported: str, theme: str) -> None:
    page = open_page(f"{exported}/{theme}.html", width=375, height=800)
    for explorer in (what_if_on(page), price_on(page)):
        place = explorer.bounding_box()
        assert place["x"] >= 0 and place["x"] + place["width"] <= 375
        inside = explorer.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
        assert inside
    shot(page, f"what-if-narrow-{theme}")
