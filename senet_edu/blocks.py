"""The Squeeze-and-Excitation block: three functions of tensors, and one module that does the same with layers.

A module computes the excitation with `nn.Linear` layers and not with `excite`, so that optimisers, hooks and counters
find its weights; tests hold the two to each other.

Paper: Hu, Shen, Albanie, Sun, Wu, "Squeeze-and-Excitation Networks", arXiv 1709.01507v4. Equation and table numbers
are the paper's. This module imports nothing but torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeVar, get_args

import torch
from torch import Tensor, nn

Squeeze = Literal["avg", "max", "none"]
Gate = Literal["sigmoid", "tanh", "relu"]

GATES: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}
# The SE blocks that torchvision and timm put into their own networks, and how these call the layer that puts out gates
FOREIGN_SE = {"SqueezeExcitation", "SqueezeExcite", "SEModule", "EffectiveSEModule"}
FOREIGN_GATES = ("scale_activation", "gate", "sigmoid")


def squeeze(u: Tensor) -> Tensor:
    """Squeeze, eq. 2: z_c = 1/(H·W) Σ_ij u_c(i, j), one number a channel.

    Args:
        u: feature maps [N, C, H, W]; H and W may differ.

    Returns:
        z [N, C].
    """
    return u.mean(dim=(2, 3))


def excite(z: Tensor, w1: Tensor, w2: Tensor, b1: Tensor | None = None, b2: Tensor | None = None) -> Tensor:
    """Excitation, eq. 3: s = σ(W₂ δ(W₁ z)), with δ the ReLU and σ the sigmoid.

    The ablations of the paper (section 6 on) have no biases; its released models have both.

    Args:
        z: squeezed channels [N, C].
        w1: W₁ [hidden, C], hidden = C/r in the paper.
        w2: W₂ [C, hidden].
        b1: bias of the first layer [hidden], or None.
        b2: bias of the second layer [C], or None.

    Returns:
        s [N, C], each gate between 0 and 1.
    """
    hidden = torch.relu(nn.functional.linear(z, w1, b1))  # [N, hidden]
    return torch.sigmoid(nn.functional.linear(hidden, w2, b2))  # [N, C]


@torch.fx.wrap  # its `if` stays closed to torch.fx, so that torchvision's feature extractor takes networks with SE
def scale(u: Tensor, s: Tensor) -> Tensor:
    """Scale, eq. 4: x̃_c = s_c u_c, each map multiplied by its gate.

    Args:
        u: feature maps [N, C, H, W].
        s: gates [N, C], or [N, C, H, W] for one gate a position (NoSqueeze).

    Returns:
        x̃ [N, C, H, W].

    Raises:
        ValueError: gates of another shape, which might be laid along the wrong axis.
    """
    n, c, *_ = u.shape
    if tuple(s.shape) not in ((n, c), (n, c, 1, 1), tuple(u.shape)):
        raise ValueError(f"gates {list(s.shape)} for maps {list(u.shape)}: asked are [N, C], or one a position")
    if s.dim() == 2:
        s = s[:, :, None, None]  # [N, C, 1, 1]
    return u * s


def hidden_width(channels: int, reduction: int, min_hidden: int = 1, called: str = "min_hidden") -> int:
    """Width of the layer between W₁ and W₂: max(C // r, min_hidden). `called` is what a message calls the last one.

    Raises:
        ValueError: r is below 1, or C // r is below 1 and `min_hidden` does not lift it to 1.
    """
    if reduction < 1:
        raise ValueError(f"the reduction ratio must be at least 1: C = {channels}, r = {reduction}")
    hidden = max(channels // reduction, min_hidden)
    if hidden < 1:
        raise ValueError(
            f"C // r leaves no hidden unit: C = {channels}, r = {reduction}, {called} = {min_hidden}; "
            f"take r <= {channels} or {called} >= 1"
        )
    return hidden


class SEBlock(nn.Module):
    """The SE block: squeeze, excite, scale (figure 1; eqs 2 to 4). In and out: [N, C, H, W].

    The hidden width is max(C // r, min_hidden). The last layer, `self.gate`, puts out the gates s: [N, C], or
    [N, C, H, W] with ``squeeze="none"``. A forward hook on it sees every gate.

    Args:
        channels: C.
        reduction: r, 16 in the paper.
        bias: biases in both layers. The released models have them, the paper's ablations have none.
        squeeze: "avg" (eq. 2), "max" (table 11), or "none": NoSqueeze (table 16), no pooling and a gate a position.
        gate: "sigmoid" (eq. 3), "tanh" or "relu" (table 12).
        min_hidden: floor of the hidden width, for narrow networks.

    Raises:
        ValueError: no hidden unit is left (see `hidden_width`), or `squeeze` or `gate` is not one of the above.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        bias: bool = True,
        squeeze: Squeeze = "avg",
        gate: Gate = "sigmoid",
        min_hidden: int = 1,
    ) -> None:
        super().__init__()
        if squeeze not in get_args(Squeeze):
            raise ValueError(f"squeeze is one of {get_args(Squeeze)}, not {squeeze!r}")
        if gate not in GATES:
            raise ValueError(f"gate is one of {tuple(GATES)}, not {gate!r}")
        hidden = hidden_width(channels, reduction, min_hidden)
        self.channels, self.reduction, self.squeeze = channels, reduction, squeeze
        self.fc1 = nn.Linear(channels, hidden, bias=bias)  # W₁ [hidden, C]
        self.fc2 = nn.Linear(hidden, channels, bias=bias)  # W₂ [C, hidden]
        self.gate = GATES[gate]()
        self.name = ""  # SE_{stage}_{block}, given by the network that holds the block
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He-normal W₁ and W₂ with standard deviation 1/√hidden, so that both layers keep the variance; biases 0."""
        nn.init.kaiming_normal_(self.fc1.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self.fc2.weight, nonlinearity="linear")
        for layer in (self.fc1, self.fc2):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, u: Tensor) -> Tensor:
        z = self.pool(u)  # [N, C]; NoSqueeze: [N, C, H, W]
        s = self.gates(z)  # [N, C]; NoSqueeze: [N, C, H, W]
        return scale(u, s)

    def pool(self, u: Tensor) -> Tensor:
        """What the two layers look at: z [N, C] of u [N, C, H, W]; with ``squeeze="none"``, u itself."""
        if self.squeeze == "avg":
            return squeeze(u)
        return u.amax(dim=(2, 3)) if self.squeeze == "max" else u

    def gates(self, z: Tensor) -> Tensor:
        """s of z, both [N, C]; with ``squeeze="none"`` both [N, C, H, W], and the layers act as 1×1 convolutions."""
        hidden = torch.relu(self.fc1(z.movedim(1, -1)))  # [N, hidden]; NoSqueeze: [N, H, W, hidden]
        return self.gate(self.fc2(hidden).movedim(-1, 1))

    def extra_repr(self) -> str:
        return f"channels={self.channels}, reduction={self.reduction}, squeeze={self.squeeze}"


Named = TypeVar("Named", bound=nn.Module)


def by_name(blocks: Iterable[Named]) -> dict[str, Named]:
    """Those of the blocks that have a name, by it; a ValueError if two have the same."""
    named: dict[str, Named] = {}
    for block in blocks:
        if (name := str(block.name)) in named:
            raise ValueError(f"two blocks are called {name}: look at one network at a time, or give places other names")
        if name:
            named[name] = block
    return named


def is_foreign(module: nn.Module) -> bool:
    """Whether a module is torchvision's or timm's SE block. Told by its class's name: timm need not be installed."""
    return type(module).__name__ in FOREIGN_SE


def is_se(module: nn.Module) -> bool:
    """Whether a module is an SE block, ours or another library's."""
    return isinstance(module, SEBlock) or is_foreign(module)


def foreign_gates(model: nn.Module) -> dict[str, nn.Module]:
    """For each SE block that torchvision or timm put into a network the layer that puts out its gates [N, C, 1, 1].

    The names are the blocks' places in the network: "SE_features_4_block_2" is ``model.features[4].block[2]``.

    Raises:
        ValueError: a block has no such layer, or two places have one name.
    """
    gates: dict[str, nn.Module] = {}
    for path, block in model.named_modules():
        if is_foreign(block):
            name = "SE_" + path.replace(".", "_")
            parts = [part for part in FOREIGN_GATES if hasattr(block, part)]
            if not parts:
                raise ValueError(f"{path or 'the module'}, a {type(block).__name__}, has no part {FOREIGN_GATES}")
            if name in gates:
                raise ValueError(f"two places are both called {name}")
            gates[name] = getattr(block, parts[0])
    return gates
