"""Where the time of a test run went, and a clean setting for each test."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STATIC = Path(__file__).resolve().parents[1] / "book" / "_static" / "widgets"

# Files whose tests start processes, break things on purpose, or build the package; the rest are units.
FAULTS = ("test_faults", "test_processes", "test_data_download", "test_wheel", "test_colab", "test_cli")
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
    write(f"{sum(groups.values()) / 60:6.1f} min of 25  in all")
    for file, seconds in files.most_common(12):
        write(f"{seconds:6.1f} s  {file}")
    for skip in UNLISTED:
        write(f"skipped for a reason that QUARANTINES.md does not have: {skip}", red=True)


QUARANTINES = (Path(__file__).parent / "QUARANTINES.md").read_text(encoding="utf-8")
UNLISTED: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a skip whose reason the list does not have; of the chapters' cells the first is skipped, by its tag."""
    if report.skipped and ".ipynb::Cell 0" not in report.nodeid:
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else "xfail"
        listed = [row.split("|")[1].strip() for row in QUARANTINES.splitlines() if row.startswith("| ")]
        if not any(part in reason for row in listed for part in row.split("; ")):
            UNLISTED.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if UNLISTED and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell or a launcher may have set, and no test asks for."""
    for name in ("SENET_EDU_COMMIT", "RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


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


@pytest.fixture
def own_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders records, weights and excitations in place of those that the package ships."""
    from senet_edu import results

    for kind in ("RECORDS", "WEIGHTS", "EXCITATIONS"):
        folder = tmp_path / kind.lower()
        folder.mkdir()
        for module in (results, results.records):
            monkeypatch.setattr(module, kind, folder)
    return tmp_path


def wait_until(what: Callable[[], bool], process: subprocess.Popen, seconds: float = 60) -> None:
    """Fails when the process ends first, or the time is over. What the process said is shown by pytest."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            process.terminate()
            pytest.fail(f"not there in {seconds} s")
        assert process.poll() is None, f"the process ended with {process.returncode}"
        time.sleep(0.01)


def copy_checkout(target: Path) -> None:
    """The checkout as it is now, without its history and without what git ignores."""
    left_out = (".venv", ".git", ".cifar10", "runs", "build", "_build", "*.egg-info")
    shutil.copytree(Path(__file__).parents[1], target, ignore=shutil.ignore_patterns(*left_out))


def new_venv(folder: Path, with_pip: bool = False) -> tuple[Path, Path]:
    """A new environment's Python and its site-packages, which Windows has in other places."""
    venv.create(folder, with_pip=with_pip)
    places = sysconfig.get_paths("venv", {"base": str(folder)})
    return Path(places["scripts"], "python.exe" if os.name == "nt" else "python"), Path(places["purelib"])


@pytest.fixture(scope="session")
def node() -> Callable[[str, Any], Any]:
    """Runs JavaScript that sees `given` and the widgets' modules at `at`, and returns what it puts into `result`."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("node is not installed")

    from senet_edu.widgets.explorer import FOLDER

    def run(code: str, given: Any) -> Any:
        script = f"""
            import {{ readFileSync }} from "node:fs";
            const given = JSON.parse(readFileSync(0, "utf8"));
            let result;
            {code}
            console.log(JSON.stringify(result));
        """.replace("$AT", Path(str(FOLDER)).as_uri())
        call = [path, "--input-type=module", "-e", script]
        done = subprocess.run(call, input=json.dumps(given), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


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


# Pages in a real Chromium. A test file that opens some has a fixture `chapter`: a folder with an executed notebook.


@pytest.fixture(scope="module")
def browser(chapter: Path) -> Iterator[Browser]:
    """The chapter ran before: while a browser is open, this process can run no other loop."""
    from browser import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages, and when the test is over holds against them what they asked of other hosts, and their errors."""
    from browser import pages

    with pages(browser) as open_at:
        yield open_at


@pytest.fixture(scope="module")
def exported(chapter: Path) -> Iterator[str]:
    """Address of the chapter's pages without a kernel, light and dark, served with the files that they load."""
    import nbformat
    from browser import served
    from nbconvert import HTMLExporter

    if not (STATIC / "embed-amd.js").exists():
        pytest.skip("npm's files for pages without a kernel are not there")
    site = chapter / "site"
    shutil.copytree(STATIC, site / "widgets")
    notebook = nbformat.read(next(chapter.glob("*.ipynb")), as_version=4)
    for theme in ("light", "dark"):
        exporter = HTMLExporter(
            theme=theme,
            require_js_url="widgets/require.js",
            widget_renderer_url="widgets/embed-amd.js",
            mathjax_url="widgets/paths.js",  # a page without formulas; and this is the place for one script more
        )
        page, _ = exporter.from_notebook_node(notebook)
        (site / f"{theme}.html").write_text(page, encoding="utf-8")

    with served(site) as address:
        yield address


@pytest.fixture(scope="module")
def lab(chapter: Path) -> Iterator[str]:
    """Address of a JupyterLab in the chapter's folder, with settings of its own."""
    own = {
        "JUPYTER_CONFIG_DIR": ".config",
        "JUPYTERLAB_SETTINGS_DIR": ".settings",
        "JUPYTERLAB_WORKSPACES_DIR": ".workspaces",
        "JUPYTER_RUNTIME_DIR": ".runtime",
        "IPYTHONDIR": ".ipython",
    }
    news = chapter / ".settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false"}', encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (chapter / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"),
                *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={chapter}"),
                *("--IdentityProvider.token=t", "--LabApp.extension_manager=readonly"),
                "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            ],
            env=os.environ | {name: str(chapter / place) for name, place in own.items()},
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api/status?token=t", server, chapter / "lab.log")
        yield address
    finally:
        server.terminate()
        server.wait(20)


def wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(120):
        try:
            return urllib.request.urlopen(address, timeout=2).close()
        except OSError:
            assert server.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.25)
    raise AssertionError(f"JupyterLab does not answer: {log.read_text(encoding='utf-8')}")
