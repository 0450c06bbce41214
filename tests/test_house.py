"""The house: requirements said once, skips explained, the README's commands true, imports light and declared."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"torch": "pytorch", "playwright": "playwright-python"}
IMPORT_NAMES = {"pillow": "PIL", "ipython": "IPython"}


def requirements() -> set[str]:
    return {*PROJECT["dependencies"], *(r for extra in PROJECT["optional-dependencies"].values() for r in extra)}


def name_of(requirement: str) -> str:
    return re.split(r"[><=!~ \[]", requirement)[0]


def test_lower_bounds_only() -> None:
    """But for the book's maker: its version 2 is another program. Colab does not install it."""
    for requirement in requirements() - {"jupyter-book>=1.0.4.post1,<2"}:
        assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement), requirement
    assert not any(requirement.startswith("jupyter-book") for requirement in PROJECT["dependencies"])
    assert PROJECT["requires-python"] == ">=3.11"


def test_conda_environment_has_the_same_requirements() -> None:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = {entry for entry in listed if isinstance(entry, str)} - {"pip"}
    assert [entry for entry in listed if isinstance(entry, dict)] == [{"pip": ["--editable ."]}]
    ours = {r.replace(name_of(r), CONDA_NAMES.get(name_of(r), name_of(r)), 1) for r in requirements()}
    assert conda == ours | {f"python{PROJECT['requires-python']}"}


def imported(path: Path) -> set[str]:
    """Dotted names of all modules and members that a file imports. (Relative imports are forbidden: ruff's TID252.)"""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_what_the_package_imports_is_declared() -> None:
    """Colab installs no extras: only the runner of chapters may need the course's, and borrowed networks timm."""
    always, extras = PROJECT["dependencies"], PROJECT["optional-dependencies"]
    needs = {"course.py": extras["course"], "borrowed.py": extras["timm"]}
    for path in (ROOT / "senet_edu").rglob("*.py"):
        declared = {name_of(r) for r in always + needs.get(path.name, [])}
        others = {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names) - {"senet_edu"}
        assert others <= {IMPORT_NAMES.get(name, name) for name in declared}, path


def test_rooms_know_only_what_is_below_them() -> None:
    """Imports point one way: blocks know nothing but torch; figures know excitations, never the reverse."""
    allowed = {
        "files": set(),
        "blocks": set(),
        "selective": {"blocks"},
        "cost": {"blocks"},
        "placement": {"blocks"},
        "models": {"blocks", "selective", "cost", "placement", "results"},  # results only to load shipped weights
        "data": {"files"},
        "training": {"blocks", "selective", "data", "files"},
        "excitations": {"blocks", "data", "files", "selective", "models", "training"},
        "results": {"data", "files", "models", "training", "excitations"},
        "figures": {"excitations"},
        "diagrams": {"figures", "placement"},
        "checks": {"blocks", "models", "placement"},
        "widgets": {"blocks", "data", "training", "excitations", "figures", "models", "results"},
    }
    for path in (ROOT / "senet_edu").rglob("*.py"):
        room = path.relative_to(ROOT / "senet_edu").parts[0].removesuffix(".py")
        names = imported(path)
        if room in allowed:
            assert not {n for n in names if n == "senet_edu"}, f"{path.name}: name the room"
            ours = {name.split(".")[1] for name in names if name.startswith("senet_edu.")}
            known = ours - {room}
            assert known <= allowed[room], f"{path.name} knows {known - allowed[room]}"
        else:
            assert room in {"__init__", "__main__", "cli", "course"}, f"{room}: whose room is it?"


def test_import_is_light() -> None:
    """Heavy libraries wait until they are used (the time itself is measured in benchmarks, not here)."""
    code = "import torch, sys; before = set(sys.modules); import senet_edu; print(*set(sys.modules) - before)"
    new = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torchvision", "accelerate", "matplotlib", "IPython", "PIL", "typer", "jupytext", "nbclient", "anywidget"}
    assert not heavy & {name.split(".")[0] for name in new}


def test_every_skip_has_its_reason_in_the_list() -> None:
    """Those that are seen in the text; `conftest.py` asks for those that happen, however they are written."""
    quarantines = (ROOT / "tests" / "QUARANTINES.md").read_text(encoding="utf-8")
    for path in (ROOT / "tests").glob("*.py"):
        for reason in re.findall(
            r"(?:\.skip\(|reason=|skip_unless\()\s*f?\"([^\"{]+)", path.read_text(encoding="utf-8")
        ):
            assert reason.strip() in quarantines, f"{path.name}: {reason}"


def test_only_the_first_cell_of_a_chapter_is_not_run() -> None:
    for path in (ROOT / "notebooks").glob("*.py"):
        cells = re.findall(r"^# %%(?! \[markdown\])(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert ["nbval-skip" in cell for cell in cells] == [True] + [False] * (len(cells) - 1), path.name


def test_readme_and_ci_run_the_commands_that_exist() -> None:
    readme, makefile = (ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    assert {"course", "test", "lab"} <= set(re.findall(r"`?make ([a-z]+)", readme)) <= targets
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.M)
    commands = set(re.findall(r"senet-edu ([a-z]+)\b(?=`| \w*[-/.])", readme))
    from senet_edu.cli import app

    assert commands <= {c.name or c.callback.__name__ for c in app.registered_commands}


def test_links_in_the_readme_resolve() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", readme):
        assert (ROOT / target).exists(), target
    for link in re.findall(r"https://github\.com/[\w.-]+/[\w.-]+", readme):
        assert link.removesuffix(".git") == PROJECT["urls"]["Repository"]


@pytest.mark.parametrize(
    "path", ["LICENSE", "CITATION.cff", "environment.yml", ".github/workflows/ci.yml", "senet_edu/py.typed"]
)
def test_the_house_has(path: str) -> None:
    assert (ROOT / path).exists()
