"""Put other gates in place of a network's own for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from senet_edu.blocks import SEBlock, foreign_gates
from senet_edu.models import se_blocks

Override = float | Tensor | Callable[[Tensor], Tensor]


@contextmanager
def override_gates(model: nn.Module, gates: Mapping[str, Override]) -> Iterator[None]:
    """Within the `with`, put other gates in place of a network's own.

    Args:
        model: a network with SE blocks, ours or those of torchvision and timm, see `record_excitations`.
        gates: for a block's name a number (1.0 takes the block out), a tensor [C] or [N, C] (the same for each batch of
            N images; for NoSqueeze a value holds at all positions), or a function of the block's own gates, e.g.
            ``lambda s: s.flip(0)`` to give each image another one's.

    Raises:
        ValueError: the network has no block of that name, or was compiled; a tensor does not fit the block's gates.
    """
    layers = gate_outputs(model)
    if unknown := set(gates) - set(layers):
        raise ValueError(f"no block {', '.join(sorted(unknown))}; there are {', '.join(layers)}")

    def replacement(name: str, value: Override) -> Callable[[nn.Module, object, Tensor], Tensor]:
        def hook(_module: nn.Module, _input: object, s: Tensor) -> Tensor:
            given = torch.as_tensor(value(s) if callable(value) else value, dtype=s.dtype, device=s.device)
            if s.dim() == 4 and given.dim() in (1, 2):
                given = given[..., None, None]  # [C, 1, 1] or [N, C, 1, 1]
            try:
                return given.expand_as(s)
            except RuntimeError as error:
                raise ValueError(
                    f"gates of shape {tuple(given.shape)} do not fit {name}, whose own are {tuple(s.shape)}"
                ) from error

        return hook

    with removed_after(layers[name].register_forward_hook(replacement(name, value)) for name, value in gates.items()):
        yield


@contextmanager
def removed_after(hooks: Iterable[RemovableHandle]) -> Iterator[None]:
    """Within the `with` the hooks are in place; after it, also after an error, they are gone."""
    handles = list(hooks)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def gate_outputs(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that put out the network's gates, by block.

    Raises:
        ValueError: there are none, one of our blocks has no name, the gates of another library's cannot be found, or
            the network was compiled.
    """
    refuse_compiled(model)
    if nameless := sum(isinstance(module, SEBlock) and not module.name for module in model.modules()):
        raise ValueError(f'SE blocks without a name: {nameless}. Give each one, such as block.name = "SE_2_1"')
    layers = {name: block.gate for name, block in se_blocks(model).items()} | foreign_gates(model)
    if not layers:
        raise ValueError("this network has no SE blocks, and so no gates (what an SKNet has: `record_attention`)")
    return layers


def named_blocks(model: nn.Module) -> dict[str, SEBlock]:
    """The network's SE blocks by name; a ValueError if it has none, has another library's, or was compiled."""
    if foreign := gate_outputs(model).keys() - se_blocks(model).keys():
        raise ValueError(f"this needs SE blocks of this package; {min(foreign)} is another library's")
    return se_blocks(model)


def refuse_compiled(model: nn.Module) -> None:
    """A ValueError for a compiled network: its code is fixed, and does not call hooks that are added later."""
    if any(hasattr(m, "_orig_mod") or getattr(m, "_compiled_call_impl", None) for m in model.modules()):
        raise ValueError("this network was compiled, and its gates can no longer be reached: give it as it was before")
