"""Quadratic penalties on weights, and the diagonal Fisher information that weighs them."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm

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


PIECE = 16_000_000
"""Numbers held at once where a layer's per-sample gradients are made."""


@dataclass(frozen=True)
class _Pass:
    """What went through a layer."""

    layer: nn.Module
    name: str
    inputs: Tensor
    """What it was given; of batch normalisation, that when normalised."""
    outputs: Tensor


class LayerByLayer:
    """Squared per-sample gradients, summed over samples, layer by layer from one backward pass of the whole batch.

    For modules of linear layers, 2-D convolutions and batch normalisation in evaluation mode, each called once a pass.
    A linear layer's sum of squared outer products is one product of matrices of squares: on a CPU core the 12,000
    samples of a Split MNIST task took 0.6 s at 478,410 weights; per-sample gradients by torch.vmap took 26 s, one
    sample at a time 46 s. Convolutions gain less: ZenkeNet took half the time of either.

    Args:
        layers: those that have weights, by their names in the module; the likelihood has to call that very module, with
            parameters taken from the weights (`torch.func.functional_call`).
        shapes: of each weight by its name, in the order of the flat vector.
    """

    def __init__(self, layers: Mapping[str, nn.Module], shapes: Mapping[str, torch.Size]) -> None:
        self.layers, self.shapes = layers, shapes

    def __call__(
        self, likelihood: Callable[[Tensor, Tensor, Tensor], Tensor], weights: Tensor, inputs: Tensor, labels: Tensor
    ) -> Tensor:
        """The sum over samples of squared gradients: (n,).

        Args:
            likelihood: as of `diagonal_fisher`.
            weights: (n,).
            inputs: (samples, ...).
            labels: (samples,).
        """
        with torch.enable_grad(), self._watched() as passes:
            loss = likelihood(weights.detach().requires_grad_(), inputs, labels).sum()
        deltas = torch.autograd.grad(loss, [each.outputs for each in passes])
        squares = {name: weights.new_zeros(shape) for name, shape in self.shapes.items()}
        for each, delta in zip(passes, deltas, strict=True):
            for kind, found in _rule_of(each.layer)(each.layer, each.inputs, delta):
                name = f"{each.name}.{kind}"
                if name in squares:
                    squares[name] += found.view_as(squares[name])
        return torch.cat([found.flatten() for found in squares.values()])

    @contextmanager
    def _watched(self) -> Generator[list[_Pass]]:
        """Inside, what goes through each layer."""
        passes: list[_Pass] = []

        def hook(name: str) -> Callable[[nn.Module, Any, Tensor], Tensor]:
            def seen(layer: nn.Module, given: Any, outputs: Tensor) -> Tensor:
                inputs = given[0].detach()
                if isinstance(layer, _BatchNorm):
                    inputs = _normalised(layer, inputs)
                passes.append(_Pass(layer, name, inputs, outputs))
                return outputs.clone()  # what changes it in place, as some activations do, shall not change it here

            return seen

        hooks = [layer.register_forward_hook(hook(name)) for name, layer in self.layers.items()]
        try:
            yield passes
        finally:
            for each in hooks:
                each.remove()


def layer_by_layer(module: nn.Module, shapes: Mapping[str, torch.Size]) -> LayerByLayer | None:
    """The module's way, or None where a weight belongs to a layer of another kind.

    Args:
        module: the network.
        shapes: of each weight by its name in the module, in the order of the flat vector.
    """
    owners = {name.rpartition(".")[0] for name in shapes}
    modules: dict[str, nn.Module] = dict(module.named_modules())
    layers = {name: layer for name, layer in modules.items() if name in owners}
    if owners != layers.keys() or not all(_has_rule(layer) for layer in layers.values()):
        return None
    return LayerByLayer(layers, shapes)


def _has_rule(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear | nn.Conv2d) or (isinstance(layer, _BatchNorm) and layer.track_running_stats)


_Rule = Callable[[Any, Tensor, Tensor], Iterator[tuple[str, Tensor]]]


def _rule_of(layer: nn.Module) -> _Rule:
    match layer:
        case nn.Linear():
            return _linear
        case nn.Conv2d():
            return _convolution
        case _:
            return _batch_norm


def _linear(layer: nn.Linear, inputs: Tensor, delta: Tensor) -> Iterator[tuple[str, Tensor]]:
    del layer
    if inputs.dim() != 2:
        raise NotImplementedError("a linear layer at several positions of a sample")
    squared = delta.square()
    yield "weight", squared.T @ inputs.square()
    yield "bias", squared.sum(0)


def _convolution(layer: nn.Conv2d, inputs: Tensor, delta: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Each sample's own gradient, by torch.func."""

    def of_one(given: Tensor, theirs: Tensor) -> Tensor:
        def weighted(weight: Tensor) -> Tensor:
            return (layer._conv_forward(given.unsqueeze(0), weight, None)[0] * theirs).sum()

        return torch.func.grad(weighted)(blank)

    blank = inputs.new_zeros(layer.weight.shape)  # the gradient does not depend on the weights
    total, many = torch.zeros_like(blank), max(1, PIECE // max(blank.numel(), inputs[0].numel()))
    for some, theirs in zip(torch.split(inputs, many), torch.split(delta, many), strict=True):
        total += torch.vmap(of_one)(some, theirs).square_().sum(0)
    yield "weight", total
    yield "bias", delta.flatten(2).sum(-1).square_().sum(0)


def _batch_norm(layer: _BatchNorm, inputs: Tensor, delta: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Inputs are the normalised ones: a scale's gradient is their product with delta, over a channel's places."""
    del layer
    delta, inputs = delta.reshape(*delta.shape[:2], -1), inputs.reshape(*inputs.shape[:2], -1)
    yield "weight", torch.linalg.vecdot(delta, inputs).square_().sum(0)
    yield "bias", delta.sum(-1).square_().sum(0)


def _normalised(layer: _BatchNorm, inputs: Tensor) -> Tensor:
    """By the running statistics that the layer has during the pass."""
    return batch_norm(inputs, layer.running_mean, layer.running_var, eps=layer.eps)


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
    for some, theirs in zip(torch.split(inputs, many), torch.split(labels, many), strict=True):
        total += gradients(weights.detach(), some, theirs).square_().sum(0)
    return total


def one_by_one(likelihood: NegativeLogLikelihood, weights: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
    """One backward pass a sample."""
    weights, total = weights.detach().requires_grad_(), torch.zeros_like(weights)
    for given, label in zip(torch.split(inputs, 1), torch.split(labels, 1), strict=True):
        (gradient,) = torch.autograd.grad(likelihood(weights, given, label).sum(), weights)
        total.addcmul_(gradient, gradient)
    return total


def _room(weights: Tensor) -> int:
    return NUMBERS_AT_ONCE if weights.device.type == "cpu" else 16 * NUMBERS_AT_ONCE
