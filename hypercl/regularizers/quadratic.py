"""Quadratic penalties: weights are held at what they were, each as firmly as it mattered to earlier tasks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from hypercl.regularizers.layers import LayerByLayer

Strength = float | Tensor


@dataclass(frozen=True)
class Quadratic:
    """Q(w) = 1/2 sum_i precision_i (w_i - centre_i)^2 + offset; leading axes, the same before all, are replicas.

    A sum of such penalties is one again, so that what is kept of earlier tasks does not grow with their number. In this
    form it is as exact as one of them: the same sum as A w^2 - 2 B w + C would, in float32, be a small difference of
    large numbers.
    """

    precision: Tensor
    """Not negative: (n,)."""
    centre: Tensor
    """(n,)."""
    offset: Tensor
    """Q at its centre: a scalar."""

    @classmethod
    def around(cls, centre: Tensor, precision: Tensor) -> "Quadratic":
        """What is 0 at its centre."""
        return cls(precision, centre, torch.zeros_like(centre[..., 0]))

    def plus(self, precision: Tensor, centre: Tensor) -> "Quadratic":
        """The sum of this penalty and of 1/2 sum_i precision_i (w_i - centre_i)^2.

        The centre is the mean of both, weighted by their precision; where neither holds a weight, it is the new one's.
        """
        total = self.precision + precision
        share = torch.where(total > 0, precision / total, 1.0)
        apart = centre - self.centre
        between = 0.5 * (self.precision * share * apart.square()).sum(-1)
        return Quadratic(total, self.centre + share * apart, self.offset + between)

    def add_gradient_(self, gradient: Tensor, weights: Tensor, strength: Strength = 1.0) -> Tensor:
        """Q at some weights; its gradient, times a strength, is added to another in place.

        Args:
            gradient: (n,); changed.
            weights: (n,).
            strength: a number, or that of each replica, (replicas, 1).

        Returns:
            Q, without the strength: a scalar, or (replicas,).
        """
        apart = weights - self.centre
        pull = self.precision * apart
        value = 0.5 * torch.linalg.vecdot(pull, apart) + self.offset
        gradient += pull.mul_(strength)
        return value


NegativeLogLikelihood = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Weights (n,), inputs (samples, ...) and labels (samples,) to minus the log-likelihood of each sample: (samples,).

No sample may depend on another one of the batch."""

Way = Callable[[NegativeLogLikelihood, Tensor, Tensor, Tensor], Tensor]
"""The likelihood, weights (n,), inputs and labels to the sum over samples of squared gradients: (n,)."""

NUMBERS_AT_ONCE = 16_000_000
"""Numbers of per-sample gradients held at once on the CPU; on a GPU 16 times as many."""


def diagonal_fisher(
    likelihood: NegativeLogLikelihood, weights: Tensor, batches: Iterable[tuple[Tensor, Tensor]], way: Way
) -> Tensor:
    """Mean over samples of the squared gradient of minus the log-likelihood (Kirkpatrick et al., 2017).

    Args:
        likelihood: of the network.
        weights: (n,).
        batches: inputs and labels, at least one sample in all.
        way: how it is computed: from `quickest`.

    Returns:
        (n,), not negative.
    """
    total, samples = torch.zeros_like(weights), 0
    for inputs, labels in batches:
        total += way(likelihood, weights, inputs, labels)
        samples += len(labels)
    return total / samples


def quickest(likelihood: NegativeLogLikelihood, layers: LayerByLayer | None, weights: Tensor, example: Tensor) -> Way:
    """The quickest way that is right: layer by layer, all samples at once by torch.func, or one sample at a time.

    One sample at a time is right for every network, so the others are tried against it on an example.

    Args:
        likelihood: of the network.
        layers: the network's layers, where all of them are of kinds with a formula of their own.
        weights: some weights to try with, (n,).
        example: a few inputs that differ, (samples, ...); their labels are taken to be 0.

    Raises:
        Exception: whatever the network raises, if it cannot compute a sample alone.
    """
    labels = torch.zeros(len(example), dtype=torch.int64, device=example.device)
    expected = one_by_one(likelihood, weights, example, labels)
    for way in (layers, together):
        if way is None:
            continue
        try:
            found = way(likelihood, weights, example, labels)
        except Exception:  # whatever a user's module does that these ways do not know of
            continue
        if torch.allclose(found, expected, rtol=1e-2, atol=1e-5 * float(expected.max())):
            return way
    return one_by_one


def together(likelihood: NegativeLogLikelihood, weights: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
    """Per-sample gradients by torch.func, as many at once as there is room for."""

    def of_one(weights: Tensor, given: Tensor, label: Tensor) -> Tensor:
        return likelihood(weights, given.unsqueeze(0), label.unsqueeze(0)).squeeze(0)

    gradients = torch.vmap(torch.func.grad(of_one), in_dims=(None, 0, 0))
    total, many = torch.zeros_like(weights), max(1, _room(weights) // len(weights))
    for some, theirs in zip(inputs.split(many), labels.split(many), strict=True):
        total += gradients(weights.detach(), some, theirs).square_().sum(0)
    return total


def one_by_one(likelihood: NegativeLogLikelihood, weights: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
    """One backward pass a sample."""
    weights, total = weights.detach().requires_grad_(), torch.zeros_like(weights)
    for given, label in zip(inputs.split(1), labels.split(1), strict=True):
        (gradient,) = torch.autograd.grad(likelihood(weights, given, label).sum(), weights)
        total.addcmul_(gradient, gradient)
    return total


def _room(weights: Tensor) -> int:
    return NUMBERS_AT_ONCE if weights.device.type == "cpu" else 16 * NUMBERS_AT_ONCE
