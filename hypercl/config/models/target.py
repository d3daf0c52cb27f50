"""`target`: the network whose weights are generated."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hypercl.config.models.section import Flag, Fraction, ImportPath, Kinds, Section, Units

Activation = Literal["relu", "elu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"]


class MLP(Section):
    """Fully connected layers on the flattened input."""

    name: Literal["mlp"] = "mlp"
    hidden: tuple[Units, ...] = (400, 400)
    """Units of each hidden layer. Source: von Oswald et al. (2020), Split MNIST."""
    activation: Activation = "relu"
    """After each hidden layer."""
    dropout: Fraction = 0.0
    """Share of the units of each hidden layer dropped in training, after the activation."""
    batch_norm: Flag = False
    """Batch normalisation of each hidden layer, before the activation; generated, it keeps statistics for each task."""

    @model_validator(mode="after")
    def _something_hidden(self) -> "MLP":
        if not self.hidden and (self.dropout or self.batch_norm):
            raise ValueError("dropout and batch_norm are of hidden layers, and there are none: hidden is []")
        return self


class LeNet(Section):
    """Two 5 x 5 convolutions, each with max pooling, and a hidden layer (LeCun et al., 1998, as hypnettorch has it).

    The defaults have 431,080 weights on 28 x 28 grey images with ten outputs. `channels: [10, 20], hidden: 50` is the
    small layout (21,840), `channels: [192, 192], hidden: 1000` the one for CIFAR (5,747,394).
    """

    name: Literal["lenet"] = "lenet"
    channels: tuple[Units, Units] = (20, 50)
    """Channels of the two convolutions."""
    hidden: Units = 500
    """Units of the hidden layer."""
    dropout: Fraction = 0.0
    """Share of the hidden layer's units dropped in training."""


class ZenkeNet(Section):
    """Four 3 x 3 convolutions and a hidden layer of 512 units: the network of Zenke et al. (2017) for Split CIFAR."""

    name: Literal["zenkenet"] = "zenkenet"
    conv_dropout: Fraction = 0.25
    """Share of the channels dropped in training after each pair of convolutions; the paper's value."""
    dropout: Fraction = 0.5
    """Share of the hidden layer's units dropped in training; the paper's value."""


class ResNet32(Section):
    """The CIFAR ResNet of 32 layers: 16, 32, 64 channels, five blocks a stage, type A shortcuts."""

    name: Literal["resnet32"] = "resnet32"


class WideResNet(Section):
    """The wide residual network of Zagoruyko & Komodakis (2016), pre-activation; the defaults are WRN-28-10."""

    name: Literal["wide_resnet"] = "wide_resnet"
    blocks: Units = 4
    """Residual blocks in each of the three groups: 6 x blocks + 4 layers."""
    width: Units = 10
    """The groups have 16, 32, 64 channels times this."""
    dropout: Fraction = 0.0
    """Share of the activations dropped in training between the two convolutions of a block; the authors use 0.3."""


class ResNet18(Section):
    """torchvision's ResNet of 18 layers (He et al., 2016): 64 to 512 channels, 11,173,962 weights with ten outputs."""

    name: Literal["resnet18"] = "resnet18"
    stem: Literal["small", "large"] = "small"
    """First layers. small: a 3 x 3 convolution, as is usual for images of 32 to 64 pixels; large: a 7 x 7 convolution
    of stride 2 and max pooling, for ImageNet."""


class LSTM(Section):
    """Layers of long short-term memory (Hochreiter and Schmidhuber, 1997) on sequences, or on the rows of an image."""

    name: Literal["lstm"] = "lstm"
    hidden: Annotated[tuple[Units, ...], Field(min_length=1)] = (128,)
    """Units of each layer."""
    predicts: Literal["last", "each_step"] = "last"
    """last: a class for a sequence, after its last step; each_step: one at each step, which tasks copy need."""


class Transformer(Section):
    """A small transformer encoder on the patches of an image, or on the steps of a sequence; classifies their mean."""

    name: Literal["transformer"] = "transformer"
    width: Units = 64
    """Numbers of a token, a multiple of heads."""
    layers: Units = 2
    """Blocks of self-attention and a hidden layer of 4 x width units."""
    heads: Units = 4
    """Heads of self-attention."""
    patch: Units = 4
    """Height and width in pixels of the patches of an image, which are its tokens."""
    dropout: Fraction = 0.0
    """Share of a block's additions dropped in training."""

    @model_validator(mode="after")
    def _whole_heads(self) -> "Transformer":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}: make it one")
        return self


class ImportedTarget(Section):
    """Any `nn.Module` by import path; it need not know about hypernetworks."""

    name: Literal["import"] = "import"
    path: ImportPath
    """`package.module:callable`, found beside the file, in the working directory, or installed."""
    outputs: str = "num_classes"
    """The callable's keyword that takes the number of outputs (all heads together)."""
    kwargs: dict[str, Any] = {}
    """Further keywords of the callable."""
    head: str | None = None
    """The linear layer that makes the outputs, by its name in the module; otherwise the last that fits."""


Target = Annotated[
    MLP | LeNet | ZenkeNet | ResNet18 | ResNet32 | WideResNet | LSTM | Transformer | ImportedTarget, Kinds(default=MLP)
]
