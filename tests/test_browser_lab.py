"""Chapters 03 and 07 in JupyterLab, in a real Chromium, as a reader uses them: run all cells, then move things.

The chapters are the course's own, with their committed outputs cleared first; what follows is this machine's.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from browser import keyboard, run_all, shot
from playwright.sync_api import Locator, Page, expect

ROOT = Path(__file__).resolve().parents[1]
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
CODE_CELLS = """() => {
    const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
    return Array.from({ length: cells.length }, (_, i) => cells.get(i))
        .filter((cell) => cell.type === "code" && cell.sharedModel.source.trim())
        .map((cell) => [cell.executionCount, cell.outputs.toJSON().filter((o) => o.output_type === "error")]);
}"""


@pytest.fixture(scope="module")
def chapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both chapters. JupyterLab draws all of their cells, not only those in view."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "book" / "colab-badge.svg", folder)
    for name in ("03_what_attention_costs", "07_what_the_gates_learned"):
        text = (ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
        assert BADGE in text  # a picture from another host, which a chapter in JupyterLab may load; a test may not
        (folder / f"{name}.ipynb").write_text(text.replace(BADGE, "colab-badge.svg"), encoding="utf-8")
    settings = folder / ".settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"windowingMode": "none"}', encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENET_EDU_SPEED", "quick")


def run_chapter(page: Page) -> None:
    """Run all cells; every one of them runs, none fails, and nothing is said on the error stream."""
    run_all(page)
    page.wait_for_function(f"() => ({CODE_CELLS})().every(([count]) => count !== null)", timeout=240_000)
    cells = page.evaluate(CODE_CELLS)
    assert len(cells) > 10
    assert [errors for _, errors in cells if errors] == []
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0


def status_of(explorer: Locator) -> Locator:
    explorer.scroll_into_view_if_needed()
    status = explorer.get_by_role("status")
    expect(status).not_to_have_text("", timeout=60_000)
    return status


def test_chapter_03_runs_and_its_sliders_move(open_page, lab: str) -> None:
    page = open_page(f"{lab}/lab/tree/03_what_attention_costs.ipynb?reset&token=t", width=1300, height=1200)
    run_chapter(page)

    explorer = page.locator(".senet-explorer")
    status = status_of(explorer)
    expect(status).to_contain_text("r = 16")
    keyboard(page, explorer.get_by_role("slider", name="reduction ratio r"), "ArrowLeft")
    expect(status).to_contain_text("r = 8")
    shot(page, "lab-03-explorer")

    kernel = page.locator(".widget-vbox")  # the sliders that call Python
    sentence, picture = kernel.locator(".widget-html-content").first, kernel.locator("img")
    expect(sentence).to_contain_text("r = 16")
    before = picture.get_attribute("src")
    keyboard(page, kernel.locator(".noUi-handle").first, "ArrowLeft", "ArrowLeft")
    expect(sentence).to_contain_text("r = 4", timeout=60_000)
    expect(picture).not_to_have_attribute("src", before)
    shot(page, "lab-03-sliders")


def test_chapter_07_runs_and_its_explorers_move(open_page, lab: str) -> None:
    page = open_page(f"{lab}/lab/tree/07_what_the_gates_learned.ipynb?reset&token=t", width=1300, height=1200)
    run_chapter(page)

    gates = page.locator(".senet-explorer.gates")
    status = status_of(gates)
    said = status.inner_text()
    keyboard(page, gates.get_by_role("radio", name="SE_5_2"), "ArrowUp")
    expect(status).not_to_have_text(said)
    expect(status).to_contain_text("SE_5_1")
    keyboard(page, gates.get_by_role("slider", name="channel"), "Home", "ArrowRight")
    expect(status).to_contain_text("Channel ")
    shot(page, "lab-07-gates")

    other = page.get_by_role("region", name="Explorer of other gates")
    status = status_of(other)
    expect(status).to_contain_text("SE_2_2", timeout=60_000)
    keyboard(page, other.get_by_role("radio", name="SE_2_2"), "ArrowDown")
    expect(status).to_contain_text("SE_3_1", timeout=60_000)
    shot(page, "lab-07-what-if")
