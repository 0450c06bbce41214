"""A chapter as on Colab: no clone, an old ipywidgets, the package installed by the chapter's first cell.

The environment has Colab's ipywidgets 7 and the oldest anywidget that is declared; other libraries are lent to it, as
in test_wheel. `google.colab` is a stand-in whose Drive is a folder, and pip gets the repository from this working tree.
What Colab's own page does with the widgets is not tested here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import time
import tomllib
from pathlib import Path

import pytest
from conftest import copy_checkout, new_venv

from senet_edu.course import read_chapter
from senet_edu.training import checkpoint

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
OLD = ("ipywidgets==7.7.1", "anywidget==0.9.0", "ipython_genutils")  # the last is ipywidgets 7's
COLAB = """\
class drive:
    @staticmethod
    def mount(place):
        import pathlib
        (pathlib.Path(place) / "MyDrive").mkdir(parents=True, exist_ok=True)
class output:
    @staticmethod
    def enable_custom_widget_manager():
        pass
"""


@pytest.fixture(scope="module")
def colab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment like Colab's, without the package."""
    place = tmp_path_factory.mktemp("colab")
    python, site = new_venv(place / "env", with_pip=True)
    install = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", *OLD], capture_output=True, text=True, timeout=300
    )
    if install.returncode:
        pytest.skip("Colab's versions of the widget libraries cannot be fetched")
    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools"], check=True)  # too old to build
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (site / "google").mkdir(exist_ok=True)
    (site / "google" / "colab.py").write_text(COLAB, encoding="utf-8")

    clone = place / "clone"
    copy_checkout(clone)
    git = ["git", "-C", clone, "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "now"]):
        subprocess.run([*git, *arguments], check=True)
    return python


def environment(python: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    clone = {"GIT_CONFIG_KEY_0": f"url.{python.parents[2] / 'clone'}.insteadOf", "GIT_CONFIG_VALUE_0": REPOSITORY}
    pip = {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # the zero means: none
    path = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    return kept | {"GIT_CONFIG_COUNT": "1", "SENET_EDU_SPEED": "quick", "TQDM_DISABLE": "1"} | clone | pip | path | more


def chapter(name: str, folder: Path, changed: dict[str, str], last: str) -> Path:
    """The chapter's code as a notebook of its own, with some words changed as a reader would, up to a cell.

    `google.colab` is loaded before the first cell, as on Colab.
    """
    import nbformat

    notebook = read_chapter(ROOT / "notebooks" / f"{name}.py")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (end,) = (i for i, cell in enumerate(code) if last in cell.source)
    for old, new in changed.items():
        assert sum(old in cell.source for cell in code) == 1, old
        for cell in code:
            cell.source = cell.source.replace(old, new)
    notebook.cells = [nbformat.v4.new_code_cell("import google.colab"), *code[: end + 1]]
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def test_a_disconnected_reader_of_chapter_05_goes_on_where_the_run_stood(colab: Path, tmp_path: Path) -> None:
    """The first sitting is killed during its second epoch; the second one finds the Drive as it was left."""
    drive = (tmp_path / "drive").as_posix()  # it goes into code, where a backslash means something else
    page = chapter(
        "05_train_se_resnet18",
        tmp_path,
        {"DRIVE = False": "DRIVE = True", '"/content/drive"': f'"{drive}"', '"/content/drive/': f'"{drive}/'},
        last='train("se_resnet18")',
    )
    call = [colab, "-m", "IPython", "--matplotlib=agg", "--no-banner", page]
    settings = environment(colab, SENET_EDU_OFFLINE="1", SENET_EDU_CIFAR10="", SENET_EDU_CACHE=str(tmp_path / "cache"))
    run = Path(drive, "MyDrive", "senet-edu", "se_resnet18-0")

    with open(tmp_path / "said.txt", "w+", encoding="utf-8") as said:
        sitting = subprocess.Popen(call, cwd=tmp_path, env=settings, stdout=said, stderr=said)
        deadline = time.monotonic() + 300
        while not epochs_of(run) and sitting.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        sitting.kill()
        sitting.wait()
        said.seek(0)
        words = said.read()
    assert 1 <= len(epochs_of(run)) < 4, words
    assert "processor" in words  # the first cell says what machine this is
    before = state_of(run)

    done = subprocess.run(call, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=600)
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    after = state_of(run)
    assert len(after["history"]) == 4
    assert after["history"][: len(before["history"])] == before["history"]  # not trained again
    assert after["started"] == before["started"]


def epochs_of(run: Path) -> list[dict]:
    """Rows of the epochs that are done."""
    return state_of(run)["history"] if (run / checkpoint.NAME).exists() else []


def state_of(run: Path) -> dict:
    from safetensors import safe_open

    with safe_open(run / checkpoint.NAME, framework="pt") as file:
        return json.loads(file.metadata()["state"])


def test_explorers_are_made_with_the_old_widget_libraries(colab: Path, tmp_path: Path) -> None:
    subprocess.run(
        [colab, "-m", "pip", "install", "--quiet", f"git+{REPOSITORY}@main"], env=environment(colab), check=True
    )
    code = """
import json, anywidget, ipywidgets, senet_edu
from senet_edu import widgets
assert "site-packages" in senet_edu.__file__ and "env" in senet_edu.__file__, senet_edu.__file__
print(ipywidgets.__version__, anywidget.__version__)
for name in widgets.__all__:
    if name.endswith("Explorer"):
        pictures = (senet_edu.shapes(2, seed=0)[0], ["one", "two"]) if name == "WhatIfExplorer" else ()
        made = getattr(widgets, name)(*pictures)
        state = made.get_state()
        assert "export default" in state["_esm"] and state["_css"], name
        assert hasattr(made, "_ipython_display_") or hasattr(made, "_repr_mimebundle_"), name  # 7 and 8 show by these
        print(name)
"""
    done = subprocess.run(
        [colab, "-c", code], cwd=tmp_path, env=environment(colab), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    versions, *names = done.stdout.splitlines()
    assert versions == "7.7.1 0.9.0"
    from senet_edu import widgets

    assert names == [name for name in widgets.__all__ if name.endswith("Explorer")]
