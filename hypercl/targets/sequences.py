"""Targets that read sequences: an LSTM, and a transformer that also reads the patches of an image."""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from hypercl.config import UserError
from hypercl.config.models import LSTM, Transformer
from hypercl.targets.networks import StackedLinear


def sequence_shape(name: str, input_shape: tuple[int, ...]) -> tuple[int, int]:
    """Steps and numbers a step of an input (steps, features), or of an image, whose rows are the steps."""
    if len(input_shape) == 2:
        return input_shape[0], input_shape[1]
    if len(input_shape) == 3:
        return input_shape[1], input_shape[0] * input_shape[2]
    raise UserError(
        f"target: {name} reads sequences (steps, features) or images (channels, height, width), not inputs of shape "
        f"{input_shape}"
    )


class LSTMNet(nn.Module):
    """Layers of long short-term memory, and one linear layer on their last state, or on that of each step.

    In each layer, with [.,.] the input and the state before, and * element by element:

        i, f, o = sigmoid(W [x_t, h_t-1] + b), g = tanh(W_g [x_t, h_t-1] + b_g)
        c_t = f * c_t-1 + i * g, h_t = o * tanh(c_t)

    The network's own forget biases begin at 1. Source: Hochreiter and Schmidhuber (1997), Gers et al. (2000).
    """

    takes_stacked_weights = True
    """Weights may also be (bundle, ...) and the inputs (bundle, batch, *input_shape)."""

    def __init__(self, config: LSTM, input_shape: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        steps, features = sequence_shape(config.name, input_shape)
        self.output_steps = steps if config.predicts == "each_step" else 0
        """Steps of the outputs (batch, steps, num_outputs); 0: they are (batch, num_outputs)."""
        self._images = len(input_shape) == 3
        sizes = (features, *config.hidden)
        self.cells = nn.ModuleList(StackedLinear(inputs + units, 4 * units) for inputs, units in pairwise(sizes))
        self.head = StackedLinear(sizes[-1], num_outputs)
        with torch.no_grad():
            for cell, units in zip(self.cells, config.hidden, strict=True):
                assert isinstance(cell, StackedLinear)
                cell.bias[units : 2 * units] = 1.0

    def forward(self, inputs: Tensor) -> Tensor:
        sequence = inputs.transpose(-3, -2).flatten(-2) if self._images else inputs
        states = list(sequence.unbind(-2))
        for cell in self.cells:
            assert isinstance(cell, StackedLinear)
            units = cell.weight.shape[-2] // 4
            state = memory = states[0].new_zeros(*cell.weight.shape[:-2], states[0].shape[-2], units)
            for step, entering in enumerate(states):
                entering = entering.expand(*state.shape[:-1], -1)
                gates = cell(torch.cat([entering, state], -1)).unflatten(-1, (4, units))
                kept, forgotten, shown = torch.sigmoid(gates[..., :3, :]).unbind(-2)
                memory = forgotten * memory + kept * torch.tanh(gates[..., 3, :])
                states[step] = state = shown * torch.tanh(memory)
        if not self.output_steps:
            return self.head(states[-1])
        return self.head(torch.stack(states, -2).flatten(-3, -2)).unflatten(-2, (-1, self.output_steps))


class TransformerNet(nn.Module):
    """An encoder of self-attention on the patches of an image or the steps of a sequence; classifies their mean.

    Layer normalisation precedes attention and the hidden layer of each block, whose results are added to their inputs.
    Source: Vaswani et al. (2017), Dosovitskiy et al. (2021).
    """

    def __init__(self, config: Transformer, input_shape: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        self._patch = config.patch if len(input_shape) == 3 else 0
        tokens, size = sequence_shape(config.name, input_shape)
        if self._patch:
            channels, *sides = input_shape
            if any(side % self._patch for side in sides):
                raise UserError(
                    f"target.patch: {self._patch} does not divide images of {sides[0]} x {sides[1]} pixels\n"
                    "    fix:     give a divisor of both sides"
                )
            tokens, size = prod(side // self._patch for side in sides), channels * self._patch**2
        self.embed = nn.Linear(size, config.width)
        self.positions = nn.Parameter(0.02 * torch.randn(tokens, config.width))
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.embed(_patches(inputs, self._patch) if self._patch else inputs) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens).mean(1))


def _patches(images: Tensor, side: int) -> Tensor:
    """(batch, channels, height, width) -> (batch, patches, channels * side * side)."""
    rows = images.unflatten(3, (-1, side)).unflatten(2, (-1, side))  # (batch, channels, down, side, across, side)
    return rows.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


class _Block(nn.Module):
    """Attention among tokens, then a hidden layer of each token."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        width = config.width
        self._heads = config.heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.hidden, self.out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.dropout(self._attended(self.norm1(tokens)))
        return tokens + self.dropout(self.out(functional.gelu(self.hidden(self.norm2(tokens)))))

    def _attended(self, tokens: Tensor) -> Tensor:
        parts = self.attention(tokens).unflatten(-1, (3, self._heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)  # (batch, heads, tokens, width of a head)
        shares = torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, -1)
        return self.mixed((shares @ value).transpose(1, 2).flatten(2))
