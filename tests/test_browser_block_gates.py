"""The explorers of one block and of recorded gates on a page without a kernel, in a real Chromium.

The block's numbers are held to PyTorch with the same weights, the gates' to the recorded ones.
"""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from browser import drawn, keyboard, run_all, said, shot
from playwright.sync_api import Locator, Page, expect
from test_explorer_block import block_of, torch_says
from test_explorer_gates import made_up

from senet_edu import figures, results
from senet_edu.blocks import SEBlock
from senet_edu.course import run_chapter
from senet_edu.excitations import Excitations, GateStatistics
from senet_edu.widgets import BlockExplorer
from senet_edu.widgets.gates import ORDERS

CHAPTER = """\
# %%
import ipywidgets
import torch
from senet_edu.blocks import SEBlock
from senet_edu.excitations import Excitations
from senet_edu.widgets import BlockExplorer, ExcitationExplorer
torch.manual_seed(0)
own = SEBlock(24, 4, bias=False)

# %%
explorer = BlockExplorer()
explorer

# %%
BlockExplorer(own, {"one": torch.linspace(-1, 1, 24), "two": torch.ones(24)})

# %%
ExcitationExplorer("se_resnet18-quarter")

# %%
ExcitationExplorer(Excitations.load("wide.safetensors"), order="all", spread=True)

# %%
heard = ipywidgets.Label("nothing yet")
explorer.observe(lambda change: setattr(heard, "value", f"the kernel has z = {explorer.z[2]:.4f}"), "moved")
heard
"""


@pytest.fixture(scope="module")
def chapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an executed notebook of four explorers."""
    folder = tmp_path_factory.mktemp("explorers")
    made_up().save(folder / "wide.safetensors")
    (folder / "02_explorers.py").write_text(CHAPTER, encoding="utf-8")
    run_chapter(folder / "02_explorers.py", folder)
    return folder


@pytest.fixture(scope="module")
def recorded() -> Excitations:
    return results.load_excitations("se_resnet18-quarter")


def explorers(page: Page, kind: str) -> list[Locator]:
    """The two of that kind, once they are drawn."""
    found = page.locator(f".senet-explorer.{kind}")
    for i in range(2):
        expect(found.nth(i).get_by_role("status")).to_contain_text("hannel", timeout=30_000)
    return [found.nth(i) for i in range(2)]


def table(explorer: Locator, name: str) -> list[list[str]]:
    """The rows of a table behind its fold, which is opened."""
    fold = explorer.locator("details", has=explorer.page.get_by_text(name, exact=True))
    if fold.get_attribute("open") is None:
        keyboard(explorer.page, fold.locator("summary"), "Enter")
        fold.locator("tr").first.wait_for()
    return fold.locator("tr").evaluate_all("r => r.map(e => [...e.children].map(c => c.innerText))")


def numbers(rows: list[list[str]]) -> np.ndarray:
    return np.array([row[1:] for row in rows[1:]], dtype=float)


def bars(explorer: Locator, kind: str) -> np.ndarray:
    """How far every bar reaches from zero, as drawn, whether full or hollow."""
    paths = explorer.locator(f".bars.{kind} path").evaluate_all(
        "p => p.filter(e => /level|hollow/.test(e.className.baseVal)).map(e => e.getAttribute('d'))"
    )
    ends = {float(x): float(v) for path in paths for x, v in re.findall(r"M([\d.]+) 0V([-\d.e]+)H", path)}
    return np.array([ends[x] for x in sorted(ends)])


# The block


def assert_computes(explorer: Locator, block: SEBlock, before: torch.Tensor, channel: int) -> torch.Tensor:
    """Bars, tables and list are PyTorch's numbers, with z of one channel where its slider is; returns z."""
    z = before.clone()
    z[channel] = float(explorer.get_by_role("slider", name=f"z of channel {channel}", exact=True).input_value())
    first, now = torch_says(block, before, channel), torch_says(block, z, channel)
    assert np.abs(bars(explorer, "s") - now["s"]).max() < 1e-4
    assert np.abs(bars(explorer, "z") - now["z"]).max() < 1e-4
    assert np.abs(bars(explorer, "units") - now["a"]).max() < 1e-4
    wanted = np.stack([first["z"], now["z"], first["s"], now["s"], now["steep"]], 1)  # [C, 5]
    assert np.abs(numbers(table(explorer, "z and gates as a table")) - wanted).max() < 1e-4
    units = np.stack([first["a"], now["a"], now["h"]], 1)  # [hidden, 3]
    assert np.abs(numbers(table(explorer, "Hidden units as a table")) - units).max() < 1e-4
    list_ = said(explorer)
    change = np.abs(now["s"] - first["s"])
    assert list_["gates moved"] == f"{(change > 0.01).sum()} of {len(z)}"
    assert list_["hidden units off"] == f"{(now['a'] <= 0).sum()} of {len(now['a'])}"
    if change.max() > 0.02:
        assert list_["moved most"] == f"gate {change.argmax()}"
    return z


def test_block_moves_by_keyboard_as_pytorch_computes(open_page, exported: str) -> None:
    page = open_page(f"{exported}/light.html")
    explorer, own = explorers(page, "block")
    tensors = BlockExplorer().found.tensors
    frog = 6
    block, start = block_of(tensors, 16, "SE_4_2"), tensors["r16.SE_4_2.z"][frog]
    which = explorer.get_by_role("slider", name="channel to move")
    keyboard(page, which, *["ArrowRight"] * 5)
    assert which.get_attribute("aria-valuetext") == "channel 5"
    keyboard(page, explorer.get_by_role("slider", name="z of channel 5", exact=True), *["PageUp"] * 4, "ArrowRight")
    moved = assert_computes(explorer, block, start, 5)
    assert moved[5] > start[5] + 0.3
    shot(page, "block-light")

    keyboard(page, explorer.get_by_role("slider", name="reduction ratio r"), "ArrowLeft", "ArrowLeft", "ArrowLeft")
    keyboard(page, explorer.get_by_role("radio", name="C = 64"), "ArrowDown")
    keyboard(page, explorer.get_by_role("radio", name="frog"), "ArrowDown")
    block, start = block_of(tensors, 2, "SE_5_2"), tensors["r2.SE_5_2.z"][frog + 1]
    keyboard(page, explorer.get_by_role("slider", name="z of channel 5", exact=True), "End")
    assert_computes(explorer, block, start, 5)
    assert said(explorer)["hidden width"] == "64"
    keyboard(page, explorer.get_by_role("button", name="Put z back"), "Enter")
    assert said(explorer)["gates moved"] == "0 of 128"
    assert np.abs(bars(explorer, "z") - start.numpy()).max() < 1e-6
    assert own.get_by_role("slider", name="channel to move").get_attribute("aria-valuetext") == "channel 0"


def test_block_answers_the_mouse(open_page, exported: str) -> None:
    """A press on a bar takes its channel, a drag its z; in the reader's own block too."""
    page = open_page(f"{exported}/light.html")
    _, own = explorers(page, "block")
    assert own.get_by_role("radio").count() == 2  # one block, one r: nothing to choose but the start
    picture = own.locator(".bars.z")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 10.5 / 24, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 10.5 / 24, box["y"] + 5, steps=3)
    page.mouse.up()
    assert own.get_by_role("slider", name="channel to move").get_attribute("aria-valuetext") == "channel 10"
    explorer_z = bars(own, "z")
    start = torch.linspace(-1, 1, 24)
    assert explorer_z[10] > start[10] + 1
    wanted = start.clone()
    wanted[10] = float(explorer_z[10])
    torch.manual_seed(0)
    now = torch_says(SEBlock(24, 4, bias=False), wanted, 10)
    assert np.abs(explorer_z - now["z"]).max() < 1e-6
    assert np.abs(bars(own, "s") - now["s"]).max() < 1e-4
    assert np.abs(bars(own, "units") - now["a"]).max() < 1e-4


# The gates


def assert_shows(
    explorer: Locator, gates: GateStatistics, classes: tuple[str, ...], chosen: list[str], which: list[int]
) -> None:
    """Every line and every pixel is the recorded number."""
    lines = drawn(explorer)
    assert set(lines) == {"0.5", "all classes", *chosen}
    for name in chosen:
        assert np.abs(lines[name] - gates.mean[classes.index(name), which].numpy()).max() < 1e-5
    assert np.abs(lines["all classes"] - gates.total_mean[which].numpy()).max() < 1e-5
    pixels = explorer.locator(".over-map canvas").evaluate(
        "c => [c.width, c.height, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    assert pixels[:2] == [len(which), len(classes)]
    seen = np.array(pixels[2:]).reshape(len(classes), len(which), 4)[..., :3]
    wanted = 255 * matplotlib.colormaps["cividis"](gates.mean[:, which].float().double().numpy())[..., :3]
    assert np.abs(seen - wanted).max() <= 0.5


def assert_points_at(
    explorer: Locator, gates: GateStatistics, classes: tuple[str, ...], which: list[int], place: int
) -> None:
    """All views mark one channel, and the list and the ten dots are that channel's."""
    c = which[place]
    assert explorer.locator(".plot .pointed").get_attribute("d") == f"M{place} 0V1"
    mark, around = (explorer.locator(f".over-map{inner}").bounding_box() for inner in (" .marked", ""))
    assert mark["x"] - around["x"] == pytest.approx(around["width"] * place / len(which), abs=1.5)
    spread = gates.variance.sqrt()
    rows = explorer.locator(".dots tr").evaluate_all(
        "r => r.map(e => [e.children[0].innerText, e.children[2].innerText])"
    )
    assert rows == [[name, f"{gates.mean[k, c]:.4f} ± {spread[k, c]:.4f}"] for k, name in enumerate(classes)]
    dots = explorer.locator(".dots .dot").evaluate_all("d => d.map(e => parseFloat(e.style.left))")
    assert np.abs(np.array(dots) / 100 - gates.mean[:, c].numpy()).max() < 1e-4
    assert float(said(explorer)["class specificity"]) == pytest.approx(gates.specificity()[c].item(), abs=6e-5)
    assert said(explorer)["widest open"] == classes[int(gates.mean[:, c].argmax())]
    expect(explorer.get_by_role("status")).to_contain_text(f"Channel {c} of ")


def test_gates_move_by_keyboard_with_the_recorded_numbers(open_page, exported: str, recorded: Excitations) -> None:
    page = open_page(f"{exported}/light.html")
    explorer, _ = explorers(page, "gates")
    chosen = ["airplane", "cat", "frog", "truck"]
    sampled = figures.sampled_channels(128).tolist()
    assert_shows(explorer, recorded["SE_5_2"], recorded.classes, chosen, sampled)
    keyboard(page, explorer.get_by_role("radio", name="SE_5_2"), "ArrowUp")
    keyboard(page, explorer.get_by_role("radio", name=ORDERS[0]), "ArrowDown", "ArrowDown")
    gates = recorded["SE_5_1"]
    order = gates.specificity().argsort(descending=True, stable=True).tolist()
    assert_shows(explorer, gates, recorded.classes, chosen, order)
    channel = explorer.get_by_role("slider", name="channel")
    keyboard(page, channel, "Home", "ArrowRight", "ArrowRight")
    assert_points_at(explorer, gates, recorded.classes, order, 2)
    assert channel.get_attribute("aria-valuetext").startswith(f"channel {order[2]}, class specificity 0.7")
    keyboard(page, explorer.get_by_role("checkbox", name="cat"), "Space")
    keyboard(page, explorer.get_by_role("checkbox", name="dog"), "Space")
    keyboard(page, explorer.get_by_role("checkbox", name="shade"), "Space")
    assert_shows(explorer, gates, recorded.classes, ["airplane", "dog", "frog", "truck"], order)
    bands = explorer.locator(".plot .band").evaluate_all("b => b.map(e => [e.dataset.band, e.getAttribute('d')])")
    assert [name for name, _ in bands] == ["airplane", "dog", "frog", "truck"]
    dog = recorded.classes.index("dog")
    edges = np.array([float(y) for y in re.findall(r"[ML]\d+ ([-\d.e]+)", dict(bands)["dog"])])
    mean, spread = gates.mean[dog, order].numpy(), gates.variance[dog, order].sqrt().numpy()
    wanted = np.concatenate([mean + spread, (mean - spread)[::-1]]).clip(0, 1)
    assert np.abs(edges - wanted).max() < 1e-5
    assert explorer.locator(".plot .band").first.evaluate("e => getComputedStyle(e).fill") == "rgb(0, 114, 178)"
    shot(page, "gates-light")

    rows = table(explorer, "Means and standard deviations as a table")
    assert rows[0] == ["channel", "class specificity", *recorded.classes, "all classes"]
    assert [int(row[0]) for row in rows[1:]] == order
    means = np.array([[float(cell.split(" ± ")[0]) for cell in row[2:-1]] for row in rows[1:]])  # [C, K]
    assert np.abs(means - gates.mean[:, order].T.numpy()).max() < 6e-5


def test_pointing_at_a_channel_marks_it_in_every_view(open_page, exported: str, recorded: Excitations) -> None:
    page = open_page(f"{exported}/light.html")
    explorer, wide = explorers(page, "gates")
    sampled = figures.sampled_channels(128).tolist()
    everything = made_up()
    for one, gates, which in (
        (explorer, recorded["SE_5_2"], sampled),
        (wide, everything["SE_5_1"], list(range(512))),
    ):
        classes = recorded.classes if one is explorer else everything.classes
        for view, place in (
            (".plot svg", 7),
            (".over-map .heat", 30),
            (".plot svg", 0),
            (".over-map .heat", len(which) - 1),
        ):
            picture = one.locator(view)
            picture.scroll_into_view_if_needed()
            box = picture.bounding_box()
            page.mouse.move(box["x"] + box["width"] * (place + 0.5) / len(which), box["y"] + box["height"] / 3)
            assert_points_at(one, gates, classes, which, place)


# Both


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_narrow_page_does_not_run_over(open_page, exported: str, theme: str) -> None:
    page = open_page(f"{exported}/{theme}.html", width=375, height=800)
    each = [*explorers(page, "block"), *explorers(page, "gates")]
    shot(page, f"block-gates-{theme}-375")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    for explorer in each:
        assert explorer.evaluate("e => e.scrollWidth - e.clientWidth") <= 0


def test_every_control_has_a_name(open_page, exported: str) -> None:
    page = open_page(f"{exported}/light.html")
    explorers(page, "block"), explorers(page, "gates")
    nameless = page.locator(".senet-explorer").evaluate_all("""all => all.flatMap((e) =>
        [...e.querySelectorAll("input, button, [role=img], [role=region]")].filter((one) =>
            !(one.getAttribute("aria-label") || one.closest("label")?.innerText || one.innerText).trim()))""")
    assert nameless == []
    takes_arrows = page.locator(".senet-explorer :is(input, button, summary)")
    assert takes_arrows.evaluate_all("all => all.filter((one) => !one.dataset.lmSuppressShortcuts).length") == 0


# With a kernel


def test_jupyterlab_moves_by_keyboard_and_the_kernel_hears_of_it(open_page, lab: str, recorded: Excitations) -> None:
    page = open_page(f"{lab}/lab/tree/02_explorers.ipynb?reset&token=t", width=1300, height=4200)
    run_all(page)
    block, _ = explorers(page, "block")
    gates, _ = explorers(page, "gates")
    keyboard(page, block.get_by_role("slider", name="channel to move"), "ArrowRight", "ArrowRight")
    keyboard(page, block.get_by_role("slider", name="z of channel 2", exact=True), "PageUp", "PageUp")
    tensors = BlockExplorer().found.tensors
    z = assert_computes(block, block_of(tensors, 16, "SE_4_2"), tensors["r16.SE_4_2.z"][6], 2)
    expect(page.get_by_text(f"the kernel has z = {z[2]:.4f}")).to_be_visible()
    keyboard(page, gates.get_by_role("radio", name="SE_5_2"), "ArrowUp", "ArrowUp")
    sampled = figures.sampled_channels(64).tolist()
    assert_shows(gates, recorded["SE_4_2"], recorded.classes, ["airplane", "cat", "frog", "truck"], sampled)
    keyboard(page, gates.get_by_role("slider", name="channel"), "Home", "ArrowRight")
    assert_points_at(gates, recorded["SE_4_2"], recorded.classes, sampled, 1)
    shot(page, "block-gates-lab")
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
