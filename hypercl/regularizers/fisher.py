"""The diagonal of a network's Fisher information: how much each weight matters to what the network says."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from hypercl.regularizers.layers import LayerByLayer

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
