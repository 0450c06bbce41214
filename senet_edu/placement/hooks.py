"""SE behind or before a whole module: the block becomes its child `se_after` or `se_before`, a hook calls it.

(In a Sequential `se_after` is simply the last link.) The hooks are plain functions that look the block up in the module
they are called for, so that copies and pickles of a network use their own blocks. Beware of what makes a new module in
place of the old one, as ``nn.SyncBatchNorm.convert_sync_batchnorm`` does with each BN: hooks stay behind. `add_se` by
itself puts none on a BN; by hand, name the module that holds the BN.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


def scale_output(module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
    """Forward hook: the module's output [N, C, H, W], each map times its gate."""
    return checked(module.se_after, output)(output)


def scale_input(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Forward pre-hook: the same for the first of the module's inputs."""
    if not inputs:
        raise ValueError(f"{type(module).__name__} is called by keyword alone: put the block after another module")
    return checked(module.se_before, inputs[0])(inputs[0]), *inputs[1:]


def checked(se: Any, u: Any) -> Callable[[Tensor], Tensor]:
    """The block, if u is feature maps of as many channels as it was made for. (torch.fx traces without either.)"""
    if isinstance(u, torch.fx.Proxy):
        return se
    if not isinstance(u, Tensor) or u.dim() != 4:
        said = f"a tensor of shape {tuple(u.shape)}" if isinstance(u, Tensor) else f"a {type(u).__name__}"
        raise ValueError(f"{se.name} needs feature maps [N, C, H, W], and gets {said}: it stands at the wrong module")
    if u.shape[1] != se.channels:
        raise ValueError(f"{se.name} was made for {se.channels} channels and gets {u.shape[1]}")
    return se


def put_after(module: nn.Module, se: nn.Module) -> None:
    """From now on `module`'s output passes through `se`."""
    module.add_module("se_after", se)
    if not is_chain(module):  # a chain calls its new last child by itself
        module.register_forward_hook(scale_output)


def put_before(module: nn.Module, se: nn.Module) -> None:
    """From now on `module`'s first input passes through `se`."""
    module = first_link(module)
    module.add_module("se_before", se)
    if not is_chain(module):  # an empty chain calls its only child by itself
        module.register_forward_pre_hook(scale_input)


def first_link(module: nn.Module) -> nn.Module:
    """The module, or what a Sequential calls first. An empty one, which hands on what it gets, stays."""
    while is_chain(module) and len(module):  # type: ignore[arg-type]
        module = next(module.children())
    return module


def is_chain(module: nn.Module) -> bool:
    """Whether the module is a Sequential and nothing more."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def after(module: nn.Module) -> Callable[[nn.Module], None]:
    """`put_after` for a module that is known, and a block that is not yet."""
    return partial(put_after, module)


def before(module: nn.Module) -> Callable[[nn.Module], None]:
    """`put_before`, likewise."""
    return partial(put_before, module)
