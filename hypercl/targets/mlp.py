"""Fully connected layers."""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from hypercl.activations import ACTIVATIONS
from hypercl.config.models.target import MLP
from hypercl.targets.bundled import StackedLinear


class MLPNet(nn.Module):
    """Linear layers on the flattened input; the last layer is linear.

    After each hidden layer: batch normalisation if asked for, the activation, dropout if asked for.
    """

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
        self.activation = ACTIVATIONS[config.activation]
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, *input_shape) -> (batch, num_outputs)."""
        activations = inputs.flatten(-self._axes)
        *hidden, head = self.layers
        for layer, norm in zip(hidden, self.norms, strict=True):
            activations = self.dropout(self.activation(norm(layer(activations))))
        return head(activations)
