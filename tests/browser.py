"""A real Chromium for the tests of pages, what is held against every page, and what tests do on one."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

SHOTS = os.environ.get("SENET_EDU_SHOTS")  # a folder for pictures of the pages, for people to look at
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium. While it is open, this process can run no other loop."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield browser
        browser.close()


@contextmanager
def pages(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages, and at the end holds against them what they asked of other hosts, and their errors."""
    wrong: list[str] = []
    contexts: list[BrowserContext] = []

    def open_at(address: str, width: int = 1000, height: int = 1200, theme: Any = "light") -> Page:
        contexts.append(context := browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme))
        page = context.new_page()
        page.set_default_timeout(30_000)
        outside = re.compile(r"^\w+://(?!127\.0\.0\.1)")
        page.route(outside, lambda route: (wrong.append(f"asked {route.request.url}"), route.abort()))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert wrong == [], wrong


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Address of a folder, while it is served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


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
