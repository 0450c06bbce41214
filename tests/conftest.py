"""Where the time of a test run went, and a clean setting for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# Files whose tests start processes, break things on purpose, or build the package; the rest are units.
FAULTS = ("test_faults", "test_processes", "test_data_download", "test_wheel", "test_cli")
LIMITS = {"notebooks": 8, "units": 5, "faults and processes": 4, "browser": 6}  # minutes, on two cores


def group_of(nodeid: str) -> str:
    file = nodeid.split("::")[0]
    if file.endswith(".ipynb"):
        return "notebooks"
    if "test_browser" in file:
        return "browser"
    return "faults and processes" if any(name in file for name in FAULTS) else "units"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A table of minutes by group, and of the slowest files."""
    groups: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration"):
                groups[group_of(report.nodeid)] += report.duration
                files[report.nodeid.split("::")[0]] += report.duration
    write = terminalreporter.write_line
    terminalreporter.section("where the time went")
    for group, limit in LIMITS.items():
        write(f"{groups[group] / 60:6.1f} min of {limit}  {group}")
    write(f"{sum(groups.values()) / 60:6.1f} min of 20  in all")
    for file, seconds in files.most_common(12):
        write(f"{seconds:6.1f} s  {file}")


@pytest.fixture(scope="session")
def cifar10_test() -> tuple[torch.Tensor, torch.Tensor]:
    """All test images of the copy that SENET_EDU_CIFAR10 names, and their labels."""
    if not os.environ.get("SENET_EDU_CIFAR10"):
        pytest.skip("SENET_EDU_CIFAR10 is not set")
    from senet_edu.data import load_cifar10

    return load_cifar10(split="test")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from a second thread, and lose much where another job runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` builds it, somewhere else; a warning is an error."""
    root = Path(__file__).resolve().parents[1]
    folder = tmp_path_factory.mktemp("site")
    recipe = (root / "Makefile").read_text(encoding="utf-8").partition("jupyter-book build . ")[2].partition("\n")[0]
    options = recipe.replace("--path-output .", f"--path-output {folder}").split()
    book = shutil.which("jupyter-book", path=Path(sys.executable).parent)
    done = subprocess.run([book, "build", ".", *options], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder / "_build" / "html"
