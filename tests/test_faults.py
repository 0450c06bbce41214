"""Training that is killed, damaged, refused, starved of disk or memory, or given a clock that jumps.

As a script this file is the other side of its own tests: it trains to be killed.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import wait_until
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from senet_edu.blocks import SEBlock
from senet_edu.training import (
    CheckpointError,
    Recipe,
    TrainingError,
    checkpoint,
    fit,
    normalise,
    session,
)

RECIPE = Recipe(epochs=3, batch_size=8, peak_rate=0.1, warmup=0.25, label_smoothing=0.1, translate=4, cutout=2)
STEPS = 10  # an epoch

pytestmark = pytest.mark.usefixtures("one_thread")


def network(se: bool = True) -> nn.Module:
    """Dropout draws from the global generator, BN and momentum keep state: a resumed run must have all."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        SEBlock(8, 2) if se else nn.Identity(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(8 * 64, 4),
    )


def data(n: int = 84) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=generator)
    return images, torch.randint(0, 4, (n,), generator=generator)


def train(model: nn.Module, folder: Path | str | None, recipe: Recipe = RECIPE, precision: str = "no", **kwargs):
    return fit(model, *data(), recipe, folder=folder, precision=precision, cpu=True, progress=False, **kwargs)


def rows(history: list[dict[str, float]]) -> list[tuple[float, ...]]:
    return [(row["epoch"], row["loss"], row["accuracy"], row["rate"]) for row in history]


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def kept_state(folder: Path) -> dict:
    with safe_open(folder / checkpoint.NAME, framework="pt") as file:
        return json.loads(file.metadata()["state"])


def kept_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Killed


def save_every_third_step() -> None:
    """A clock that goes two seconds a look, so that checkpoints fall within an epoch."""
    session.time = SimpleNamespace(monotonic=itertools.count(0.0, 2.0).__next__)
    session.SAVE_EVERY = 5.0


def die_while_saving(at: int, when: str) -> None:
    """Kill this process in the `at`-th save: half of the file written, or all of it but not yet in place."""
    saves = itertools.count(1)
    save_file, replace = checkpoint.save_file, os.replace

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def half(tensors, path, metadata=None):
        save_file(tensors, path, metadata=metadata)
        if next(saves) == at:
            os.truncate(path, os.path.getsize(path) // 2)
            kill()

    def never(source, target):
        if next(saves) == at:
            kill()
        replace(source, target)

    if when == "writing":
        checkpoint.save_file = half
    else:
        os.replace = never


def trainer() -> None:
    """Read jobs, one a line; train each in a fork, kill it when the job says so, and tell how it ended."""
    import accelerate  # noqa: F401 (once, not in every fork)
    import torch._dynamo
    import tqdm.auto  # noqa: F401

    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            save_every_third_step()
            if "die" in job:
                die_while_saving(*job["die"])
            model = network()
            model.register_forward_pre_hook(partial(lambda pause, *_: time.sleep(pause), job.get("pause", 0)))
            run = train(model, job["folder"], precision=job["precision"])
            torch.save({"weights": model.state_dict(), "rows": rows(run.history)}, job["result"])
            os._exit(0)
        signal.signal(signal.SIGTERM, lambda *_, child=child: os.kill(child, signal.SIGKILL))
        if "kill_after" in job:
            time.sleep(job["kill_after"])
            os.kill(child, signal.SIGKILL)  # it is not yet waited for, so the number is still its own
        print("ended", os.waitpid(child, 0)[1], flush=True)


def package_path() -> dict[str, str]:
    root = Path(session.__file__).parents[2]
    return {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}


class Trainer:
    """The script's `trainer`, started once: torch is imported once, and each job costs only its own time."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, __file__, "trainer"], stdin=pipe, stdout=pipe, text=True, env=package_path()
        )

    def run(self, **job) -> int:
        """0, or the signal that killed the job."""
        self.start(**job)
        return self.ended()

    def start(self, **job) -> None:
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()

    def ended(self) -> int:
        word, status = self.process.stdout.readline().split()
        assert word == "ended"
        return int(status)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed with SIGKILL: POSIX only")


@pytest.fixture(scope="module")
def jobs():
    trainer = Trainer()
    yield trainer
    trainer.close()


@pytest.fixture(scope="module")
def undisturbed(jobs, tmp_path_factory):
    """Weights and rows of a run that nobody kills, by precision."""
    found = {}
    for precision in ("no", "bf16"):
        folder = tmp_path_factory.mktemp(f"undisturbed-{precision}")
        assert jobs.run(folder=str(folder / "run"), precision=precision, result=str(folder / "result")) == 0
        found[precision] = torch.load(folder / "result")
    return found


@needs_fork
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_killed_at_random_moments_gives_the_same_bits(jobs, undisturbed, tmp_path, precision):
    wanted, pause = (
        undisturbed[precision],
        0.02,
    )  # a run takes 0.6 s at least, so the first kill comes in time
    job = {
        "folder": str(tmp_path / "run"),
        "precision": precision,
        "result": str(tmp_path / "result"),
        "pause": pause,
    }
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    kills = 0
    for _ in range(20):
        late = {"kill_after": draw.uniform(0.05, 0.5)} if kills < 8 else {}
        ended = jobs.run(**job, **late)
        if ended == 0:
            break
        assert ended == signal.SIGKILL
        kills += 1
    else:
        pytest.fail("the run never ends")
    got = torch.load(tmp_path / "result")
    assert kills >= 1, seed
    assert got["rows"] == wanted["rows"], seed
    assert equal(got["weights"], wanted["weights"]), seed


@needs_fork
@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("when", ["writing", "replacing"])
def test_killed_in_every_save_gives_the_same_bits(jobs, undisturbed, tmp_path, when, precision):
    """The worst moments: each sitting ends in its second save, so only one checkpoint of it remains."""
    wanted = undisturbed[precision]
    folder = tmp_path / "run"
    job = {
        "folder": str(folder),
        "precision": precision,
        "result": str(tmp_path / "result"),
        "die": [2, when],
    }
    done = []
    for _ in range(40):
        ended = jobs.run(**job)
        if ended == 0:
            break
        assert ended == signal.SIGKILL
        done.append(kept_state(folder)["done"])
    assert ended == 0
    assert done == sorted(set(done))  # each sitting got on
    assert any(steps % STEPS for steps in done)  # within an epoch too
    got = torch.load(tmp_path / "result")
    assert got["rows"] == wanted["rows"]
    assert equal(got["weights"], wanted["weights"])
    assert kept_files(folder) == [checkpoint.LOCK, checkpoint.NAME]  # nothing half written stays behind


def test_resumed_run_does_not_start_over(tmp_path):
    whole = network()
    train(whole, None)

    class Stop(Exception):
        pass

    def stop(history):
        if len(history) == 2:
            raise Stop

    with pytest.raises(Stop):
        train(network(), tmp_path, on_epoch=stop)
    model, calls = network(), []
    model.register_forward_hook(lambda *_: calls.append(1))
    run = train(model, tmp_path)
    assert len(calls) == STEPS
    assert len(run.history) == 3
    assert equal(weights(model), weights(whole))


def test_a_finished_run_is_only_loaded(tmp_path):
    model, calls = network(), []
    first = train(model, tmp_path)
    again = network()
    again.register_forward_hook(lambda *_: calls.append(1))
    second = train(again, tmp_path)
    assert calls == []
    assert second.history == first.history
    assert second.seconds == first.seconds
    assert equal(weights(again), weights(model))


# Damaged or refused


@pytest.fixture
def finished(tmp_path) -> Path:
    train(network(), tmp_path)
    return tmp_path


def refused(folder: Path, model: nn.Module | None = None, recipe: Recipe = RECIPE, **kwargs) -> str:
    """The refusal, after which model and random generator must be as they were."""
    model = model or network()
    before, generator = weights(model), torch.get_rng_state()
    with pytest.raises(CheckpointError) as error:
        train(model, folder, recipe, **kwargs)
    assert equal(weights(model), before)
    assert torch.equal(torch.get_rng_state(), generator)
    return str(error.value)


@pytest.mark.parametrize("share", [0, 0.0005, 0.01, 0.5, 0.99])
def test_truncated_checkpoint(finished, share):
    path = finished / checkpoint.NAME
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = refused(finished)
    assert str(path) in message
    assert "delete it" in message


def test_flipped_bits(finished):
    path = finished / checkpoint.NAME
    content = path.read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0]
    draw = random.Random(0)
    places = [*range(0, header, 7), *draw.sample(range(header, len(content)), 150), len(content) - 1]
    good, messages, harmless = checkpoint.read(finished), [], 0
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            state, tensors = checkpoint.read(finished)
        except CheckpointError as caught:
            messages.append(str(caught))
            continue
        harmless += state == good[0] and equal(tensors, good[1])  # the bit changed nothing that is read
    assert len(messages) + harmless == len(places)
    assert all(str(path) in message for message in messages)
    assert harmless < 0.02 * len(places)


def test_other_settings_are_refused_by_name(finished):
    from dataclasses import replace

    message = refused(finished, recipe=replace(RECIPE, peak_rate=0.05, epochs=4))
    assert "peak_rate = 0.1 (now 0.05)" in message
    assert "epochs = 3 (now 4)" in message
    assert "momentum" not in message
    assert "seed = 0 (now 7)" in refused(finished, seed=7)
    assert "precision = no (now bf16)" in refused(finished, precision="bf16")


def test_a_setting_younger_than_the_checkpoint_had_its_default(finished):
    from dataclasses import replace

    state, tensors = checkpoint.read(finished)
    del state["config"]["freeze_norms"]
    header = {"state": json.dumps(state), "sha256": checkpoint.digest(tensors, state)}
    save_file(tensors, finished / checkpoint.NAME, metadata=header)
    assert "freeze_norms = 0 (now 1)" in refused(finished, recipe=replace(RECIPE, freeze_norms=1))
    assert len(train(network(), finished).history) == RECIPE.epochs


def test_other_images_or_labels_are_refused(finished, monkeypatch):
    images, labels = data()
    other_images, other_labels = images.clone(), labels.clone()
    other_images[-1, -1, -1, -1] ^= 1
    other_labels[0] = (other_labels[0] + 1) % 4
    for other in ((other_images, labels), (images, other_labels)):
        monkeypatch.setattr(sys.modules[__name__], "data", lambda other=other: other)
        assert "data = " in refused(finished)
    monkeypatch.setattr(sys.modules[__name__], "data", lambda: (images[:80], labels[:80]))
    assert re.search(r"data = 84 images, \w+ \(now 80 images, \w+\)", refused(finished))


@pytest.mark.parametrize("change", ["plain", "wider", "narrower"])
def test_other_network_is_refused(finished, change):
    model = network(se=change != "plain")
    if change != "plain":
        model[3] = SEBlock(8, 1 if change == "wider" else 4)
    message = refused(finished, model)
    assert "another network" in message
    assert str(finished / checkpoint.NAME) in message
    assert "3.fc1" in message


def test_the_checkpoint_is_plain_data(finished, monkeypatch):
    """Eight bytes of length, JSON, and numbers: read here with nothing but json and numpy."""
    content = (finished / checkpoint.NAME).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert set(header.pop("__metadata__")) >= {"state", "sha256"}
    assert {entry["dtype"] for entry in header.values()} <= {"F32", "I64", "U8"}
    end = max(entry["data_offsets"][1] for entry in header.values())
    assert 8 + length + end == len(content)  # and nothing after it
    first, last = header["model.0.weight"]["data_offsets"]
    model = network()
    train(model, finished)
    got = np.frombuffer(content[8 + length + first : 8 + length + last], dtype="<f4")
    assert np.array_equal(got, model[0].weight.detach().numpy().ravel())


# The disk


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_full_disk_while_saving(tmp_path, monkeypatch, error):
    real, calls = checkpoint.save_file, itertools.count(1)

    def full(tensors, path, metadata=None):
        if next(calls) > 1:
            raise error
        real(tensors, path, metadata=metadata)

    whole = network()
    train(whole, None)
    model = network()
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.warns(UserWarning, match="No space left.*Training goes on.*Make room"):
        run = train(model, tmp_path)
    assert len(run.history) == 3
    assert equal(weights(model), weights(whole))
    assert kept_files(tmp_path) == [checkpoint.LOCK, checkpoint.NAME]
    assert kept_state(tmp_path)["done"] == STEPS  # the old one

    monkeypatch.undo()
    resumed = network()
    train(resumed, tmp_path)
    assert equal(weights(resumed), weights(whole))


def test_a_limit_on_file_sizes_is_a_full_disk(tmp_path):
    resource = pytest.importorskip("resource", reason="file size limits are POSIX only")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.warns(UserWarning, match="could not write a checkpoint"):
            run = train(network(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(run.history) == 3
    assert not (tmp_path / checkpoint.NAME).exists()


def test_the_folder_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.warns(UserWarning, match="could not write a checkpoint"):
        run = train(network(), tmp_path / "file" / "run")
    assert len(run.history) == 3


# The loss and the memory


def unwrapped(model: nn.Module) -> bool:
    """Outside `fit` the model computes as a fresh one with its weights does, bit for bit."""
    twin = network()
    if isinstance(model[0], Breaks):
        twin.insert(0, nn.Identity())
    twin.load_state_dict(model.state_dict())
    with torch.no_grad():
        x = normalise(data()[0])
        a, b = model.eval()(x), twin.eval()(x)
    return a.dtype == torch.float32 and torch.equal(a.nan_to_num(), b.nan_to_num())


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_loss_that_is_no_number(tmp_path, precision):
    model = network()

    def poison(history):
        with torch.no_grad():
            model[-1].weight[0, 0] = float("nan")

    with pytest.raises(TrainingError, match="no longer a number in epoch 2") as error:
        train(model, tmp_path, precision=precision, on_epoch=poison)
    for words in ("Lower the peak rate (0.1)", "warm-up (0.25)", f"last good checkpoint is in {tmp_path}"):
        assert words in str(error.value)
    state, tensors = checkpoint.read(tmp_path)
    assert state["done"] == STEPS
    assert all(value.isfinite().all() for value in tensors.values() if value.is_floating_point())
    with torch.no_grad():
        model[-1].weight.nan_to_num_()
    assert unwrapped(model)


def test_absurd_rate(tmp_path):
    model = network()
    with pytest.raises(TrainingError, match="no longer a number in epoch 1") as error:
        train(model, tmp_path / "run", Recipe(epochs=1, batch_size=8, peak_rate=1e30))
    assert "checkpoint" not in str(error.value)  # there is none to speak of
    assert kept_files(tmp_path / "run") == [checkpoint.LOCK]


def test_weights_that_are_no_numbers_are_not_saved(tmp_path, monkeypatch):
    """The last step of an epoch can spoil the weights after a loss that was still a number."""
    model, calls = network(), itertools.count(1)

    def spoil(module, gradients):
        if next(calls) == 2 * STEPS:
            return (torch.full_like(gradients[0], float("inf")),)
        return None

    model[-1].register_full_backward_pre_hook(spoil)
    with pytest.raises(TrainingError, match="in epoch 2"):
        train(model, tmp_path)
    assert kept_state(tmp_path)["done"] == STEPS


class Breaks(nn.Module):
    """Does nothing until its `at`-th call, then calls `how`."""

    def __init__(self, how, at: int = 15) -> None:
        super().__init__()
        self.how, self.left = how, at

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        if self.left == 0:
            self.how()
        return x


def raises(error: Exception):
    def call(*_):
        raise error

    return call


MEMORY = {
    "CUDA": raises(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
    "MPS": raises(RuntimeError("MPS backend out of memory (MPS allocated: 5.00 GB)")),
    "Windows": raises(
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.")
    ),
    "cuBLAS": raises(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")),
    "this machine": lambda: torch.empty(1 << 55, dtype=torch.uint8),
}


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("how", MEMORY)
def test_out_of_memory(tmp_path, how, precision):
    model = network().insert(0, Breaks(MEMORY[how]))
    with pytest.raises(TrainingError, match="out of memory on cpu with 8 images a step.*smaller batch") as error:
        train(model, tmp_path, precision=precision)
    assert f"last good checkpoint is in {tmp_path}" in str(error.value)
    assert isinstance(error.value.__cause__, RuntimeError)
    assert unwrapped(model)
    assert kept_state(tmp_path)["done"] == STEPS


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("unsupported memory format option Preserve"),
        ValueError("out of memory"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_stay_themselves(error):
    model = network().insert(0, Breaks(raises(error)))
    with pytest.raises(type(error)) as raised:
        train(model, None, precision="bf16")
    assert raised.value is error
    inside = []
    model[0].register_forward_hook(lambda *_: inside.append(torch.is_autocast_enabled("cpu")))
    model(normalise(data()[0]))
    assert inside == [False]


# Two runs in one folder, a clock that jumps, no memory for the network itself


def test_a_second_run_in_the_folder_is_refused(tmp_path):
    refusals = []

    def intrude(history):
        with torch.random.fork_rng(), pytest.raises(CheckpointError) as error:
            train(network(), tmp_path)
        refusals.append(str(error.value))

    train(whole := network(), None)
    run = train(model := network(), tmp_path, on_epoch=intrude)
    assert len(refusals) == len(run.history) == 3
    for words in ("another process is training", str(tmp_path), "take another folder", checkpoint.LOCK):
        assert words in refusals[0]
    assert equal(weights(model), weights(whole))  # the first one noticed nothing
    assert train(network(), tmp_path).history == run.history  # and the folder is free again


@needs_fork
def test_two_processes_in_one_folder_and_a_lock_that_a_killed_one_left(jobs, undisturbed, tmp_path):
    """One trains slowly; another is refused while it lives, and goes on once it is killed."""
    job = {"folder": str(tmp_path / "run"), "precision": "no", "result": str(tmp_path / "result")}
    jobs.start(**job, pause=0.2)
    wait_until((tmp_path / "run" / checkpoint.NAME).exists, jobs.process)
    with pytest.raises(CheckpointError, match="another process is training"):
        train(network(), tmp_path / "run")
    jobs.process.send_signal(signal.SIGTERM)  # it kills its job with SIGKILL
    assert jobs.ended() == signal.SIGKILL
    assert (tmp_path / "run" / checkpoint.LOCK).exists()
    assert jobs.run(**job) == 0
    assert equal(torch.load(tmp_path / "result")["weights"], undisturbed["no"]["weights"])


def test_a_folder_that_takes_no_lock(tmp_path, monkeypatch):
    import filelock

    def no_locks(self, timeout=None):
        raise NotImplementedError("this file system has no locks")

    monkeypatch.setattr(filelock.FileLock, "acquire", no_locks)
    with pytest.warns(UserWarning, match="takes no lock .*: do not start a second run there"):
        assert len(train(network(), tmp_path).history) == 3
    assert checkpoint.read(tmp_path)[0]["done"] == 3 * STEPS


CLOCKS = {
    "an hour back": lambda i: 1e6 - 3600.0 * (i > 12),
    "a year on": lambda i: 1e6 + 3e7 * (i > 12),
    "to and fro": lambda i: 1e6 + 1e5 * (-1) ** i,
    "it stands still": lambda i: 1e6,
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_clock_that_jumps(tmp_path, monkeypatch, clock):
    """It may spoil the seconds, never the training, the checkpoints or the other columns."""
    wanted = train(whole := network(), None)
    ticks = itertools.count()
    monkeypatch.setattr(session, "time", SimpleNamespace(monotonic=lambda: CLOCKS[clock](next(ticks))))
    run = train(model := network(), tmp_path)
    assert rows(run.history) == rows(wanted.history)
    assert equal(weights(model), weights(whole))
    assert checkpoint.read(tmp_path)[0]["done"] == 3 * STEPS
    assert all(np.isfinite(value) for row in run.history for value in row.values())


def test_the_date_is_set_back_between_two_sittings(tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    with pytest.raises(Stop):
        train(network(), tmp_path, on_epoch=raises(Stop()))
    started = kept_state(tmp_path)["started"]

    class Past(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime(2001, 1, 1, tzinfo=zone)

    monkeypatch.setattr(session, "datetime", Past)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    run = train(network(), tmp_path)
    assert run.started == started  # when the first sitting began
    assert len(run.history) == 3
    assert all(0 <= row["seconds"] < 3600 for row in run.history)


def test_no_memory_for_the_network_itself(monkeypatch):
    def too_much(self, *args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    model = network()
    monkeypatch.setattr(nn.Module, "to", too_much)
    with pytest.raises(TrainingError, match="out of memory on cpu with 8 images a step.*narrower network"):
        train(model, None)


if __name__ == "__main__":
    trainer()
