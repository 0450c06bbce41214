"""What attention costs: weights, equation 5, multiply-adds, memory traffic, time."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from senet_edu.blocks import is_se

COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
FREE = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def parameters(model: nn.Module) -> int:
    """Weights and biases of a network, those of BN included."""
    return sum(p.numel() for p in model.parameters())


def se_parameters(model: nn.Module) -> int:
    """Those of them that sit in SE blocks, biases included; torchvision's and timm's own blocks count too."""
    return sum(p.numel() for m in model.modules() if is_se(m) for p in m.parameters())


def added_weights(blocks: Mapping[int, int], reduction: int) -> float:
    """Equation 5: (2/r) Σ_s N_s C_s², the weights that SE adds to a network when its layers have no biases.

    Args:
        blocks: C_s to N_s: how many blocks put out so many channels, e.g. {64: 2, 128: 2, 256: 2, 512: 2} for
            ResNet-18. (Stages that share a width share an entry.)
        reduction: r. The formula is exact where r divides every C.

    Raises:
        ValueError: r is below 1.
    """
    if reduction < 1:
        raise ValueError(f"the reduction ratio must be at least 1: r = {reduction}")
    return 2 / reduction * sum(n * channels**2 for channels, n in blocks.items())


def multiply_adds(model: nn.Module, size: tuple[int, int, int] = (3, 32, 32)) -> int:
    """Multiply-adds of one forward pass on one image [C, H, W], as the paper counts its "GFLOPs".

    Each number that a convolution or a linear layer puts out is a product of one row of its weights with as many
    inputs. Norms, non-linearities, pooling and the multiplication by the gates are not counted. The image is empty
    (meta device): nothing is computed.

    Raises:
        ValueError: the network has weights in a layer that is neither convolution, linear layer nor norm.
    """
    meta, image = without_numbers(model, (1, *size))
    total = 0

    def add(layer: Any, _inputs: Any, output: Tensor) -> None:
        nonlocal total
        total += output.numel() * layer.weight[0].numel()

    for layer in meta.modules():
        if isinstance(layer, COUNTED):
            layer.register_forward_hook(add)
        elif not isinstance(layer, FREE) and next(layer.parameters(recurse=False), None) is not None:
            raise ValueError(f"this counter does not know what a {type(layer).__name__} computes with its weights")
    with torch.no_grad():
        meta(image)
    return total


def multiply_adds_by_torch(model: nn.Module, size: tuple[int, int, int] = (3, 32, 32)) -> int:
    """The same by PyTorch's own counter, which sees the operations and takes two for a multiply-add: a check."""
    from torch.utils.flop_counter import FlopCounterMode

    meta, image = without_numbers(model, (1, *size))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        meta(image)
    return counter.get_total_flops() // 2


KINDS = {  # PyTorch's operation to what the chapters call it
    "convolution": "convolution",
    "native_batch_norm": "BN",
    "relu": "ReLU",
    "add": "sum",
}
SE_KINDS = {"mean": "squeeze", "amax": "squeeze", "mul": "scale"}  # inside an SE block; the rest there is "excite"


def memory_traffic(model: nn.Module, size: tuple[int, int, int] = (3, 32, 32)) -> dict[str, int]:
    """Bytes that one image's forward pass reads from memory and writes to it, by kind of operation.

    Assumed: each operation runs by itself, reads each of its inputs once and writes its output once, as PyTorch does
    without compiling; no cache keeps anything from one operation to the next. Views move nothing. Weights are left
    out, since all images of a batch share one reading of them. Numbers are as wide as the model's (4 bytes in
    float32). The image is empty (meta device): nothing is computed.

    Args:
        model: a network or a single block.
        size: of the image, or of the maps that the block gets, [C, H, W].

    Returns:
        "convolution", "BN", "ReLU", "sum" (of branch and skip), "squeeze", "excite" and "scale" (in SE blocks), and
        "rest" (pooling, classifier, other layers), in this order, 0 where there is none. Of an SK convolution the
        sums over branches are "sum"; what else its fuse and select do is "rest".
    """
    one, two = (batch_traffic(model, (n, *size)) for n in (1, 2))
    return {kind: two[kind] - one[kind] for kind in one}  # what a further image adds: the weights cancel


def batch_traffic(model: nn.Module, shape: tuple[int, ...]) -> dict[str, int]:
    """Bytes by kind of operation for a batch of `shape` [N, C, H, W], weights included."""
    from torch.utils._python_dispatch import TorchDispatchMode

    moved = dict.fromkeys([*KINDS.values(), "squeeze", "excite", "scale", "rest"], 0)
    inside: set[nn.Module] = set()  # the SE block that is running, if any

    class Counter(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = function(*args, **(kwargs or {}))
            if not is_view(function):
                name = function.overloadpacket.__name__.removesuffix("_")  # relu_ is relu in place
                kind = SE_KINDS.get(name, "excite") if inside else KINDS.get(name, "rest")
                lists = [value if isinstance(value, list | tuple) else [value] for value in (*args, out)]
                moved[kind] += sum(t.nbytes for values in lists for t in values if isinstance(t, Tensor))
            return out

    meta, images = without_numbers(model, shape)
    for block in meta.modules():
        if is_se(block):
            block.register_forward_pre_hook(lambda block, _inputs: inside.add(block))
            block.register_forward_hook(lambda block, _inputs, _out: inside.discard(block))
    with Counter(), torch.no_grad():
        meta(images)
    return moved


def is_view(function: Any) -> bool:
    """Whether a PyTorch operation only looks at its input's memory in another way, and writes nothing."""
    alias = function._schema.returns[0].alias_info
    return (alias is not None and not alias.is_write) or function.overloadpacket.__name__ == "_unsafe_view"


def without_numbers(model: nn.Module, shape: tuple[int, ...]) -> tuple[nn.Module, Tensor]:
    """A copy of the model for evaluation and a batch of `shape`, both without numbers (meta device), to count with."""
    meta = copy.deepcopy(model).to("meta").eval()
    return meta, torch.empty(
        shape, device="meta", dtype=next((p.dtype for p in meta.parameters()), torch.get_default_dtype())
    )


def median_seconds(
    functions: Mapping[str, Callable[[], object]], repeats: int = 15, clock: Callable[[], float] | None = None
) -> dict[str, float]:
    """Median time of each function on this machine, in seconds.

    They take turns, so that whatever else the machine does meets all of them alike. Two more turns, not counted, come
    first.

    Args:
        functions: by name.
        repeats: turns that count.
        clock: what gives the time; by default that on the wall. `time.process_time` counts only what this process
            computes, on all its threads, and so does not mind what else runs; it does not see a GPU.
    """
    clock = clock or time.perf_counter
    wait = torch.accelerator.synchronize if torch.accelerator.is_available() else lambda: None
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats + 2):
        for name, function in functions.items():
            wait()
            start = clock()
            function()
            wait()
            times[name].append(clock() - start)
    return {name: statistics.median(seconds[2:]) for name, seconds in times.items()}
