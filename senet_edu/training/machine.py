"""What this machine can do: its device, its precision, its speed of the course."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Literal, get_args

import torch

# "no" is float32; on NVIDIA GPUs from the A100 on, PyTorch's convolutions then round their factors to TF32's 10 bits
Precision = Literal["no", "bf16", "fp16"]
Speed = Literal["quick", "full"]


def speed() -> Speed:
    """Speed of the chapters: SENET_EDU_SPEED if set ("quick" or "full"), else "full" with a GPU and "quick" without.

    Raises:
        ValueError: SENET_EDU_SPEED is neither.
    """
    wanted = os.environ.get("SENET_EDU_SPEED") or ("full" if torch.cuda.is_available() else "quick")
    if wanted not in ("quick", "full"):
        raise ValueError(f"SENET_EDU_SPEED is 'quick' or 'full', not {wanted!r}")
    return "quick" if wanted == "quick" else "full"


def best_device() -> torch.device:
    """The GPU if there is one (NVIDIA's, else Apple's), else the CPU. Under a launcher, the GPU of this process."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def best_precision(device: torch.device | None = None) -> Precision:
    """bf16 where the hardware computes in it, fp16 on older NVIDIA GPUs (a T4), else float32 ("no").

    PyTorch emulates bf16 on a T4 and on CPUs without avx512_bf16 or AMX; there it is slower than float32.
    """
    device = device or best_device()
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "cpu" and cpu_has_bf16():
        return "bf16"
    return "no"


def known(precision: Precision) -> Precision:
    """The precision itself; a ValueError if it is not one."""
    if precision not in get_args(Precision):
        raise ValueError(f"precision is one of {get_args(Precision)}, not {precision!r}")
    return precision


def cpu_has_bf16() -> bool:
    """The processor multiplies bfloat16 itself: avx512_bf16 or AMX."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch.cpu names them privately
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def keep_freed_memory() -> None:
    """On Linux, let this process keep the memory that it frees, for the next tensor of that size.

    By default glibc gives large pieces back at once, and every step asks the system for the same pages anew, which it
    clears one by one: on a CPU that can take as long as the computing. (With another C library nothing is done.)
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX and M_TRIM_THRESHOLD of malloc.h
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def describe() -> dict[str, str | int]:
    """Hardware and versions, as records keep them."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    def version_of(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "missing"

    device = best_device()
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "accelerator": gpu if device.type != "cpu" else "none",
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": version_of("torch"),
        "torchvision": version_of("torchvision"),
    }


def processor_name() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    import platform
    from pathlib import Path

    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
