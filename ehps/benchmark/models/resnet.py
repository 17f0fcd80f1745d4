"""ResNet-50 without its classifier: the trunk of PyMAF.

Paper: He et al., Deep Residual Learning, CVPR 2016; the stride stands on the 3 x 3 convolution, as in torchvision,
whose names the tensors bear. (N, 3, h, w) -> (N, 2048, h / 32, w / 32).
"""

from __future__ import annotations

from torch import Tensor, nn


class Bottleneck(nn.Module):
    """1 x 1 to ``width`` channels, 3 x 3, 1 x 1 to four times as many; added to the input.

    The input is projected where channels or size change.
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = self.expansion * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, 4 width, h / stride, w / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        out: Tensor = self.relu(y + (x if self.downsample is None else self.downsample(x)))
        return out


def bottlenecks(inputs: int, width: int, count: int, stride: int = 1) -> nn.Sequential:
    """``count`` blocks in a row, the first with the stride."""
    first = Bottleneck(inputs, width, stride)
    return nn.Sequential(first, *(Bottleneck(4 * width, width) for _ in range(count - 1)))


class ResNet50(nn.Module):
    """See the module docstring."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = bottlenecks(64, 64, 3)
        self.layer2 = bottlenecks(256, 128, 4, stride=2)
        self.layer3 = bottlenecks(512, 256, 6, stride=2)
        self.layer4 = bottlenecks(1024, 512, 3, stride=2)
        start_convolutions(self)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, h, w) colours as ImageNet's -> (N, 2048, h / 32, w / 32)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))  # N x 64 x h / 4
        x = self.layer2(self.layer1(x))  # N x 512 x h / 8
        out: Tensor = self.layer4(self.layer3(x))
        return out


def start_convolutions(network: nn.Module) -> None:
    """He's start of all convolutions for training from nothing; normalisations begin at one and zero by themselves."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
