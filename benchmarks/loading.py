"""How long a reader waits before the first image: importing, decoding CIFAR-10, and loading it from the cache.

    python benchmarks/loading.py --data cifar10-images.tar.xz --repeats 5

Prints the median and the range of each in seconds. Each measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
LOAD = "import senet_edu as se; " + TIMED.format("se.load_cifar10(split='{split}')")


def measure(code: str, **environment: str) -> float:
    """Seconds that the process prints."""
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="CIFAR-10, as SENET_EDU_CIFAR10 takes it")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    times: dict[str, list[float]] = {}
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as cache:
            place = {"SENET_EDU_CIFAR10": options.data, "SENET_EDU_CACHE": cache}
            for what, code in {
                "import torch": TIMED.format("import torch"),
                "import senet_edu after torch": "import torch; " + TIMED.format("import senet_edu"),
                "decode all images, check and cache them": LOAD.format(split="train"),
                "load 50,000 training images from the cache": LOAD.format(split="train"),
                "load 10,000 test images from the cache": LOAD.format(split="test"),
            }.items():
                times.setdefault(what, []).append(measure(code, **place))
    for what, seconds in times.items():
        print(f"{statistics.median(seconds):6.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})  {what}")


if __name__ == "__main__":
    main()
