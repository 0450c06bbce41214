"""What tests do on a page: look at an explorer, press keys, take pictures. The fixtures are in conftest.py."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from playwright.sync_api import Locator, Page

SHOTS = os.environ.get("SENET_EDU_SHOTS")  # a folder for pictures of the pages, for people to look at


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def said(explorer: Locator) -> dict[str, str]:
    """The explorer's list: term to value, without its note."""
    return dict(
        explorer.locator("dl > div").evaluate_all(
            "d => d.map(e => [e.children[0].innerText, e.querySelector('b').innerText])"
        )
    )


def drawn(explorer: Locator) -> dict[str, np.ndarray]:
    """The lines' data: name to the y of every point."""
    paths = explorer.locator(".plot path[data-name]").evaluate_all(
        "p => p.map(e => [e.dataset.name, e.getAttribute('d')])"
    )
    return {name: np.array([float(point.split()[1]) for point in re.split("[ML]", d)[1:]]) for name, d in paths}


def keyboard(page: Page, place: Locator, *keys: str) -> None:
    place.focus()
    for key in keys:
        page.keyboard.press(key)


RUN_ALL = """async () => {
    const app = window.jupyterapp;
    await app.shell.currentWidget.sessionContext.ready;
    await app.commands.execute('notebook:clear-all-cell-outputs');
    await app.commands.execute('notebook:run-all-cells');
}"""


def run_all(page: Page) -> None:
    """Run all cells of the notebook that JupyterLab has open, once it is there."""
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    page.evaluate(RUN_ALL)
