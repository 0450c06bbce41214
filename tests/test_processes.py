"""Two processes that train, evaluate and record one network together, and one of them killed.

As a script this file is one of the processes that a launcher starts for its own tests.
"""

from __future__ import annotations

import faulthandler
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from archives import encode, image_files, write, write_folder
from test_faults import STEPS, data, kept_state, needs_fork, network, package_path, rows, save_every_third_step
from torch import Tensor, nn

import senet_edu as se
from senet_edu import results
from senet_edu.data import image_folder
from senet_edu.excitations import GateStatistics, record_controls
from senet_edu.models import create_model
from senet_edu.training import EpochPlan, Recipe, checkpoint, fit, processes

RECIPE = Recipe(label_smoothing=0.0, epochs=2, batch_size=8)
RUNS = {  # images and recipe
    "even": (42, RECIPE),
    "again": (42, RECIPE),
    "odd": (30, Recipe(label_smoothing=0.0, epochs=1, batch_size=7)),
    "few": (5, Recipe(label_smoothing=0.0, epochs=1, batch_size=128)),
}
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2")
ACCELERATE = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")  # without GPUs: two on the CPU


def launch(launcher: tuple[str, ...], *arguments: str | int | Path) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", *launcher, __file__, *map(str, arguments)]
    return subprocess.run(call, env=package_path(), capture_output=True, text=True, timeout=200)


def se_network(classes: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return create_model("se_resnet18", num_classes=classes, width=0.0625, min_hidden=2).eval()


def gates_of(found: se.excitations.Excitations) -> dict[str, dict[str, list]]:
    fields = ("count", "mean", "squares", "histogram", "sample")
    return {name: {field: getattr(gates, field).tolist() for field in fields} for name, gates in found.items()}


def share_of_two(out: Path) -> None:
    """Train, and write down what this process saw and has."""
    seen, logits_seen, sides = [], [], {}
    draw, save = EpochPlan.batch, checkpoint.save

    def batch(self, images, places, recipe):
        x, index = draw(self, images, places, recipe)
        seen.append(index.tolist())
        return x, index

    def slow_save(*args):
        time.sleep(0.5)  # the other process, which does not save, gets ahead
        return save(*args)

    EpochPlan.batch, checkpoint.save = batch, slow_save
    for name, folder in (("even", out / "run"), ("again", out / "run"), ("odd", None), ("few", None)):
        n, recipe = RUNS[name]
        seen.clear()
        logits_seen.clear()
        model = network()
        torch.manual_seed(int(os.environ["RANK"]))  # dropout differs between the processes, as it should
        model.register_forward_hook(lambda module, inputs, logits: logits_seen.append(logits.detach().tolist()))
        run = fit(model, *data(n), recipe, folder=folder, cpu=True, precision="no", progress=False)
        sides[name] = {
            "seen": list(seen),
            "logits": list(logits_seen),
            "rows": rows(run.history),
            "processes": run.processes,
            "weights": {key: value.tolist() for key, value in model.state_dict().items()},
        }
    EpochPlan.batch, checkpoint.save = draw, save
    share_of_killed(out, None, 0)

    images, labels = data(33)
    found = se.evaluate(se_network(), images, labels, cpu=True, precision="no")
    sides["evaluation"] = [found.accuracy, found.flipped, found.per_class]
    gates = se.record_excitations(se_network(), images, labels, sample=[30, 2, 17], cpu=True, precision="no")
    controls = record_controls(se_network(), images, labels, cpu=True, precision="no")
    sides["gates"], *sides["controls"] = map(gates_of, (gates, *controls))

    writes = []
    write_record = results.write_record
    results.runs.write_record = lambda record, path: (writes.append(str(path)), write_record(record, path))
    folder_images = image_folder(out / "pictures", 16, workers=1)
    sides["record"] = results.train_recorded(
        out / "recorded",
        model := se_network(2),
        folder_images,
        folder_images,
        Recipe(epochs=1, batch_size=4),
        data="drawn",
        cpu=True,
        precision="no",
    )
    sides["written"] = writes
    sides["rounded"] = {key: value.tolist() for key, value in model.state_dict().items()}
    for name, work in (
        ("error", lambda: fit(network(), *data(8), Recipe(epochs=1, batch_size=1), cpu=True, progress=False)),
        ("too few", lambda: se.evaluate(network(), *data(1), cpu=True)),
    ):
        try:
            work()
        except ValueError as error:
            sides[name] = str(error)
    (out / f"{os.environ['RANK']}.json").write_text(json.dumps(sides), encoding="utf-8")


def sure_network() -> nn.Module:
    model = network()
    model[5] = nn.Identity()  # each process has a dropout of its own, which a checkpoint does not keep
    return model


def share_of_killed(out: Path, name: str | None, die: int, rank: str = "") -> None:
    """Train; the process of that rank kills itself before its `die`-th step. Without a name, no checkpoints."""
    calls = iter(range(1, 1000))

    def perhaps(*_):
        if next(calls) == die and os.environ["RANK"] == rank:
            os.kill(os.getpid(), signal.SIGKILL)

    model = sure_network()
    model.register_forward_pre_hook(perhaps)
    folder = out / name if name else None
    run = fit(model, *data(84), RECIPE, folder=folder, cpu=True, precision="no", progress=False)
    if processes.is_main():
        torch.save({"weights": model.state_dict(), "rows": rows(run.history)}, out / f"{name or 'whole'}.result")


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    draw = np.random.default_rng(0)
    files = {f"{label}/{i}.png": draw.integers(0, 256, (16, 16, 3), np.uint8) for label in "ab" for i in range(6)}
    write_folder(folder / "pictures", {name: encode(pixels) for name, pixels in files.items()})
    return folder


@pytest.fixture(scope="module")
def sides(out):
    result = launch(TORCHRUN, "share", out)
    assert result.returncode == 0, result.stderr[-3000:]
    return [json.loads((out / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]


@pytest.mark.parametrize(("name", "share", "steps"), [("even", 4, 10), ("odd", 3, 5), ("few", 2, 1)])
def test_two_processes_share_each_batch(sides, name, share, steps):
    a, b = (side[name] for side in sides)
    assert a["processes"] == b["processes"] == 2
    assert a["weights"] == b["weights"]
    assert a["rows"] == b["rows"]
    assert [len(index) for index in a["seen"]] == [len(index) for index in b["seen"]] == [share] * steps
    a_epoch = len(a["seen"]) // len(a["rows"])
    n, recipe = RUNS[name]
    for epoch, first in enumerate(range(0, steps, a_epoch)):
        order = EpochPlan.draw(n, (8, 8), recipe, 0, epoch).order.tolist()
        batches = [order[2 * share * i : 2 * share * (i + 1)] for i in range(a_epoch)]  # of a single process
        mine, others = (side["seen"][first : first + a_epoch] for side in (a, b))
        assert [x + y for x, y in zip(mine, others, strict=True)] == batches


@pytest.mark.parametrize("name", ["even", "odd"])
def test_two_processes_report_the_mean_of_both(sides, name):
    labels = data(42 if name == "even" else 30)[1]
    per_epoch = len(sides[0][name]["seen"]) // len(sides[0][name]["rows"])
    for i, (_, loss, accuracy, _) in enumerate(sides[0][name]["rows"]):
        epoch = slice(i * per_epoch, (i + 1) * per_epoch)
        index = torch.tensor([side[name]["seen"][epoch] for side in sides]).flatten()
        logits = torch.tensor([side[name]["logits"][epoch] for side in sides]).flatten(0, 2)
        assert loss == pytest.approx(nn.functional.cross_entropy(logits, labels[index]).item(), rel=1e-5)
        assert accuracy == pytest.approx((logits.argmax(1) == labels[index]).float().mean().item())


def test_two_processes_load_a_finished_run(sides):
    for side in sides:
        assert side["again"]["seen"] == []
        assert side["again"]["rows"] == side["even"]["rows"]
        assert side["again"]["weights"] == side["even"]["weights"]


def test_two_processes_cannot_share_one_image(sides):
    for side in sides:
        assert "2 processes cannot share batches of 1" in side["error"]
        assert side["too few"] == "2 processes cannot share 1 images"


def test_two_processes_evaluate_each_image_once(sides):
    alone = se.evaluate(se_network(), *data(33), cpu=True, precision="no")
    assert sides[0]["evaluation"] == sides[1]["evaluation"] == [alone.accuracy, alone.flipped, alone.per_class]


def same_gates(found: dict[str, list], wanted: GateStatistics) -> None:
    got = {key: torch.tensor(value) for key, value in found.items()}
    assert torch.equal(got["count"], wanted.count)
    assert torch.equal(got["histogram"], wanted.histogram)
    for key in ("mean", "squares", "sample") if len(wanted.sample) else ("mean", "squares"):
        assert torch.allclose(got[key].double(), getattr(wanted, key).double(), rtol=1e-5, atol=1e-7), key


def test_two_processes_record_the_gates_of_all_images(sides):
    images, labels = data(33)
    alone = se.record_excitations(se_network(), images, labels, sample=[30, 2, 17], cpu=True, precision="no")
    controls = record_controls(se_network(), images, labels, cpu=True, precision="no")
    assert sides[0]["gates"] == sides[1]["gates"]
    for name in alone:
        same_gates(sides[0]["gates"][name], alone[name])
        for found, wanted in zip(sides[0]["controls"], controls, strict=True):
            same_gates(found[name], wanted[name])


def test_one_of_two_processes_writes_the_record(sides, out):
    record = json.loads((out / "recorded" / "record.json").read_text(encoding="utf-8"))
    assert record == sides[0]["record"] == sides[1]["record"]
    assert record["processes"] == 2
    assert sides[0]["written"] == [str(out / "recorded" / "record.json")]
    assert sides[1]["written"] == []
    written = results.load_run(out / "recorded").state_dict()
    assert sides[0]["rounded"] == sides[1]["rounded"] == {key: value.tolist() for key, value in written.items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def readme_commands() -> list[str]:
    """What README has under "Many processes", for several GPUs, two processes on the CPU, two machines."""
    block = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8").partition("**Many processes.**")[2]
    return [line for line in block.splitlines()[:10] if line.startswith("accelerate launch")]


@needs_fork
@pytest.mark.parametrize("machines", [1, 2])
def test_the_train_command_as_readme_launches_it(tmp_path: Path, machines: int) -> None:
    """On one machine with two processes, or two machines (here two folders) with one each; the first one writes."""
    _, on_the_cpu, on_two_machines = readme_commands()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = on_the_cpu
    if machines == 2:
        assert all(part in on_two_machines for part in ("--num_processes 16", "HOST", "29500", "--machine_rank 0"))
        command = on_two_machines.replace("--num_processes 16", "--num_processes 2").replace("HOST", "127.0.0.1")
    images = write(tmp_path / "drawn.tar.gz", image_files(per_class=4))
    small = f"--data {images} --width 0.0625 --epochs 1 --batch-size 20 --precision no --cpu"
    started = []
    for rank in range(machines):
        (tmp_path / str(rank)).mkdir()
        own = command.replace("29500", str(port)).replace("--machine_rank 0", f"--machine_rank {rank}")
        call = [sys.executable, "-m", "accelerate.commands.launch", *shlex.split(f"{own} {small}")[2:]]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(call, cwd=tmp_path / str(rank), env=package_path(), **pipes))
    try:
        said = [process.communicate(timeout=200)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0] * machines, said
    record = json.loads((tmp_path / "0" / "runs" / "mine" / "record.json").read_text(encoding="utf-8"))
    assert record["processes"] == 2
    if machines == 2:
        assert list((tmp_path / "1").iterdir()) == []


@needs_fork
@pytest.mark.parametrize("rank", ["0", "1"])
def test_one_of_two_processes_is_killed(sides, out, rank):
    """Under `accelerate launch`: the run ends, says who died, and the same command ends as if nothing had been.

    The first process is the one that writes checkpoints.
    """
    name = f"broken{rank}"
    died = launch(ACCELERATE, "killed", out, name, STEPS + 8, rank)
    assert died.returncode != 0
    assert "SIGKILL" in died.stderr, "the launcher says which one"
    done = kept_state(out / name)["done"]
    assert STEPS < done < 2 * STEPS  # within the second epoch
    again = launch(ACCELERATE, "killed", out, name, 0)
    assert again.returncode == 0, again.stderr[-3000:]
    wanted, got = (torch.load(out / f"{of}.result") for of in ("whole", name))
    assert got["rows"] == wanted["rows"]
    assert same(got["weights"], wanted["weights"])


if __name__ == "__main__":
    faulthandler.dump_traceback_later(150, exit=True)  # rather than wait for each other for ever
    torch.set_num_threads(1)
    if sys.argv[1] == "share":
        share_of_two(Path(sys.argv[2]))
    else:
        save_every_third_step()
        share_of_killed(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), *sys.argv[5:])
