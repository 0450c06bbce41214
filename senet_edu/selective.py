"""The selective-kernel convolution: split, fuse, select as functions of tensors, and one module that does the same.

The module fuses with `nn.Linear` layers and not with `fuse`, so that optimisers, hooks and counters find its weights;
tests hold the two to each other.

Paper: Li, Wang, Hu, Yang, "Selective Kernel Networks", arXiv 1903.06586. Equation and table numbers are that paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from senet_edu.blocks import by_name, hidden_width, squeeze


def split(x: Tensor, branches: Iterable[Callable[[Tensor], Tensor]]) -> list[Tensor]:
    """Split: the same map seen through M kernels, Ũ = F̃(X), Û = F̂(X), …

    Args:
        x: feature maps [N, C', H', W'].
        branches: M functions, each a convolution with its BN and ReLU.

    Returns:
        M maps [N, C, H, W].
    """
    return [branch(x) for branch in branches]


def fuse(maps: Sequence[Tensor], w: Tensor, norm: Callable[[Tensor], Tensor]) -> Tensor:
    """Fuse, eqs 1 to 3: U = Σ_m U_m, s = the mean of each channel of U, z = δ(B(W s)).

    Args:
        maps: M maps [N, C, H, W].
        w: W [d, C], d = max(C/r, L) (eq. 4).
        norm: B, batch normalisation of [N, d].

    Returns:
        z [N, d].
    """
    u = add(maps)  # [N, C, H, W]
    s = squeeze(u)  # [N, C]
    return torch.relu(norm(nn.functional.linear(s, w)))  # [N, d]


@torch.fx.wrap  # closed to torch.fx as `scale` is, for torchvision's feature extractor
def select(maps: Sequence[Tensor], a: Tensor) -> Tensor:
    """Select, eq. 6: V_c = Σ_m a_mc · U_mc.

    Args:
        maps: M maps [N, C, H, W].
        a: attention [N, M, C], softmax over M (eq. 5).

    Returns:
        V [N, C, H, W].
    """
    weights = a[..., None, None].to(maps[0].dtype).unbind(1)  # M of [N, C, 1, 1]; autocast leaves a in float32
    return add([weight * u for weight, u in zip(weights, maps, strict=True)])


def add(maps: Sequence[Tensor]) -> Tensor:
    """The sum of M tensors of one shape."""
    return sum(maps[1:], start=maps[0])


class BranchConv2d(nn.Conv2d):
    """A convolution that avoids a wrong gradient: if grouped, dilated and in bfloat16, on a CPU in the NCHW layout.

    In channels_last, the layout of the batches of `training.fit`, PyTorch 2.15's weight gradient of such a convolution
    in bfloat16 is garbage on a CPU, often not a number. Zeros are its only padding. (Seen at 32×32 with stride 1 on an
    AMD EPYC; without groups, or without dilation, it is right.) Compiled code chooses its layouts itself; there it
    computes in float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        return branch_conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


@torch.fx.wrap
def branch_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: str | tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    """`nn.functional.conv2d` for `BranchConv2d`, which says what it avoids."""
    bf16 = x.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")
    if not bf16 or x.device.type != "cpu" or groups == 1 or dilation == (1, 1):
        return nn.functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
    if torch.compiler.is_compiling():
        with torch.autocast("cpu", enabled=False):
            whole, w = x.float(), weight.float()
            return nn.functional.conv2d(whole, w, bias, stride, padding, dilation, groups).to(x.dtype)
    x, weight = x.contiguous(), weight.contiguous()
    return nn.functional.conv2d(x, weight, bias, stride, padding, dilation, groups)


class SKConv(nn.Module):
    """The SK convolution, SK[M, G, r] (figure 1; eqs 1 to 6). In: [N, C', H', W'], out: [N, C, H, W].

    A branch is a grouped 3×3 convolution, BN and ReLU; with dilation D it sees as far as a (2D+1)×(2D+1) kernel. The
    last step of the attention, `self.attention`, puts out the weights a: [N, M, C]. A forward hook on it sees them.
    As in the released models no layer has a bias: the BNs have them, and softmax would cancel one that branches share.

    Args:
        channels: C', of the input.
        out_channels: C, of the output; None for as many.
        branches: M.
        groups: G, for all branches or one a branch.
        reduction: r.
        min_width: L, the least d.
        stride: of every branch.
        dilations: D of each branch; None for 1, 2, …, M, the paper's kernels K3, K5, K7.
        attention: False adds the branches up, the paper's baseline. One branch has no attention either.

    Raises:
        ValueError: no branch, not as many dilations or groups as branches, groups that do not divide the channels, a
            stride or dilation below 1, no hidden unit, or (from BN, in training) a batch of one image, which has no
            variance.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int | None = None,
        branches: int = 2,
        groups: int | Sequence[int] = 32,
        reduction: int = 16,
        min_width: int = 32,
        stride: int = 1,
        dilations: Sequence[int] | None = None,
        attention: bool = True,
    ) -> None:
        super().__init__()
        out_channels = channels if out_channels is None else out_channels
        self.dilations = tuple(range(1, branches + 1) if dilations is None else dilations)
        self.groups = (groups,) * branches if isinstance(groups, int) else tuple(groups)
        if not branches == len(self.dilations) == len(self.groups) > 0:
            raise ValueError(
                f"branches = {branches}, at least 1, but dilations {self.dilations} and groups {self.groups}: "
                "give one of each for every branch"
            )
        if stride < 1 or min(self.dilations) < 1:
            raise ValueError(f"stride = {stride} and dilations {self.dilations}: whole numbers, at least 1")
        if odd := [g for g in self.groups if g < 1 or channels % g or out_channels % g]:
            raise ValueError(f"groups of {odd} do not divide {channels} channels in and {out_channels} out")
        self.branches = nn.ModuleList(
            nn.Sequential(
                BranchConv2d(channels, out_channels, 3, stride, padding=d, dilation=d, groups=g, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
            )
            for d, g in zip(self.dilations, self.groups, strict=True)
        )
        self.channels, self.attends = out_channels, attention and branches > 1
        if self.attends:
            width = hidden_width(out_channels, reduction, min_width, called="min_width")  # d
            self.fc1 = nn.Linear(out_channels, width, bias=False)  # W [d, C]
            self.norm = nn.BatchNorm1d(width)  # B
            self.fc2 = nn.Linear(width, branches * out_channels, bias=False)  # A, B, … of eq. 5, one below the other
            self.attention = nn.Softmax(dim=1)  # over branches
        self.name = ""  # SK_{stage}_{block}, given by the network that holds the unit
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He-normal convolutions and W; A, B, … with standard deviation 1/√d, so that attention differs by image."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if self.attends:
            nn.init.kaiming_normal_(self.fc1.weight, nonlinearity="relu")
            nn.init.kaiming_normal_(self.fc2.weight, nonlinearity="linear")

    def forward(self, x: Tensor) -> Tensor:
        maps = split(x, self.branches)  # M of [N, C, H, W]
        if not self.attends:
            return add(maps)
        s = squeeze(add(maps))  # [N, C], eqs 1 and 2
        z = torch.relu(self.norm(self.fc1(s)))  # [N, d], eq. 3
        logits = self.fc2(z).unflatten(1, (-1, self.channels))  # [N, M, C]
        a = self.attention(logits)  # [N, M, C], eq. 5
        return select(maps, a)

    def extra_repr(self) -> str:
        return f"dilations={self.dilations}, groups={self.groups}, attention={self.attends}"


def sk_blocks(model: nn.Module) -> dict[str, SKConv]:
    """The SK convolutions of a network by the paper's names, SK_2_1 to SK_5_3 in SKNet-50, in order of depth.

    Raises:
        ValueError: two have one name.
    """
    return by_name(m for m in model.modules() if isinstance(m, SKConv))
