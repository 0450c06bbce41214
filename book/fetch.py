"""Fetch what the slides and pages with widgets but no kernel load, once, so that they ask nothing of other hosts.

    python book/fetch.py

fills book/_static/widgets/ (not committed, but for paths.js) with

- require.js and embed-amd.js, the loader and Jupyter's widget manager, from npm's registry with npm, by checksum;
- reveal.js, reveal.css and notes.js for the slides, and tex-svg.js for their formulas, from there as well;
- anywidget.js, which comes with the installed anywidget.

A page loads require.js, paths.js and embed-amd.js, in this order. What is there already is not fetched again.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from importlib.resources import files
from pathlib import Path

TARGET = Path(__file__).resolve().parent / "_static" / "widgets"
# package@version of npm, SHA-256 of its archive, and the ends of the names of the files wanted from it
PACKAGES = (
    ("requirejs@2.3.4", "583693b373f6ab0528ea6644fab5cdb5822011c9b5b1ff1615590d5f2f473dcd", ("package/require.js",)),
    (
        "@jupyter-widgets/html-manager@1.0.15",
        "2b9d65cb7913e1c7d671757a10008b32c9c2448d4429513371e55c07d6107638",
        ("dist/embed-amd.js", ".woff2"),
    ),
    (
        "reveal.js@6.0.2",
        "2f0c20bfb02447a198a1ebe8a8c097a5437d035caa38f2820bf4ba887a3eac91",
        ("package/dist/reveal.js", "package/dist/reveal.css", "package/dist/plugin/notes.js"),
    ),
    (
        "mathjax@3.2.2",
        "1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09",
        ("package/es5/tex-svg.js",),
    ),
)


def fetch(package: str, checksum: str, wanted: tuple[str, ...]) -> None:
    """Put the wanted files of a package into TARGET; a SystemExit that says what is wrong if that cannot be done."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is not installed: pages without a kernel cannot be made")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [npm, "pack", package, "--silent", "--pack-destination", folder], capture_output=True, text=True
        )
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise SystemExit(f"npm could not fetch {package}: {done.stderr.strip() or 'no archive came'}")
        if hashlib.sha256(archives[0].read_bytes()).hexdigest() != checksum:
            raise SystemExit(f"{package} is not the archive that was expected: its checksum is another")
        with tarfile.open(archives[0]) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(wanted):
                    (TARGET / Path(member.name).name).write_bytes(archive.extractfile(member).read())


def main() -> None:
    (TARGET / "anywidget.js").write_bytes((files("anywidget") / "nbextension" / "index.js").read_bytes())
    for package, checksum, wanted in PACKAGES:
        done = TARGET / f"{checksum[:12]}.fetched"  # another version is fetched again
        if not done.exists():
            fetch(package, checksum, wanted)
            done.touch()


if __name__ == "__main__":
    main()
