"""Break training in every way that we know, at random, and count what came out.

    python benchmarks/faults.py --seed 0            # a quarter of an hour; writes runs/bench/faults.json; POSIX

Each trial trains a small SE network on drawn images. It is as it should be when the fault is named in words, or when
the finished run has the weights and curves of one that nothing disturbed, bit for bit. Everything else is counted as
wrong, and the exit status says so. (A full disk is a limit on the size of a file here.)
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil  # comes with Accelerate
import torch

import senet_edu as se
from senet_edu import results
from senet_edu.training import CheckpointError, checkpoint, session

RECIPE = se.Recipe(epochs=4, batch_size=32)
LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")  # on CPUs too
Outcome = tuple[str, list[tuple[float, ...]]]  # checksum of the weights, rows of the history without seconds


def train(folder: Path) -> Outcome:
    """A whole run, from its seed to its record. Checkpoints are written several times an epoch."""
    session.SAVE_EVERY = -1.0  # at each look, about once a second
    torch.manual_seed(0)
    model = se.create_model("se_resnet18", width=0.0625, min_hidden=2)
    images, test = se.shapes(960, seed=0), se.shapes(100, seed=1)
    results.train_recorded(folder, model, images, test, RECIPE, data="shapes", precision="no", cpu=True)
    return finished(folder)


def finished(folder: Path) -> Outcome:
    """Of the run in the folder. (Not its file's checksum: that covers the run's name.)"""
    weights = results.load_run(folder).state_dict()
    history = results.read_record(folder / "record.json")["history"]
    rows: list[tuple[float, ...]] = [(row["epoch"], row["loss"], row["accuracy"], row["rate"]) for row in history]
    return checkpoint.digest(weights, {}), rows


def child(folder: Path, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    call = [sys.executable, *launcher, __file__, "--child", str(folder)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(call, stdout=quiet, stderr=quiet, env={**os.environ, "OMP_NUM_THREADS": "1"})


def wait_for_checkpoint(folder: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not (folder / checkpoint.NAME).exists():
        ended = process.poll()
        if ended is not None or time.monotonic() > deadline:
            process.terminate()
            raise RuntimeError(f"no checkpoint from {process.args!r}: exit status {ended}, None if still running")
        time.sleep(0.05)


def killed(out: Path, draw: random.Random, times: int) -> Iterator[bool]:
    """`kill -9` at random moments of the whole process, its start and end among them; yields one result a run."""
    start = time.monotonic()
    assert child(out / "whole").wait() == 0
    seconds, wanted = time.monotonic() - start, finished(out / "whole")
    for number in itertools.count():
        folder, ended = out / f"killed{number}", None
        while ended is None:
            process, start = child(folder), time.monotonic()
            try:
                ended = process.wait(draw.uniform(0, seconds) if times else None)
                seconds = min(seconds, time.monotonic() - start)  # the machine has less to do than it had
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                times -= 1
        yield ended == 0 and finished(folder) == wanted
        if not times:
            return


def one_of_two_killed(out: Path, draw: random.Random) -> Iterator[bool]:
    """Two processes; one of them is killed once a checkpoint is there. The other one ends too, and both go on."""
    assert child(out / "two", LAUNCH).wait() == 0
    wanted = finished(out / "two")
    for number in range(3):
        folder = out / f"two{number}"
        process = child(folder, LAUNCH)
        wait_for_checkpoint(folder, process)
        time.sleep(draw.uniform(0, 1))
        draw.choice(psutil.Process(process.pid).children()).kill()
        ended = process.wait(timeout=120)
        yield ended != 0 and child(folder, LAUNCH).wait() == 0 and finished(folder) == wanted


def damaged(path: Path, damage: Callable[[bytes], bytes], read: Callable[[], object], error: type[Exception]) -> bool:
    """The damaged file is refused, by name; or it reads as before, since the damage is in what nobody reads."""
    whole, before = path.read_bytes(), repr(read())
    path.write_bytes(damage(whole))
    try:
        return repr(read()) == before
    except error as refusal:
        return str(path) in str(refusal)
    finally:
        path.write_bytes(whole)


def truncated(draw: random.Random) -> Callable[[bytes], bytes]:
    return lambda content: content[: draw.randrange(len(content))]


def altered(draw: random.Random) -> Callable[[bytes], bytes]:
    def flip(content: bytes) -> bytes:
        place = draw.randrange(len(content))
        return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]

    return flip


def full_disk(out: Path, draw: random.Random, wanted: Outcome) -> Iterator[bool]:
    """No file may grow beyond a random size while it trains; then there is room again, and the run is finished."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (out / "whole" / checkpoint.NAME).stat().st_size
    for number in range(5):
        folder = out / f"full{number}"
        resource.setrlimit(resource.RLIMIT_FSIZE, (draw.randrange(size), limits[1]))
        said = ""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                train(folder)
            except Exception as error:  # the weights do not fit either
                said = str(error)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        said += "".join(str(warning.message) for warning in caught)
        yield "could not write a checkpoint" in said and train(folder) == wanted


def two_runs(out: Path) -> Iterator[bool]:
    """A second run in the folder of one that is going on."""
    images, labels = se.shapes(960, seed=0)
    model = se.create_model("se_resnet18", width=0.0625, min_hidden=2)
    process = child(out / "taken")
    wait_for_checkpoint(out / "taken", process)
    for _ in range(5):
        try:
            se.fit(model, images, labels, RECIPE, folder=out / "taken", precision="no", cpu=True)
        except CheckpointError as error:
            yield "another process is training" in str(error)
        else:
            yield False
    yield process.wait() == 0 and finished(out / "taken") == finished(out / "whole")


def jumping_clock(out: Path, draw: random.Random, wanted: Outcome) -> Iterator[bool]:
    """Each look at the clock finds it up to a day before or after the last one."""
    for number in range(5):
        now = SimpleNamespace(value=0.0)

        def jump(now: SimpleNamespace = now) -> float:
            now.value += draw.uniform(-86_400, 86_400)
            return now.value

        session.time = SimpleNamespace(monotonic=jump)  # type: ignore[assignment]
        try:
            yield train(out / f"clock{number}") == wanted
        finally:
            session.time = time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.child:
        train(options.child)
        return

    draw, started = random.Random(options.seed), results.now()
    record: dict[str, Any] = {
        "name": "faults",
        "data": "drawn shapes",
        "seed": options.seed,
        "kills": options.kills,
        "tried": {},
        "wrong": {},
    }

    def tally(what: str, found: list[bool]) -> None:
        record["tried"][what], record["wrong"][what] = len(found), found.count(False)
        print(f"{len(found):5} tried  {found.count(True):5} as it should be  {found.count(False):3} wrong  {what}")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        tally("runs killed at random moments, each until it ended", list(killed(out, draw, options.kills)))
        whole = out / "whole"
        wanted = finished(whole)
        kept, weights = whole / checkpoint.NAME, whole / "weights.safetensors"
        sums = {
            kept: (lambda: checkpoint.digest(*reversed(checkpoint.read(whole) or ({}, {}))), CheckpointError),
            weights: (lambda: results.sha256(weights) * (results.load_run(whole) is not None), results.AssetError),
        }
        for path, (read, error) in sums.items():
            for name, damage in (("truncated", truncated(draw)), ("altered by one bit", altered(draw))):
                found = [damaged(path, damage, read, error) for _ in range(20)]
                tally(f"{path.stem} {name}", found)
        tally("disk full while checkpoints are written", list(full_disk(out, draw, wanted)))
        tally("another run in the folder, and the first one's end", list(two_runs(out)))
        tally("clock that jumps by up to a day at each look", list(jumping_clock(out, draw, wanted)))
        tally("one of two processes killed", list(one_of_two_killed(out, draw)))
    wrong = sum(record["wrong"].values())
    print(f"{options.kills} kills; {wrong} wrong. Seed {options.seed}, commit {results.commit()}.")
    results.write_record(record | results.circumstances(started), "runs/bench/faults.json")
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
