"""The explorers in a real Chromium: in JupyterLab with a kernel, and on an exported page without one.

The numbers on the page are held to the record, the drawn lines to the recorded gates. Nothing may ask another host.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import sweeps
from browser import drawn, keyboard, run_all, said, shot
from playwright.sync_api import Locator, Page, expect

from senet_edu.course import run_chapter
from senet_edu.widgets import ReductionExplorer
from senet_edu.widgets.reduction import Sweep, load_sweep

CHAPTER = """\
# %%
import json
from pathlib import Path
import ipywidgets
from senet_edu.widgets import ReductionExplorer, reduction_sliders
record = json.loads(Path("record.json").read_text())
gates = next(Path().glob("*.safetensors"))

# %%
explorer = ReductionExplorer(record, gates)
explorer

# %%
heard = ipywidgets.Label("nothing yet")
explorer.observe(lambda change: setattr(heard, "value", f"the kernel has r = {explorer.reduction}"), "reduction")
heard

# %%
reduction_sliders(record, gates)
"""


@pytest.fixture(scope="module")
def chapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small executed notebook, the record and the gates that it reads, and the files of a page."""
    folder = tmp_path_factory.mktemp("chapter")
    record, gates = sweeps.shipped() or sweeps.write(folder)
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    if not (folder / gates.name).exists():
        shutil.copy(gates, folder)
    (folder / "03_explorer.py").write_text(CHAPTER, encoding="utf-8")
    run_chapter(folder / "03_explorer.py", folder)
    return folder


@pytest.fixture(scope="module")
def sweep(chapter: Path) -> Sweep:
    return load_sweep(
        json.loads((chapter / "record.json").read_text(encoding="utf-8")), next(chapter.glob("*.safetensors"))
    )


def explorer_on(page: Page) -> Locator:
    """The explorer, once it is drawn."""
    explorer = page.locator(".senet-explorer")
    expect(explorer.get_by_role("status")).to_contain_text("r = ", timeout=30_000)
    return explorer


# What the page says


def assert_shows(explorer: Locator, sweep: Sweep, reduction: int, block: str, chosen: tuple[str, ...]) -> None:
    """Every number and every point is the recorded one."""
    row, gates = sweep.rows[f"r{reduction}"], sweep.gates[f"r{reduction}.{block}"].astype(np.float64)  # [K, C]
    expect(explorer.get_by_role("status")).to_have_text(sweep.sentence(reduction, block))
    assert said(explorer) == {
        "channels C": str(gates.shape[1]),
        "hidden width": str(row["hidden"][block]),
        "weights in this block": f"{row['se_weights_per_block'][block]:,}",
        "weights in all SE blocks": f"{row['se_weights']:,}",
        "accuracy": f"{100 * row['accuracy']:.2f} %",
        "movement": f"{row['movement'][block]:.4f}",
    }
    lines = drawn(explorer)
    assert set(lines) == {"0.5", "all classes", *chosen}
    for name in chosen:
        assert np.array_equal(lines[name], gates[sweep.classes.index(name)])
    assert np.allclose(lines["all classes"], gates.mean(0), rtol=0, atol=1e-12)


# Without a kernel


def test_page_without_a_kernel_moves_by_keyboard(open_page, exported: str, sweep: Sweep) -> None:
    page = open_page(f"{exported}/light.html")
    explorer = explorer_on(page)
    chosen = sweep.first_classes
    assert_shows(explorer, sweep, 16, "SE_5_2", chosen)
    shot(page, "light")
    slider = explorer.get_by_role("slider", name="reduction ratio r")
    for reduction in (8, 4, 2):
        keyboard(page, slider, "ArrowLeft")
        assert slider.get_attribute("aria-valuetext") == f"r = {reduction}"
        assert_shows(explorer, sweep, reduction, "SE_5_2", chosen)
    keyboard(page, slider, "ArrowLeft")  # there is none below 2
    keyboard(page, explorer.get_by_role("radio", name="SE_5_2"), "ArrowUp")
    assert_shows(explorer, sweep, 2, "SE_5_1", chosen)
    keyboard(page, explorer.get_by_role("checkbox", name="cat"), "Space")
    assert_shows(explorer, sweep, 2, "SE_5_1", tuple(name for name in chosen if name != "cat"))


def test_page_without_a_kernel_answers_the_mouse_with_the_recorded_numbers(open_page, exported, sweep: Sweep) -> None:
    page = open_page(f"{exported}/light.html")
    explorer = explorer_on(page)
    box = explorer.get_by_role("slider").bounding_box()
    for i, reduction in enumerate(sweep.reductions):
        page.mouse.click(box["x"] + 8 + i * (box["width"] - 16) / 3, box["y"] + box["height"] / 2)
        for block in sweep.blocks:
            explorer.get_by_role("radio", name=block).click()
            assert_shows(explorer, sweep, reduction, block, sweep.first_classes)


def test_as_many_classes_as_colours(open_page, exported: str, sweep: Sweep) -> None:
    """Each keeps its colour while others come and go, and the seventh waits."""
    page = open_page(f"{exported}/light.html")
    explorer = explorer_on(page)
    boxes = {name: explorer.get_by_role("checkbox", name=name) for name in sweep.classes}

    def colours() -> dict[str, str]:
        named = "p => p.map(e => [e.dataset.name, e.getAttribute('stroke')])"
        return {k: v for k, v in explorer.locator(".plot path").evaluate_all(named) if k in sweep.classes}

    before = colours()
    boxes["bird"].click()
    boxes["ship"].click()
    assert before.items() < colours().items()
    assert len(set(colours().values())) == 6
    assert [name for name, box in boxes.items() if box.is_disabled()] == ["automobile", "deer", "dog", "horse"]
    boxes["airplane"].click()
    boxes["dog"].click()
    assert colours()["dog"] == before["airplane"]
    assert_shows(explorer, sweep, 16, "SE_5_2", ("bird", "cat", "dog", "frog", "ship", "truck"))


def test_table_says_what_the_picture_shows(open_page, exported: str, sweep: Sweep) -> None:
    page = open_page(f"{exported}/light.html")
    explorer = explorer_on(page)
    keyboard(page, explorer.locator("summary"), "Enter")
    keyboard(page, explorer.get_by_role("slider"), "ArrowLeft")
    rows = explorer.locator("tr").evaluate_all("r => r.map(e => [...e.children].map(c => c.innerText))")
    assert rows[0] == ["channel", *sweep.first_classes, "all classes"]
    gates = sweep.gates["r8.SE_5_2"].astype(np.float64)  # [K, C]
    wanted = np.stack([*(gates[sweep.classes.index(name)] for name in sweep.first_classes), gates.mean(0)], 1)
    assert [row[0] for row in rows[1:]] == [str(c) for c in range(gates.shape[1])]
    assert np.abs(np.array([row[1:] for row in rows[1:]], dtype=float) - wanted).max() <= 0.5e-4 + 1e-12
    description = explorer.locator(".plot svg").get_attribute("aria-label")
    cat = gates[sweep.classes.index("cat")]
    assert f"cat from {cat.min():.4f} to {cat.max():.4f}" in description
    shot(page, "table")


TWO = """async ([esm, state]) => {
    const { default: widget } = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
    window.listeners = [0, 1].map(() => new Set());
    window.stops = window.listeners.map((heard) => {
        const now = { ...state, gates: new DataView(Uint8Array.from(state.gates).buffer) };
        const set = (name, value) => {
            now[name] = value;
            heard.forEach((one) => one.event === `change:${name}` && one.f());
        };
        const on = (event, f) => heard.add({ event, f });
        const off = (event, f) => heard.forEach((one) => one.event === event && one.f === f && heard.delete(one));
        const el = document.body.appendChild(document.createElement("div"));
        return widget.render({ model: { get: (name) => now[name], set, save_changes() {}, on, off }, el });
    });
}"""


def test_two_on_a_page_leave_each_other_alone(open_page, exported: str, chapter: Path, sweep: Sweep) -> None:
    """Each has its own state and its own radio buttons, and stops listening when its view is taken away."""
    page = open_page(f"{exported}/widgets/paths.js")  # any page without a widget
    record = json.loads((chapter / "record.json").read_text(encoding="utf-8"))
    widget = ReductionExplorer(record, next(chapter.glob("*.safetensors")))
    state = widget.get_state()
    page.evaluate(TWO, [state["_esm"], state | {"gates": list(widget.gates), "layout": None}])
    first, second = page.locator(".senet-explorer").all()
    first.get_by_role("radio", name="SE_2_1").click()
    keyboard(page, second.get_by_role("slider"), "ArrowLeft")
    assert_shows(first, sweep, 16, "SE_2_1", sweep.first_classes)
    assert_shows(second, sweep, 8, "SE_5_2", sweep.first_classes)
    assert first.get_by_role("radio", name="SE_2_1").is_checked()
    assert second.get_by_role("radio", name="SE_5_2").is_checked()
    assert page.evaluate("listeners.map((heard) => heard.size)") == [3, 3]
    assert page.evaluate("(stops[0](), listeners.map((heard) => heard.size))") == [0, 3]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_narrow_page_does_not_run_over_and_can_be_read(open_page, exported: str, theme: str) -> None:
    page = open_page(f"{exported}/{theme}.html", width=375, height=800)
    explorer = explorer_on(page)
    explorer.locator("summary").click()
    shot(page, f"{theme}-375")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert explorer.evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    place = explorer.bounding_box()
    assert place["x"] >= 0 and place["x"] + place["width"] <= 375
    text, ground = (luminance(page.evaluate(code)) for code in (TEXT, GROUND))
    assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) > 7  # contrast as WCAG 2 computes it, level AAA


TEXT = "getComputedStyle(document.querySelector('.senet-explorer td')).color"
GROUND = """(() => {
    for (let e = document.querySelector('.senet-explorer td'); e; e = e.parentElement) {
        const colour = getComputedStyle(e).backgroundColor;
        if (!/, 0\\)$/.test(colour)) return colour;
    }
    return 'rgb(255, 255, 255)';
})()"""


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)", as WCAG 2 defines it."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# With a kernel


def test_jupyterlab_moves_by_keyboard(open_page, lab: str, sweep: Sweep) -> None:
    page = open_page(f"{lab}/lab/tree/03_explorer.ipynb?reset&token=t", width=1300, height=2000)
    run_all(page)
    explorer = explorer_on(page)
    slider = explorer.get_by_role("slider", name="reduction ratio r")
    chosen = sweep.first_classes
    assert_shows(explorer, sweep, 16, "SE_5_2", chosen)
    keyboard(page, slider, "ArrowLeft", "ArrowLeft")
    expect(page.get_by_text("the kernel has r = 4")).to_be_visible()  # it travelled
    assert_shows(explorer, sweep, 4, "SE_5_2", chosen)
    keyboard(page, explorer.get_by_role("radio", name="SE_5_2"), "ArrowUp", "ArrowUp")
    assert_shows(explorer, sweep, 4, "SE_4_2", chosen)

    sliders = page.locator(".widget-vbox")
    sentence, picture = sliders.locator(".widget-html-content").first, sliders.locator("img")
    expect(sentence).to_have_text(sweep.sentence(16, "SE_5_2"))
    before = picture.get_attribute("src")
    keyboard(page, sliders.locator(".noUi-handle").first, "ArrowLeft")
    expect(sentence).to_have_text(sweep.sentence(8, "SE_5_2"))
    expect(picture).not_to_have_attribute("src", before)
    assert sweep.sentence(8, "SE_5_2") in picture.get_attribute("alt")
    shot(page, "lab")
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
