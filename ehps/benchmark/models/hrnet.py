"""HRNet that keeps all four of its resolutions: the trunk of SMPLer.

Paper: Sun et al., Deep High-Resolution Representation Learning for Human Pose Estimation, CVPR 2019; tensors bear the
names of the pose networks, but the last exchange keeps every branch and no final layer follows. (N, 3, h, w) -> four
maps of width, 2, 4 and 8 times width channels at 1/4, 1/8, 1/16 and 1/32 of the size. Width is 32 or 48.
"""

from __future__ import annotations

from torch import Tensor, nn

from ehps.benchmark.models.resnet import bottlenecks, start_convolutions

BLOCKS = 4  # in a row in every branch of a module


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) -> the same shape."""
        y = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(y)) + x)
        return out


class Exchange(nn.Module):
    """Each branch on its own for a while, then every branch becomes the sum of all, brought to its size."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        scales = range(len(widths))
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(width) for _ in range(BLOCKS))) for width in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(between(widths, source, target) for source in scales) for target in scales
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Branches, largest first -> the same shapes."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        out = []
        for layers in self.fuse_layers:
            assert isinstance(layers, nn.ModuleList)
            parts = [layer(x) for layer, x in zip(layers, maps, strict=True)]
            total = parts[0]
            for part in parts[1:]:
                total = total + part
            out.append(self.relu(total))
        return out


def between(widths: list[int], source: int, target: int) -> nn.Module:
    """From one branch to the size and width of another: repeated pixels up, convolutions of stride 2 down."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(widths[source], widths[target], 1, bias=False),
            nn.BatchNorm2d(widths[target]),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    halvings = [halving(widths[source], widths[source]) for _ in range(target - source - 1)]
    last = halving(widths[source], widths[target])[:2]  # the sum is rectified, not its parts
    return nn.Sequential(*halvings, last)


def halving(inputs: int, outputs: int) -> nn.Sequential:
    """3 x 3 convolution to half the size, normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class HRNet(nn.Module):
    """See the module docstring.

    Parameters
    ----------
    width : channels of the largest branch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = bottlenecks(64, 64, 4)
        same = nn.Sequential(
            nn.Conv2d(256, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        self.transition1 = nn.ModuleList((same, nn.Sequential(halving(256, widths[1]))))
        self.stage2 = nn.ModuleList(Exchange(widths[:2]) for _ in range(1))
        self.transition2 = nn.ModuleList((*(nn.Identity() for _ in range(2)), nn.Sequential(halving(*widths[1:3]))))
        self.stage3 = nn.ModuleList(Exchange(widths[:3]) for _ in range(4))
        self.transition3 = nn.ModuleList((*(nn.Identity() for _ in range(3)), nn.Sequential(halving(*widths[2:4]))))
        self.stage4 = nn.ModuleList(Exchange(widths) for _ in range(3))
        start_convolutions(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(N, 3, h, w) colours as ImageNet's -> four maps, largest first."""
        x = self.relu(self.bn1(self.conv1(image)))  # N x 64 x h / 2
        x = self.relu(self.bn2(self.conv2(x)))  # N x 64 x h / 4
        maps = [self.layer1(x)]  # N x 256 x h / 4
        for transition, stage in (
            (self.transition1, self.stage2),
            (self.transition2, self.stage3),
            (self.transition3, self.stage4),
        ):
            # the new branch begins from the smallest
            maps = [layer(x) for layer, x in zip(transition, [*maps, maps[-1]], strict=True)]
            for module in stage:
                maps = module(maps)
        return maps
