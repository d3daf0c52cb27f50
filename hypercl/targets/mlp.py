"""Fully connected layers."""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from hypercl.activations import ACTIVATIONS
from hypercl.config import UserError, did_you_mean
from hypercl.config.models import MLP
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


def find_head(module: nn.Module, num_outputs: int, name: str | None) -> tuple[str, nn.Linear]:
    """The linear layer whose rows are the outputs, with its name in the module.

    A layer whose parameters are shared with another layer cannot be the head: a row would belong to more than an
    output.

    Args:
        module: the target.
        num_outputs: outputs the head must have.
        name: the layer, as `target.head` gives it; None takes the last linear layer that fits.

    Raises:
        UserError: there is no such layer, or it does not fit.
    """
    layers = {path: layer for path, layer in module.named_modules() if isinstance(layer, nn.Linear)}
    fitting = [path for path in layers if _fits(module, path, layers[path], num_outputs)]
    if name is None and fitting:
        return fitting[-1], layers[fitting[-1]]
    if name is not None and name in fitting:
        return name, layers[name]
    if name is None:
        what = f"no linear layer of {type(module).__name__} has {num_outputs} outputs and weights of its own"
        fix = "set target.head to the layer that makes the outputs, or method.regularizer.mask_heads: false"
    elif name in layers:
        what = f"target.head: '{name}' does not have {num_outputs} outputs and weights of its own"
        fix = f"allowed: {', '.join(fitting) or 'none'}"
    else:
        what = f"target.head: {type(module).__name__} has no linear layer '{name}'"
        fix = did_you_mean(name, list(layers)) or f"allowed: {', '.join(fitting) or 'none'}"
    sizes = ", ".join(
        f"{path or 'itself'} ({layer.in_features} to {layer.out_features})" for path, layer in layers.items()
    )
    raise UserError(f"{what}\n    linear layers: {sizes or 'none'}\n    fix:     {fix}")


def _fits(module: nn.Module, path: str, layer: nn.Linear, num_outputs: int) -> bool:
    names = [name for name, parameter in module.named_parameters(remove_duplicate=False) if parameter is layer.weight]
    return layer.out_features == num_outputs and names == [f"{path}.weight" if path else "weight"]
