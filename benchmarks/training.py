"""How fast SE-ResNet-18 trains at full width: our loop beside the ordinary ones, in one run.

    python benchmarks/training.py                 # prints the table, writes runs/bench/training.json
    senet-edu bench training                      # the same

Each measurement is a process of its own, the rows take turns, and the table has medians over the rounds. Compiling and
as many steps as are measured come first and are not counted. Memory is that of one more round, which is not timed: the
GPU's if there is one, else that of the row's process and of all it starts (workers of a DataLoader and of the
compiler). Rows:

- ours: `senet_edu.fit` with `compiled=True`; ours, eager: as the course calls it by default; ours, plain: compiled,
  with ResNet-18 (the price of SE)
- notebook: the network of the Colab note that the course grew out of, in the loop that such notebooks have (the note
  leaves its own out): float32, PIL transforms in a DataLoader with two workers, Adam
- timm: timm's SE-ResNet-18 with a CIFAR stem and the best ordinary settings: lower precision where the hardware has it,
  channels_last, PIL transforms in a DataLoader with a worker a core, SGD; timm, compiled: the same through
  torch.compile
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import psutil  # comes with Accelerate
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import senet_edu as se
from senet_edu import cost, results
from senet_edu.data import CIFAR10_MEAN, CIFAR10_STD, cifar10_source
from senet_edu.training import best_device, best_precision

OUT = Path("runs/bench/training.json")
BATCH = 128


class NoteBlock(nn.Module):
    """The residual block of the Colab note: SE as 1×1 convolutions, pooling with a square window."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        self.fc1 = nn.Conv2d(channels, channels // 16, 1)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        w = F.avg_pool2d(out, out.size(2))  # [N, C, 1, 1]
        w = torch.sigmoid(self.fc2(F.relu(self.fc1(w))))  # [N, C, 1, 1]
        return F.relu(out * w + self.shortcut(x))


class NoteNetwork(nn.Module):
    """The network of the Colab note."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        widths, strides = [64, 64, 64, 128, 128, 256, 256, 512, 512], [1, 1, 2, 1, 2, 1, 2, 1]
        self.blocks = nn.Sequential(*(NoteBlock(a, b, s) for a, b, s in zip(widths, widths[1:], strides, strict=False)))
        self.linear = nn.Linear(512, 10)

    def forward(self, x: Tensor) -> Tensor:
        out = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.linear(F.avg_pool2d(out, 4).flatten(1))


def timm_network() -> nn.Module:
    """timm's ResNet-18 with SE in every block, its stem changed to one 3×3 convolution."""
    import timm

    model = timm.create_model("resnet18", num_classes=10, block_args={"attn_layer": "se"})
    model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    model.maxpool = nn.Identity()
    return model


class Pictures(torch.utils.data.Dataset):
    """CIFAR-10 as torchvision's own class gives it: a PIL image an item, then the transforms."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        from torchvision import transforms

        self.arrays, self.labels = images.movedim(1, -1).numpy(), labels.tolist()  # [n, H, W, C]
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(CIFAR10_MEAN, CIFAR10_STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.arrays[i])), self.labels[i]


def ordinary(
    model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, workers: int, fast: bool, compiled: bool = False
) -> float:
    """Images a second of a usual loop over a DataLoader; `fast` is lower precision and channels_last."""
    device, layout = best_device(), torch.channels_last if fast else torch.contiguous_format
    precision = best_precision(device) if fast else "no"
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    model.to(device).to(memory_format=layout).train()
    network = torch.compile(model) if compiled else model
    loader = torch.utils.data.DataLoader(
        Pictures(*se.load_cifar10(split="train")),
        BATCH,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        pin_memory=fast and device.type == "cuda",
    )

    def train() -> Iterator[None]:
        for x, y in chain.from_iterable(repeat(loader)):  # epoch after epoch, for as long as it is measured
            x, y = x.to(device, memory_format=layout, non_blocking=fast), y.to(device, non_blocking=fast)
            with torch.autocast(device.type, dtype=dtype) if dtype else nullcontext():
                loss = F.cross_entropy(network(x).float(), y)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            yield

    return rate_of(train(), steps)


def rate_of(loop: Iterator[None], steps: int) -> float:
    """Images a second over `steps` steps, after as many to warm up."""
    for _ in range(steps):
        next(loop)
    wait()
    start = time.perf_counter()
    for _ in range(steps):
        next(loop)
    wait()
    return steps * BATCH / (time.perf_counter() - start)


def wait() -> None:
    """For the GPU to finish what it has been given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def ours(name: str, steps: int, compiled: bool) -> float:
    """Images a second of `fit` in the second of two epochs of `steps` steps, with checkpoints off."""
    images, labels = se.load_cifar10(split="train")
    images, labels = images[: steps * BATCH], labels[: steps * BATCH]
    recipe = se.Recipe(epochs=2, batch_size=BATCH)
    run = se.fit(se.create_model(name), images, labels, recipe, compiled=compiled, progress=False)
    return run.history[-1]["images_per_second"]


def notebook(steps: int) -> float:
    model = NoteNetwork()
    return ordinary(model, torch.optim.Adam(model.parameters(), lr=1e-3), steps, workers=2, fast=False)


def timm_loop(steps: int, compiled: bool) -> float:
    model = timm_network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    return ordinary(model, optimizer, steps, workers=os.cpu_count() or 2, fast=True, compiled=compiled)


ROWS: dict[str, Callable[[int], float]] = {
    "ours": lambda steps: ours("se_resnet18", steps, compiled=True),
    "ours, eager": lambda steps: ours("se_resnet18", steps, compiled=False),
    "ours, plain": lambda steps: ours("resnet18", steps, compiled=True),
    "notebook": notebook,
    "timm": lambda steps: timm_loop(steps, compiled=False),
    "timm, compiled": lambda steps: timm_loop(steps, compiled=True),
}


def matrix_rate() -> float:
    """FLOP/s of a product of two large square matrices here, in the precision that we train in: the median of ten."""
    device = best_device()
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(best_precision(device), torch.float32)
    n = 8192 if device.type == "cuda" else 2048
    a, b, seconds = *torch.randn(2, n, n, device=device, dtype=dtype), []
    for _ in range(12):
        wait()
        start = time.perf_counter()
        a @ b
        wait()
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / statistics.median(seconds[2:])


def measure(row: str, steps: int) -> dict[str, float]:
    """One row in this process: images a second, and the GPU's peak memory in MB if there is one."""
    rate = ROWS[row](steps)
    return {"images_per_second": rate, "gpu_memory_mb": torch.cuda.max_memory_allocated() / 2**20}


def measure_elsewhere(row: str, steps: int, watched: bool = False) -> tuple[float, float]:
    """One row in a process of its own: images a second, and peak memory in MB (a CPU's only if `watched`)."""
    call = [sys.executable, __file__, "--row", row, "--steps", str(steps)]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = 0.0
    while True:
        try:
            out, errors = process.communicate(timeout=0.25 if watched else None)
            break
        except subprocess.TimeoutExpired:  # it runs; looking costs a few percent of a core
            peak = max(peak, memory_of(process.pid))
    if process.returncode:
        sys.exit(f"{row} failed:\n{errors}")
    found = json.loads(out.splitlines()[-1])
    return found["images_per_second"], found["gpu_memory_mb"] or peak


def memory_of(pid: int) -> float:
    """What a process and all it has started hold, in MB; on Linux a page that several share is counted once."""
    total, root = 0, psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.Error):  # it has just ended
            held = process.memory_full_info()
            total += getattr(held, "pss", held.uss)
    return total / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200 if torch.cuda.is_available() else 10, help="a measurement")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--row", choices=ROWS, help="measure this row alone, here, and print JSON")
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.row, options.steps)))
        return

    started = results.now()
    memory = {row: measure_elsewhere(row, options.steps, watched=True)[1] for row in ROWS}
    rates: dict[str, list[float]] = {row: [] for row in ROWS}
    for _ in range(options.rounds):
        for row in ROWS:
            rates[row].append(measure_elsewhere(row, options.steps)[0])
    record: dict[str, Any] = {
        "name": "training-speed",
        "data": cifar10_source().description,
        "batch_size": BATCH,
        "steps": options.steps,
    }
    record |= {"rounds": options.rounds, "precision": best_precision()}
    for row in ROWS:
        record[row] = {
            "images_per_second": statistics.median(rates[row]),
            "lowest": min(rates[row]),
            "highest": max(rates[row]),
            "peak_memory_mb": memory[row],
        }
    record["ours_over_notebook"] = record["ours"]["images_per_second"] / record["notebook"]["images_per_second"]
    timm = max(record[row]["images_per_second"] for row in ("timm", "timm, compiled"))
    record["ours_over_timm"] = record["ours"]["images_per_second"] / timm
    record["price_of_se"] = record["ours, plain"]["images_per_second"] / record["ours"]["images_per_second"]
    # An epoch's arithmetic: 2 FLOP a multiply-add; backward computes two products where forward computes one
    epoch = 50_000 * 3 * 2 * cost.multiply_adds(se.create_model("se_resnet18"))
    record |= {"epoch_tflop": epoch / 1e12, "matrix_tflop_per_second": matrix_rate() / 1e12}
    least = record["epoch_tflop"] / record["matrix_tflop_per_second"]  # seconds, if nothing but products took time
    record["floor_over_ours"] = least * record["ours"]["images_per_second"] / 50_000
    targets = {"ours_over_notebook": 2.5, "ours_over_timm": 1.0}
    if torch.cuda.is_available():
        targets |= {"ours_over_notebook": 10.0, "floor_over_ours": 1 / 2.5}
    record["targets"] = targets
    record["missed_by"] = {key: target - record[key] for key, target in targets.items() if record[key] < target}
    results.write_record(record | results.circumstances(started), OUT)

    print(f"{'':14} images/s  (lowest to highest)   peak MB   ours is")
    for row in ROWS:
        r = record[row]
        ratio = record["ours"]["images_per_second"] / r["images_per_second"]
        spread = f"({r['lowest']:.0f} to {r['highest']:.0f})"
        print(f"{row:14} {r['images_per_second']:8.0f}  {spread:>19} {r['peak_memory_mb']:9.0f}   {ratio:.2f} x")
    for key, target in targets.items():
        print(f"{key.replace('_', ' ')}: {record[key]:.2f}, target {target}")
    print(f"An epoch takes {1 / record['floor_over_ours']:.2f} times as long as its products alone would")
    print(f"Record: {OUT}")


if __name__ == "__main__":
    main()
