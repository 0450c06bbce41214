"""How long a reader waits: for the package (after PyTorch), for the full-width network, for CIFAR-10.

    python benchmarks/loading.py              # a minute; writes runs/bench/loading.json

CIFAR-10 is what SENET_EDU_CIFAR10 names. Medians and ranges in seconds; each measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from senet_edu import results
from senet_edu.data import cifar10_source

TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
PRETRAINED = "se.create_model('se_resnet18', pretrained=True)"
LOAD = "import senet_edu as se; " + TIMED.format("se.load_cifar10(split='{split}')")


def measure(code: str, **environment: str) -> float:
    """Seconds that the process prints."""
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if not (data := os.environ.get("SENET_EDU_CIFAR10")):
        sys.exit("SENET_EDU_CIFAR10 is not set: say there where CIFAR-10 is (a folder or an archive)")

    started = results.now()
    times: dict[str, list[float]] = {}
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as cache:
            place = {"SENET_EDU_CIFAR10": data, "SENET_EDU_CACHE": cache}
            for what, code in {
                "import_torch": TIMED.format("import torch"),
                "import_senet_edu": "import torch; " + TIMED.format("import senet_edu"),
                "create_model_pretrained": "import senet_edu as se; " + TIMED.format(PRETRAINED),
                "decode_and_cache_all": LOAD.format(split="train"),
                "load_train_from_cache": LOAD.format(split="train"),
                "load_test_from_cache": LOAD.format(split="test"),
            }.items():
                times.setdefault(what, []).append(measure(code, **place))
    record: dict[str, Any] = {"name": "loading", "data": cifar10_source().description, "repeats": options.repeats}
    for what, seconds in times.items():
        record[what] = {"median": statistics.median(seconds), "lowest": min(seconds), "highest": max(seconds)}
        print(f"{statistics.median(seconds):6.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})  {what}")
    results.write_record(record | results.circumstances(started), "runs/bench/loading.json")


if __name__ == "__main__":
    main()
