"""Context modulation: a gain and a shift for each unit of a target."""

from typing import Any

import torch
from torch import Tensor, nn

from hypercl.config import UserError

MODULATION = "modulation"
"""Name of the gains and shifts within their layer."""


class Modulation(nn.Module):
    """(1 + gain) x + shift of each unit or channel of a layer's outputs, before anything that follows.

    With gain and shift 0, as they begin, the layer is what it was. Source: Masse et al. (2018) for gains, Perez et al.
    (2018) for both.
    """

    def __init__(self, units: int, channels_first: bool) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(units))
        self.shift = nn.Parameter(torch.zeros(units))
        self.channels_first = channels_first

    def hook(self, layer: nn.Module, inputs: Any, outputs: Tensor) -> Tensor:
        """Replaces a layer's outputs, (..., units) or (batch, channels, ...)."""
        gain, shift = self.gain, self.shift
        if self.channels_first:
            axes = (1,) * (outputs.ndim - 2)
            gain, shift = gain.reshape(-1, *axes), shift.reshape(-1, *axes)
        return (1 + gain) * outputs + shift


def modulate(module: nn.Module, outputs: nn.Module | None) -> nn.Module:
    """Adds a `modulation` to each linear layer and convolution of a module but the one that makes its outputs.

    It is a bound method of a part of the layer, so that a copy of the module has its own.

    Raises:
        UserError: there is no such layer.
    """
    layers: list[nn.Module] = [
        layer
        for layer in module.modules()
        if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd) and layer is not outputs
    ]
    if not layers:
        raise UserError(
            f"hypernet modulation: {type(module).__name__} has no linear layer or convolution before its outputs\n"
            "    fix:     use a target with hidden layers, or hypernet chunked"
        )
    for layer in layers:
        convolves = not isinstance(layer, nn.Linear)
        modulation = Modulation(layer.out_channels if convolves else layer.out_features, convolves)  # pyright: ignore
        layer.add_module(MODULATION, modulation)
        layer.register_forward_hook(modulation.hook)
    if hasattr(module, "takes_stacked_weights"):
        setattr(module, "takes_stacked_weights", False)  # noqa: B010  # a declared bool, which nn.Module's stub denies
    return module
