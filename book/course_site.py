"""Sphinx extension of the site: what its configuration cannot say.

- Where book/fetch.py has not run, formulas and widgets come from a content delivery network, and the build says so.
- The badge "Open in Colab" comes from this folder: its usual address would be asked by every reader of every page.
- The page of run times is filled from the records, so that no time is typed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

BOOK = Path(__file__).resolve().parent
RECORDS = BOOK.parent / "senet_edu" / "assets" / "records"
MATHJAX = "https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-mml-chtml.js"
WIDGETS = (
    "https://cdn.jsdelivr.net/npm/requirejs@2.3.4/require.min.js",
    "https://cdn.jsdelivr.net/npm/@jupyter-widgets/html-manager@1.0.15/dist/embed-amd.js",
)
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"


class OwnBadge(SphinxTransform):
    """Before Sphinx collects the pictures of a page."""

    default_priority = 200

    def apply(self, **_: Any) -> None:
        for image in self.document.findall(nodes.image):
            if image["uri"] == BADGE:
                image["uri"] = "/book/colab-badge.svg"


def without_npm(_: Sphinx, config: Config) -> None:
    """Fall back on a content delivery network for what is not there."""
    missing = []
    if not (BOOK / "_static" / config.mathjax_path).exists():
        config.mathjax_path = MATHJAX
        missing.append("formulas")
    if not all((BOOK / "_static" / path).exists() for path in config.nb_ipywidgets_js):
        config.nb_ipywidgets_js = dict.fromkeys(WIDGETS, {})
        missing.append("widgets")
    if missing:
        logging.getLogger(__name__).info(
            "Pages will need a network for their %s: run book/fetch.py, which needs npm", " and ".join(missing)
        )


def chapters() -> list[Path]:
    return sorted(BOOK.parent.glob("notebooks/*.ipynb"))


def record(name: str) -> dict[str, Any]:
    return json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))


def clock(seconds: float) -> str:
    """70 is "1 min 10 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def chapter_times() -> str:
    """A Markdown table: each chapter, the seconds it takes to run, its exercises and their minutes."""
    times = record("chapter-times")
    rows = ["| chapter | runs in | exercises |", "|---|---|---|"]
    for path in chapters():
        text = "".join("".join(cell["source"]) + "\n" for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])
        title = re.search(r"^# (.+)$", text, re.MULTILINE)[1]
        minutes = [int(number) for number in re.findall(r"^### Exercise .* · (\d+) minutes$", text, re.MULTILINE)]
        exercises = f"{len(minutes)}, about {sum(minutes)} minutes" if minutes else "none"
        took = clock(times[path.stem]["seconds"]) if path.stem in times else "not measured yet"
        rows.append(f"| [{title}](../notebooks/{path.name}) | {took} | {exercises} |")
    return "\n".join(rows) + f"\n\n{circumstances(times)}\n"


def circumstances(run: dict[str, Any]) -> str:
    machine = run["machine"]
    about = f"{machine['processor']}, {machine['cores']} cores, accelerator: {machine['accelerator']}"
    speed = f" at {run['speed']} speed" if "speed" in run else ""
    return f"Measured on {run['finished'][:10]}{speed} ({about}; PyTorch {machine['torch']})."


def training_times() -> str:
    """A Markdown table: each shipped network that was trained in one run, and what that took."""
    rows = ["| record | network | epochs | took | processor or GPU |", "|---|---|---|---|---|"]
    for path in sorted(RECORDS.glob("*.json")):
        run = record(path.stem)
        if "history" in run:
            machine = run["machine"]
            device = f"{machine['processor']}, {machine['cores']} cores" if run["device"] == "cpu" else run["device"]
            what = f"{run['model']['name']}, width {run['model'].get('width', 1):g}"
            epochs = f"{run['recipe']['epochs']}{' more' if run.get('started_from') else ''}"
            rows.append(f"| `{run['name']}` | {what} | {epochs} | {clock(run['seconds'])} | {device} |")
    return "\n".join(rows)


def speeds() -> str:
    """A Markdown table of the training loops, and one of what else a reader waits for."""
    run, loading, recording = (record(name) for name in ("training-speed", "loading", "recording"))
    explorers = [value for value in record("explorers").values() if isinstance(value, dict) and "slowest_ms" in value]
    rows = ["| loop | images a second | lowest to highest | peak memory, MB | ours is |", "|---|---|---|---|---|"]
    for name in (key for key, value in run.items() if isinstance(value, dict) and "images_per_second" in value):
        loop = run[name]
        times = run["ours"]["images_per_second"] / loop["images_per_second"]
        rows.append(
            f"| {name} | {loop['images_per_second']:.0f} | {loop['lowest']:.0f} to {loop['highest']:.0f} "
            f"| {loop['peak_memory_mb']:.0f} | {times:.2f} times as fast |"
        )
    waits = [
        ("`import senet_edu`, after `import torch`", f"{loading['import_senet_edu']['median']:.2f} s"),
        ('`create_model("se_resnet18", pretrained=True)`', f"{loading['create_model_pretrained']['median']:.2f} s"),
        ("CIFAR-10, the first time: decoded, checked, cached", f"{loading['decode_and_cache_all']['median']:.1f} s"),
        ("its training images from the cache", f"{loading['load_train_from_cache']['median']:.2f} s"),
    ]
    for name in ("se_resnet18", "se_resnet18-quarter"):
        waits.append((f"`record_excitations` over evaluating, `{name}`", f"{recording[name]['overhead']:+.1%}"))
    slowest = max(chapter["slowest_ms"] for chapter in explorers)
    waits.append(("a slider of an explorer, until its page is laid out anew (the slowest)", f"{slowest:.0f} ms"))
    rows += ["", circumstances(run), "", "| | takes |", "|---|---|"]
    rows += [f"| {what} | {time} |" for what, time in waits]
    return "\n".join(rows)


FILLED = {
    "<!-- chapter times -->": chapter_times,
    "<!-- training times -->": training_times,
    "<!-- speeds -->": speeds,
}


def fill(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the tables where a page asks for them."""
    for place, table in FILLED.items():
        if docname.startswith("book/") and place in source[0]:
            source[0] = source[0].replace(place, table())
            for path in (*RECORDS.glob("*.json"), *chapters()):  # a page is made anew when one of them changes
                app.env.note_dependency(str(path))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(OwnBadge)
    app.connect("config-inited", without_npm)
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
