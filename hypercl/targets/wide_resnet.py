"""The wide residual networks of Zagoruyko & Komodakis (2016)."""

from torch import Tensor, nn
from torch.nn import functional

from hypercl.config.models.target import WideResNet
from hypercl.targets.images import require_images


class WideResNetModule(nn.Module):
    """WRN-(6 n + 4)-k: a stem of 16 channels, three groups of n blocks with 16 k, 32 k and 64 k channels.

    Groups two and three halve height and width. Normalisation and ReLU come before each convolution and once more
    before the global average pooling. Convolutions have no biases. With n = 4, k = 10, colour images and ten outputs:
    36,479,194 weights.

    Args:
        config: blocks a group, widening, dropout.
        input_shape: (channels, height, width).
        num_outputs: outputs, all heads together.

    Raises:
        UserError: the inputs are no images.
    """

    def __init__(self, config: WideResNet, input_shape: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        require_images(config.name, input_shape)
        self.stem = _conv(input_shape[0], 16, stride=1)
        width, blocks = 16, []
        for group, units in enumerate((16 * config.width, 32 * config.width, 64 * config.width)):
            for block in range(config.blocks):
                blocks.append(_Block(width, units, 2 if group and not block else 1, config.dropout))
                width = units
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, num_outputs)."""
        activations = functional.relu(self.norm(self.blocks(self.stem(inputs))))
        return self.head(activations.mean(dim=(2, 3)))


class _Block(nn.Module):
    """norm, ReLU, conv, norm, ReLU, dropout, conv, and the input added; a 1 x 1 convolution where the shape changes."""

    def __init__(self, inputs: int, units: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = _conv(inputs, units, stride)
        self.norm2 = nn.BatchNorm2d(units)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = _conv(units, units, stride=1)
        self.shortcut = None
        if inputs != units or stride != 1:
            self.shortcut = nn.Conv2d(inputs, units, kernel_size=1, stride=stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        activations = functional.relu(self.norm1(inputs))
        passed = inputs if self.shortcut is None else self.shortcut(activations)
        residual = functional.relu(self.norm2(self.conv1(activations)))
        return passed + self.conv2(self.dropout(residual))


def _conv(inputs: int, units: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, units, kernel_size=3, stride=stride, padding=1, bias=False)
