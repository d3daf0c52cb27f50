"""Inputs of any size for an autoencoder: standardised by each number's mean and deviation, and back."""

import torch
from torch import Tensor


def scale_of(inputs: Tensor, dims: int) -> Tensor:
    """Mean and deviation of each number over the samples: (2, numbers); the deviation of one that is constant is 1.

    Args:
        inputs: (samples, *input_shape), with a leading replica axis if there are several.
        dims: axes of `input_shape`.
    """
    numbers = inputs.flatten(-dims)
    deviation = numbers.std(-2, correction=0)
    return torch.stack([numbers.mean(-2), torch.where(deviation > 0, deviation, 1.0)], -2)


def standardized(inputs: Tensor, scale: Tensor) -> Tensor:
    """(x - mean) / deviation of inputs (samples, *input_shape), by a scale (2, numbers)."""
    mean, deviation = _broadcast(scale, inputs)
    return (inputs - mean) / deviation


def restored(inputs: Tensor, scale: Tensor) -> Tensor:
    """Inputs (samples, *input_shape) of standardised ones, by a scale (2, numbers)."""
    mean, deviation = _broadcast(scale, inputs)
    return mean + deviation * inputs


def _broadcast(scale: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """The two rows of a scale, (..., 2, numbers), against inputs (..., samples, *input_shape)."""
    shape = inputs.shape[scale.dim() - 1 :]
    mean, deviation = scale.unsqueeze(-2).unflatten(-1, shape).unbind(scale.dim() - 2)
    return mean, deviation
