"""The built wheel, installed in an empty environment outside the clone, runs chapters 05 and 07 without any data.

The environment has no package of its own but the wheel. PyTorch and the other libraries are lent to it from the running
environment by path: a path line in a .pth file does not process that folder's own .pth files, so the clone's editable
install stays out of sight. That the declared requirements are complete is held by test_house.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import copy_checkout, new_venv

ROOT = Path(__file__).resolve().parents[1]
OFFLINE = {"SENET_EDU_OFFLINE": "1", "SENET_EDU_SPEED": "quick", "SENET_EDU_CIFAR10": ""}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the wheel; its folder has a space in its name."""
    place = tmp_path_factory.mktemp("a place")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    source = place / "source"  # building in the clone would leave build/ there
    copy_checkout(source)
    subprocess.run([*pip, "wheel", source, "--no-deps", "--no-build-isolation", "-w", place], check=True)
    python, purelib = new_venv(place / "env")
    wheel = next(place.glob("senet_edu-*.whl"))
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    (purelib / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python


def run(python: Path, *arguments: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")} | OFFLINE
    environment["SENET_EDU_CACHE"] = str(cwd / "cache")
    done = subprocess.run([python, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_package_is_the_wheels_and_has_its_assets(installed: Path, tmp_path: Path) -> None:
    code = "import senet_edu as se; print(se.__file__); se.create_model('se_resnet18', pretrained=True)"
    code += "; from senet_edu.widgets import explorer; explorer.module('reduction.mjs')"
    where = run(installed, "-c", code, cwd=tmp_path)
    assert str(installed.parents[1]) in where
    assert "site-packages" in where


def test_chapters_run_outside_the_clone_without_data(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns("*.ipynb", "runs"))
    out = run(
        installed, "-m", "senet_edu", "course", "--only", "05", "--only", "07", "--out", tmp_path / "out", cwd=tmp_path
    )
    assert "Done. Open" in out
    for name in ("05_train_se_resnet18", "07_what_the_gates_learned"):
        page = json.dumps(json.loads((tmp_path / "out" / f"{name}.ipynb").read_text(encoding="utf-8")))
        assert "NOT CIFAR-10" in page  # the page says what its images are
    assert "recorded statistics" in page
