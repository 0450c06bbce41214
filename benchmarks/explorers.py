"""How long a page takes to be drawn anew when a slider of an explorer moves: the built site, in Chromium.

    make site
    python benchmarks/explorers.py            # writes runs/bench/explorers.json; needs the extra "test"

Each slider is moved 40 times over its range; counted is the time from its event to a page that is laid out anew, not
the painting. A screen shows a frame every 16.7 ms.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import statistics
import sys
import threading
from pathlib import Path
from typing import Any

from senet_edu import results

SITE = Path("_build/html")
MOVES = """(range) => [...Array(40)].map((_, i) => {
    range.value = Number(range.min) + (Number(range.max) - Number(range.min)) * ((7 * i) % 40) / 39;
    const start = performance.now();
    range.dispatchEvent(new Event("input"));
    document.body.getBoundingClientRect();
    return performance.now() - start;
})"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None or not SITE.exists():
        sys.exit(f"this needs Chromium (Debian: apt-get install chromium) and {SITE} (make site)")
    started = results.now()
    record: dict[str, Any] = {"name": "explorers", "data": "the explorers' own, as the pages carry it", "moves": 40}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        record["browser"] = f"Chromium {browser.version}"
        for path in sorted(SITE.glob("notebooks/*.html")):
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/{path.relative_to(SITE)}", wait_until="load")
            if page.locator("script[type='application/vnd.jupyter.widget-view+json']").count():
                page.locator(".senet-explorer").first.wait_for(timeout=60_000)
                page.wait_for_timeout(3000)  # the page's other explorers
            times = [slider.evaluate(MOVES) for slider in page.locator(".senet-explorer input[type=range]").all()]
            if times:
                medians = [statistics.median(of_slider) for of_slider in times]
                record[path.stem] = {"sliders": len(times), "median_ms": statistics.median(medians)}
                record[path.stem]["slowest_ms"] = max(medians)
                print(f"{path.stem:30} {len(times)} sliders: {statistics.median(medians):.1f} ms, ", end="")
                print(f"the slowest {max(medians):.1f} ms")
            page.close()
        browser.close()
    results.write_record(record | results.circumstances(started), "runs/bench/explorers.json")


if __name__ == "__main__":
    main()
