"""The residual networks for 32 x 32 images of He et al. (2016), section 4.2."""

from torch import Tensor, nn
from torch.nn import functional


class ResNet(nn.Module):
    """ResNet-(6 n + 2) in the layout of von Oswald et al. (2020): convolutions have biases, shortcuts are of type A.

    A stem of 16 channels, three stages of n blocks with 16, 32, 64 channels, global average pooling, one linear layer.
    With n = 5, three input channels and 60 outputs: 468,540 weights.
    """

    def __init__(self, channels: int, num_outputs: int, blocks: int) -> None:
        super().__init__()
        self.stem = _conv(channels, 16, stride=1)
        self.norm = nn.BatchNorm2d(16)
        width, stages = 16, []
        for units in (16, 32, 64):
            for block in range(blocks):
                stages.append(_Block(width, units, stride=2 if block == 0 and units != width else 1))
                width = units
        self.blocks = nn.Sequential(*stages)
        self.head = nn.Linear(width, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, num_outputs)."""
        activations = functional.relu(self.norm(self.stem(inputs)))
        return self.head(self.blocks(activations).mean(dim=(2, 3)))


class _Block(nn.Module):
    """conv, norm, ReLU, conv, norm, and the shortcut added before the last ReLU."""

    def __init__(self, inputs: int, units: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, units, stride)
        self.norm1 = nn.BatchNorm2d(units)
        self.conv2 = _conv(units, units, stride=1)
        self.norm2 = nn.BatchNorm2d(units)
        self.stride = stride
        self.missing = units - inputs

    def forward(self, inputs: Tensor) -> Tensor:
        residual = functional.relu(self.norm1(self.conv1(inputs)))
        residual = self.norm2(self.conv2(residual))
        return functional.relu(residual + self.shortcut(inputs))

    def shortcut(self, inputs: Tensor) -> Tensor:
        """Type A: every second pixel, missing channels filled with zeros on both sides."""
        if self.stride == 1 and not self.missing:
            return inputs
        before = self.missing // 2
        pixels = inputs[:, :, :: self.stride, :: self.stride]
        return functional.pad(pixels, (0, 0, 0, 0, before, self.missing - before))


def _conv(inputs: int, units: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, units, kernel_size=3, stride=stride, padding=1)
