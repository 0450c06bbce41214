"""Pre-activation ResNets for CIFAR: He, Zhang, Ren, Sun, "Identity Mappings in Deep Residual Networks" (1603.05027).

ResNet-110 and ResNet-164 of the SENet paper's tables 4 and 5. BN and ReLU come before each convolution, so that the
skip is never touched. There are three stages, numbered 2 to 4, at 32×32, 16×16 and 8×8.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from senet_edu.models.parts import he_normal, named_se, scaled
from senet_edu.models.registry import MakeSE


class PreActUnit(nn.Module):
    """BN, ReLU and a convolution, two or three times, and a skip. SE on the branch, after its last convolution.

    Where the number of channels changes, the skip is a 1×1 convolution that shares the first BN and ReLU with the
    branch, as in the authors' code; elsewhere it is the input itself.

    Args:
        in_channels: of the input.
        convolutions: of the branch; the first has the stride.
        se: an SE block, or `nn.Identity()`.
    """

    def __init__(self, in_channels: int, convolutions: list[nn.Conv2d], se: nn.Module) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(conv.in_channels) for conv in convolutions)
        self.convs = nn.ModuleList(convolutions)
        self.se = se
        out_channels, stride = convolutions[-1].out_channels, convolutions[0].stride
        self.projection = (
            nn.Conv2d(in_channels, out_channels, 1, stride, bias=False) if in_channels != out_channels else None  # type: ignore[arg-type]
        )

    def forward(self, x: Tensor) -> Tensor:
        u = torch.relu(self.norms[0](x))
        skip = x if self.projection is None else self.projection(u)
        u = self.convs[0](u)
        for norm, conv in zip(self.norms[1:], self.convs[1:], strict=True):
            u = conv(torch.relu(norm(u)))
        return self.se(u) + skip


def basic(in_channels: int, width: int, stride: int) -> list[nn.Conv2d]:
    """Two 3×3 convolutions."""
    return [
        nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False),
        nn.Conv2d(width, width, 3, 1, padding=1, bias=False),
    ]


def bottleneck(in_channels: int, width: int, stride: int) -> list[nn.Conv2d]:
    """1×1 (which has the stride, as in the authors' code), 3×3 and 1×1 convolutions."""
    return [
        nn.Conv2d(in_channels, width, 1, stride, bias=False),
        nn.Conv2d(width, width, 3, 1, padding=1, bias=False),
        nn.Conv2d(width, 4 * width, 1, bias=False),
    ]


class PreActResNet(nn.Module):
    """A pre-activation ResNet for images [N, in_channels, H, W]; logits [N, num_classes].

    Args:
        num_classes: number of logits.
        in_channels: channels of the input images.
        make_se: makes the SE block for so many channels; None for a plain network.
        convolutions: `basic` or `bottleneck`, those of a unit's branch.
        depth: units a stage: 18 in ResNet-110 and ResNet-164.
        width: factor on the 16, 32, 64 channels of the 3×3 convolutions.
        stages: those with SE.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        make_se: MakeSE | None = None,
        *,
        convolutions: Callable[[int, int, int], list[nn.Conv2d]],
        depth: int = 18,
        width: float = 1.0,
        stages: Collection[int] = (2, 3, 4),
    ) -> None:
        super().__init__()
        channels, *_ = widths = scaled((16, 32, 64), width)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, 1, padding=1, bias=False)
        for stage, stage_width in enumerate(widths, start=2):
            units = []
            for i in range(1, depth + 1):
                branch = convolutions(channels, stage_width, 2 if stage > 2 and i == 1 else 1)
                out_channels = branch[-1].out_channels
                units.append(PreActUnit(channels, branch, named_se(make_se, stages, out_channels, stage, i)))
                channels = out_channels
            setattr(self, f"layer{stage - 1}", nn.Sequential(*units))
        self.norm = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, num_classes)
        he_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)  # [N, 16, H, W]
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = torch.relu(self.norm(x)).mean(dim=(2, 3))  # [N, C]
        return self.fc(x)
