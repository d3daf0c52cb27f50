"""Fully connected layers."""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from hypercl.activations import ACTIVATIONS


class MLPNet(nn.Module):
    """Linear layers on the flattened input, an activation between each two; the last layer is linear."""

    def __init__(
        self, input_shape: tuple[int, ...], hidden: tuple[int, ...], num_outputs: int, activation: str
    ) -> None:
        super().__init__()
        sizes = (prod(input_shape), *hidden, num_outputs)
        self.layers = nn.ModuleList(nn.Linear(inputs, units) for inputs, units in pairwise(sizes))
        self.activation = ACTIVATIONS[activation]

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, *input_shape) -> (batch, num_outputs)."""
        activations = inputs.flatten(1)
        *hidden, head = self.layers
        for layer in hidden:
            activations = self.activation(layer(activations))
        return head(activations)
