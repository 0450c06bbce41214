"""What the benchmarks stand on: memory of several processes, and a trial from its name to the shipped record."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from senet_edu import results
from senet_edu.data import CIFAR10_CLASSES
from senet_edu.data.sources import Source
from senet_edu.data.synthetic import shapes

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads a script of benchmarks/ by name, as a module that finds its neighbours."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.skipif(sys.platform != "linux", reason="shared pages are counted once on Linux alone")
def test_memory_counts_workers_and_shared_pages_once(script: Any) -> None:
    parent = """
import os, sys
shared = bytearray(b"x") * (200 << 20)
if not os.fork():
    own = bytearray(b"y") * (100 << 20)
    print("ready", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        held = script("training").memory_of(process.pid)
        process.communicate()
    assert 300 < held < 360, "200 MB that both hold, and 100 MB of the child's"


def test_trials_from_their_names_to_shipped_records(
    script: Any, own_assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    gate_trials, trials = script("gate_trials"), sys.modules["trials"]
    train, trained = results.train_recorded, []

    def train_eagerly(folder: Path, *arguments: Any, compiled: bool, **more: Any) -> dict[str, Any]:
        trained.append(folder.name)
        return train(folder, *arguments, **more)

    def drawn(*, split: str) -> tuple[Tensor, Tensor]:
        return shapes(40, seed=0 if split == "train" else 1)

    source = Source("archive", tmp_path, None, "drawn shapes")
    monkeypatch.setattr(gate_trials, "CIFAR10", trials.Task(drawn, CIFAR10_CLASSES, lambda: source))
    monkeypatch.setattr(results, "train_recorded", train_eagerly)
    monkeypatch.chdir(tmp_path)
    names = ["base:0", "base:1", "plain:0", "plain:1", "normalised-z:0"]
    for _ in range(2):  # the second time all of them are done
        trials.main("", names, gate_trials.TRIALS, gate_trials.run, gate_trials.ship)
    assert trained == [name.replace(":", "-seed") for name in names]
    with pytest.raises(SystemExit, match="no trial bsae; there are base"):
        trials.main("", ["bsae:0"], gate_trials.TRIALS, gate_trials.run, gate_trials.ship)

    trials.main("", ["ship"], gate_trials.TRIALS, gate_trials.run, gate_trials.ship)
    summary = results.load_record("gate-trials")["trials"]
    assert {trial: row["seeds"] for trial, row in summary.items()} == {
        "base": [0, 1],
        "plain": [0, 1],
        "normalised-z": [0],
    }
    base, plain = results.load_record("trials/base-seed1"), results.load_record("trials/plain-seed1")
    assert base["what"] == "the recipe of the shipped networks" and base["data"] == "drawn shapes"
    assert base["SE_5_2"]["movement"] > 0 and base["SE_5_2"]["w2_norm_kept"] > 0.5
    assert not any(key.startswith("SE_") for key in plain)
    pairs = results.load_record("quarter-pairs")
    assert (pairs["baseline"][1], pairs["changed"][1]) == (plain["accuracy"], base["accuracy"])
    assert results.list_weights() == ["resnet18-quarter", "se_resnet18-quarter"]
    assert len(results.load_network("se_resnet18-quarter").state_dict()) > 0
    assert "drawn shapes" in (own_assets / "weights" / "se_resnet18-quarter.md").read_text(encoding="utf-8")
    assert len(results.load_excitations("se_resnet18-quarter")) == 8

    # On another machine, which has the package and none of these runs, a seed more joins what is shipped.
    (tmp_path / "runs").rename(tmp_path / "runs of the first machine")
    for arguments in (["normalised-z:1"], ["ship"]):
        trials.main("", arguments, gate_trials.TRIALS, gate_trials.run, gate_trials.ship)
    later = results.load_record("gate-trials")["trials"]
    assert later["normalised-z"]["seeds"] == [0, 1] and later["base"] == summary["base"]
    assert results.load_record("trials/base-seed1") == base and results.load_record("quarter-pairs")["baseline"]

    path = tmp_path / "runs" / "trials" / "normalised-z-seed1" / "record.json"
    results.write_record(results.read_record(path) | {"data": "other shapes", "accuracy": 0.0}, path)
    with pytest.raises(SystemExit, match="normalised-z-seed1 and trials/base-seed0 differ in data"):
        trials.main("", ["ship"], gate_trials.TRIALS, gate_trials.run, gate_trials.ship)
    assert results.load_record("trials/normalised-z-seed1")["data"] == "drawn shapes", "nothing is written"


def test_the_ordinary_loop_goes_on_for_as_long_as_it_is_measured(
    script: Any, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    training = script("training")
    monkeypatch.setattr(training.se, "load_cifar10", lambda split: shapes(10 * training.BATCH // 10, seed=0))
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10))
    assert training.ordinary(network, torch.optim.SGD(network.parameters()), steps=3, workers=0, fast=False) > 0
