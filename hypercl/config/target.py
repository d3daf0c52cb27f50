"""`target`: the network whose weights are generated."""

from typing import Annotated, Any, Literal

from pydantic import Field

from hypercl.config.kinds import kinds
from hypercl.config.section import Count, Section

Activation = Literal["relu", "elu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"]


class MLP(Section):
    """Fully connected layers on the flattened input."""

    name: Literal["mlp"] = "mlp"
    hidden: tuple[Count, ...] = (400, 400)
    """Units of each hidden layer."""
    activation: Activation = "relu"
    """After each hidden layer."""


class ResNet32(Section):
    """The CIFAR ResNet of 32 layers: 16, 32, 64 channels, five blocks a stage, type A shortcuts."""

    name: Literal["resnet32"] = "resnet32"


class ImportedTarget(Section):
    """Any `nn.Module` by import path; it needs to know nothing of hypernetworks."""

    name: Literal["import"] = "import"
    path: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
    """`package.module:callable`, found beside the file, in the working directory, or installed."""
    outputs: str = "num_classes"
    """The callable's keyword that takes the number of outputs (all heads together)."""
    kwargs: dict[str, Any] = {}
    """Further keywords of the callable."""
    head: str | None = None
    """The linear layer that makes the outputs, by its name in the module; otherwise the last that fits."""


Target = kinds(MLP, ResNet32, ImportedTarget, default=MLP)
