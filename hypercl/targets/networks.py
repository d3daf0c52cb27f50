"""Built-in target networks; their inputs are (batch, *input_shape), their outputs (batch, num_outputs), all heads."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from hypercl.config import UserError
from hypercl.config.models import MLP, LeNet, ResNet18, WideResNet, ZenkeNet


def require_images(name: str, input_shape: tuple[int, ...]) -> None:
    """Raises a UserError unless inputs are of shape (channels, height, width)."""
    if len(input_shape) != 3:
        raise UserError(f"target: {name} reads images (channels, height, width), not inputs of shape {input_shape}")


def pooled_pixels(name: str, input_shape: tuple[int, ...], minimum: int, removed: Sequence[int]) -> int:
    """Pixels of a channel after rounds of convolutions and 2 x 2 pooling; a UserError unless images are large enough.

    The convolutions of a round remove `removed` pixels from height and width, before its pooling.
    """
    require_images(name, input_shape)
    _, height, width = input_shape
    if min(height, width) < minimum:
        raise UserError(
            f"target: {name} needs images of at least {minimum} x {minimum} pixels, not {height} x {width}\n"
            "    fix:     use target mlp or resnet32, or larger images"
        )
    for pixels in removed:
        height, width = (height - pixels) // 2, (width - pixels) // 2
    return height * width


class StackedLinear(nn.Linear):
    """A linear layer whose weights may also be stacked: (bundle, units, inputs), with inputs (bundle, batch, inputs).

    One batched product that includes the bias. On a CPU core it was 10 to 30 % faster than torch.vmap, which adds the
    bias separately (784-400-400-10, batch 128, 4 replicas), and half a millisecond a step cheaper to dispatch. Inputs
    (batch, inputs) are shared by the bundle.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.dim() == 2:
            return super().forward(input)
        shared = input.expand(len(self.weight), *input.shape[-2:])
        return torch.baddbmm(self.bias.unsqueeze(1), shared, self.weight.transpose(1, 2))


class MLPNet(nn.Module):
    """Linear layers on the flattened input; after each hidden one optional batch normalisation, activation, dropout."""

    def __init__(self, config: MLP, input_shape: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        sizes = (prod(input_shape), *config.hidden, num_outputs)
        self.takes_stacked_weights = not config.batch_norm
        """Whether the weights may also be (bundle, ...) and the inputs (bundle, batch, *input_shape)."""
        self._axes = len(input_shape)
        self.layers = nn.ModuleList(StackedLinear(inputs, units) for inputs, units in pairwise(sizes))
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(units) if config.batch_norm else nn.Identity() for units in config.hidden
        )
        self.activation = getattr(functional, config.activation)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        activations = inputs.flatten(-self._axes)
        *hidden, head = self.layers
        for layer, norm in zip(hidden, self.norms, strict=True):
            activations = self.dropout(self.activation(norm(layer(activations))))
        return head(activations)


class LeNetModule(nn.Module):
    """Twice a 5 x 5 convolution, ReLU and 2 x 2 max pooling; then a hidden layer, dropout and one linear layer.

    The network of LeCun et al. (1998) with ReLU and max pooling; images of at least 16 x 16 pixels.
    """

    def __init__(self, config: LeNet, input_shape: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        pixels = pooled_pixels(config.name, input_shape, minimum=16, removed=(4, 4))
        first, second = config.channels
        self.conv1 = nn.Conv2d(input_shape[0], first, kernel_size=5)
        self.conv2 = nn.Conv2d(first, second, kernel_size=5)
        self.hidden = nn.Linear(second * pixels, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        activations = functional.max_pool2d(functional.relu(self.conv1(inputs)), 2)
        activations = functional.max_pool2d(functional.relu(self.conv2(activations)), 2)
        return self.head(self.dropout(functional.relu(self.hidden(activations.flatten(1)))))


class ZenkeNetModule(nn.Module):
    """Two pairs of 3 x 3 convolutions (32, then 64 channels), then 512 hidden units and one linear layer.

    The first convolution of a pair is padded, the second is not; each has a ReLU, and a pair ends in 2 x 2 max pooling
    and dropout of whole channels. Images of at least 10 x 10 pixels; with 32 x 32 colour images and 60 outputs:
    1,276,508 weights.
    """

    def __init__(self, config: ZenkeNet, input_shape: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        pixels = pooled_pixels(config.name, input_shape, minimum=10, removed=(2, 2))
        self.conv1 = nn.Conv2d(input_shape[0], 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 32, kernel_size=3)
        self.conv3 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(64, 64, kernel_size=3)
        self.conv_dropout = nn.Dropout2d(config.conv_dropout)
        self.hidden = nn.Linear(64 * pixels, 512)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(512, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        activations = inputs
        for padded, unpadded in ((self.conv1, self.conv2), (self.conv3, self.conv4)):
            activations = functional.relu(unpadded(functional.relu(padded(activations))))
            activations = self.conv_dropout(functional.max_pool2d(activations, 2))
        return self.head(self.dropout(functional.relu(self.hidden(activations.flatten(1)))))


class ResNet(nn.Module):
    """ResNet-(6 n + 2) in the layout of von Oswald et al. (2020): convolutions have biases, shortcuts are of type A.

    A stem of 16 channels, three stages of n blocks with 16, 32, 64 channels, global average pooling, one linear layer.
    With n = 5, three input channels and 60 outputs: 468,540 weights.
    """

    def __init__(self, channels: int, num_outputs: int, blocks: int) -> None:
        super().__init__()
        self.stem = _conv(channels, 16, stride=1)
        self.norm = nn.BatchNorm2d(16)
        widths = (16, *(units for units in (16, 32, 64) for _ in range(blocks)))
        stages = [_Block(width, units, 1 if units == width else 2) for width, units in pairwise(widths)]
        self.blocks = nn.Sequential(*stages)
        self.head = nn.Linear(64, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
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
        return functional.relu(self.norm2(self.conv2(residual)) + self.shortcut(inputs))

    def shortcut(self, inputs: Tensor) -> Tensor:
        """Type A: every second pixel, missing channels filled with zeros on both sides."""
        if self.stride == 1 and not self.missing:
            return inputs
        before = self.missing // 2
        pixels = inputs[:, :, :: self.stride, :: self.stride]
        return functional.pad(pixels, (0, 0, 0, 0, before, self.missing - before))


def _conv(inputs: int, units: int, stride: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, units, kernel_size=3, stride=stride, padding=1, bias=bias)


def resnet18(config: ResNet18, input_shape: tuple[int, ...], num_outputs: int) -> nn.Module:
    """torchvision's ResNet-18 for images of any number of channels, with the stem of the config."""
    require_images(config.name, input_shape)
    # Imported here: torchvision takes a second, which other targets save.
    from torchvision import models

    network = models.resnet18(weights=None, num_classes=num_outputs)
    if config.stem == "small":
        network.conv1 = _conv(input_shape[0], 64, stride=1, bias=False)
        network.add_module("maxpool", nn.Identity())
    elif input_shape[0] != 3:
        network.conv1 = nn.Conv2d(input_shape[0], 64, kernel_size=7, stride=2, padding=3, bias=False)
    return network


class WideResNetModule(nn.Module):
    """WRN-(6 n + 4)-k: a stem of 16 channels, three groups of n blocks with 16 k, 32 k and 64 k channels.

    Groups two and three halve height and width. Normalisation and ReLU come before each convolution and once more
    before the global average pooling. Convolutions have no biases. With n = 4, k = 10, colour images and ten outputs:
    36,479,194 weights.
    """

    def __init__(self, config: WideResNet, input_shape: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        require_images(config.name, input_shape)
        self.stem = _conv(input_shape[0], 16, stride=1, bias=False)
        width, blocks = 16, list[nn.Module]()
        for group, units in enumerate((16 * config.width, 32 * config.width, 64 * config.width)):
            for block in range(config.blocks):
                blocks.append(_WideBlock(width, units, 2 if group and not block else 1, config.dropout))
                width = units
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        activations = functional.relu(self.norm(self.blocks(self.stem(inputs))))
        return self.head(activations.mean(dim=(2, 3)))


class _WideBlock(nn.Module):
    """norm, ReLU, conv, norm, ReLU, dropout, conv, and the input added; a 1 x 1 convolution where the shape changes."""

    def __init__(self, inputs: int, units: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = _conv(inputs, units, stride, bias=False)
        self.norm2 = nn.BatchNorm2d(units)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = _conv(units, units, stride=1, bias=False)
        self.shortcut = None
        if inputs != units or stride != 1:
            self.shortcut = nn.Conv2d(inputs, units, kernel_size=1, stride=stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        activations = functional.relu(self.norm1(inputs))
        passed = inputs if self.shortcut is None else self.shortcut(activations)
        residual = functional.relu(self.norm2(self.conv1(activations)))
        return passed + self.conv2(self.dropout(residual))
