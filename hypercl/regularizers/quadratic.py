"""Quadratic penalties on weights, and the diagonal Fisher information that weighs them."""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm

from hypercl.tensors import vecdot

Strength = float | Tensor


@dataclass(frozen=True)
class Quadratic:
    """Q(w) = 1/2 sum_i precision_i (w_i - centre_i)^2 + offset; leading axes, the same before all, are replicas.

    A sum of such penalties is another one, so memory does not grow with the number of tasks. This form keeps the sum
    exact: as A w^2 - 2 B w + C it would, in float32, be a small difference of large numbers.
    """

    precision: Tensor
    """Not negative: (n,)."""
    centre: Tensor
    """(n,)."""
    offset: Tensor
    """Q at its centre: a scalar."""

    @classmethod
    def around(cls, centre: Tensor, precision: Tensor) -> "Quadratic":
        """The penalty that is 0 at its centre."""
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
        """Q at some weights (n,): a scalar, or (replicas,); adds strength times its gradient to `gradient` in place.

        `strength` is a number, or (replicas, 1).
        """
        difference = weights - self.centre
        slope = self.precision * difference
        value: Tensor = 0.5 * vecdot(slope, difference) + self.offset
        gradient += slope.mul_(strength)
        return value


PIECE = 16_000_000
"""Limit on the size of per-sample gradients of a convolution held at once."""


@dataclass(frozen=True)
class _Pass:
    """Inputs and outputs of a layer in a forward pass."""

    layer: nn.Module
    name: str
    inputs: Tensor
    """Of batch normalisation: the normalised ones."""
    outputs: Tensor


class LayerByLayer:
    """Squared per-sample gradients, summed over samples, layer by layer from one backward pass of the whole batch.

    For modules of linear layers, 2-D convolutions and batch normalisation in evaluation mode, each called once a pass.
    A linear layer's sum of squared outer products is one product of matrices of squares: on a CPU core the 12,000
    samples of a Split MNIST task took 0.6 s at 478,410 weights; per-sample gradients by torch.vmap took 26 s, one
    sample at a time 46 s. Convolutions gain less: ZenkeNet took half the time of either.

    Args:
        layers: layers with weights, by name in the module; the likelihood must call this very module, with parameters
            taken from the weights (`torch.func.functional_call`).
        shapes: of each weight by its name, in the order of the flat vector.
    """

    def __init__(self, layers: Mapping[str, nn.Module], shapes: Mapping[str, torch.Size]) -> None:
        self.layers, self.shapes = layers, shapes

    def __call__(
        self, likelihood: Callable[[Tensor, Tensor, Tensor], Tensor], weights: Tensor, inputs: Tensor, labels: Tensor
    ) -> Tensor:
        """The sum over samples of squared gradients, (n,); arguments as of `Way`."""
        with torch.enable_grad(), self._recorded() as passes:
            loss = likelihood(weights.detach().requires_grad_(), inputs, labels).sum()
        deltas = torch.autograd.grad(loss, [layer_pass.outputs for layer_pass in passes])
        squares = {name: weights.new_zeros(shape) for name, shape in self.shapes.items()}
        for layer_pass, delta in zip(passes, deltas, strict=True):
            layer_squares = _squared_gradients(layer_pass.layer, layer_pass.inputs, delta)
            for kind, values in zip(("weight", "bias"), layer_squares, strict=True):
                name = f"{layer_pass.name}.{kind}"
                if name in squares:
                    squares[name] += values.view_as(squares[name])
        return torch.cat([values.flatten() for values in squares.values()])

    @contextmanager
    def _recorded(self) -> Generator[list[_Pass]]:
        """Records the inputs and outputs of each layer while active."""
        passes: list[_Pass] = []

        def hook(name: str) -> Callable[[nn.Module, Any, Tensor], Tensor]:
            def record(layer: nn.Module, args: Any, outputs: Tensor) -> Tensor:
                inputs = args[0].detach()
                if isinstance(layer, _BatchNorm):
                    inputs = batch_norm(inputs, layer.running_mean, layer.running_var, eps=layer.eps)
                passes.append(_Pass(layer, name, inputs, outputs))
                return outputs.clone()  # in-place activations must not change the recorded tensor

            return record

        hooks = [layer.register_forward_hook(hook(name)) for name, layer in self.layers.items()]
        try:
            yield passes
        finally:
            for handle in hooks:
                handle.remove()


def layer_by_layer(module: nn.Module, shapes: Mapping[str, torch.Size]) -> LayerByLayer | None:
    """The module's layers, or None if a weight belongs to a layer of another kind; `shapes` as of `LayerByLayer`."""
    owners = {name.rpartition(".")[0] for name in shapes}
    modules: dict[str, nn.Module] = dict(module.named_modules())
    layers = {name: layer for name, layer in modules.items() if name in owners}
    if owners != layers.keys() or not all(_is_supported(layer) for layer in layers.values()):
        return None
    return LayerByLayer(layers, shapes)


def _is_supported(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear | nn.Conv2d) or (isinstance(layer, _BatchNorm) and layer.track_running_stats)


def _squared_gradients(layer: nn.Module, inputs: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """Squared gradients of weight and bias, summed over samples, from a layer's inputs and output gradients."""
    if isinstance(layer, nn.Linear):
        if inputs.dim() != 2:
            raise NotImplementedError("a linear layer at several positions of a sample")
        squared = delta.square()
        return squared.T @ inputs.square(), squared.sum(0)
    if isinstance(layer, nn.Conv2d):
        return _convolution(layer, inputs, delta), delta.flatten(2).sum(-1).square_().sum(0)
    # batch normalisation: a scale's gradient is the product of normalised inputs and delta, over a channel's pixels
    delta, inputs = delta.reshape(*delta.shape[:2], -1), inputs.reshape(*inputs.shape[:2], -1)
    return vecdot(delta, inputs).square_().sum(0), delta.sum(-1).square_().sum(0)


def _convolution(layer: nn.Conv2d, inputs: Tensor, delta: Tensor) -> Tensor:
    """Per-sample gradients of the weight by torch.func, squared and summed."""

    def gradient(sample: Tensor, sample_delta: Tensor) -> Tensor:
        def weighted(weight: Tensor) -> Tensor:
            return (layer._conv_forward(sample.unsqueeze(0), weight, None)[0] * sample_delta).sum()

        return torch.func.grad(weighted)(blank)

    blank = inputs.new_zeros(layer.weight.shape)  # the gradient does not depend on the weights
    total, size = torch.zeros_like(blank), max(1, PIECE // max(blank.numel(), inputs[0].numel()))
    for block, deltas in zip(torch.split(inputs, size), torch.split(delta, size), strict=True):
        total += torch.vmap(gradient)(block, deltas).square_().sum(0)
    return total


NegativeLogLikelihood = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Maps weights (n,), inputs (samples, ...) and labels (samples,) to minus the log-likelihood of each: (samples,).

No sample may depend on another one of the batch."""

Way = Callable[[NegativeLogLikelihood, Tensor, Tensor, Tensor], Tensor]
"""Maps the likelihood, weights (n,), inputs and labels to the sum over samples of squared gradients: (n,)."""

NUMBERS_AT_ONCE = 16_000_000
"""Limit on the size of per-sample gradients held at once on the CPU; on a GPU 16 times as much."""


def diagonal_fisher(
    likelihood: NegativeLogLikelihood, weights: Tensor, batches: Iterable[tuple[Tensor, Tensor]], way: Way
) -> Tensor:
    """Mean over samples of the squared gradient of minus the log-likelihood, (n,) (Kirkpatrick et al., 2017).

    Args:
        likelihood: of the network.
        weights: (n,).
        batches: inputs and labels, at least one sample in total.
        way: the computation, from `quickest`.
    """
    total, samples = torch.zeros_like(weights), 0
    for inputs, labels in batches:
        total += way(likelihood, weights, inputs, labels)
        samples += len(labels)
    return total / samples


def quickest(
    likelihood: NegativeLogLikelihood,
    layers: LayerByLayer | None,
    weights: Tensor,
    example: Tensor,
    labels: Tensor | None = None,
) -> Way:
    """The fastest computation that is correct: layer by layer, vectorised by torch.func, or one sample at a time.

    One sample at a time is correct for every network, so the others are checked against it on an example.

    Args:
        likelihood: of the network.
        layers: the network's layers, if all of them are supported.
        weights: any weights, (n,).
        example: a few distinct inputs, (samples, ...).
        labels: theirs; left out, the class 0.

    Raises:
        Exception: whatever the network raises if it cannot process a single sample.
    """
    if labels is None:
        labels = torch.zeros(len(example), dtype=torch.int64, device=example.device)
    expected = one_by_one(likelihood, weights, example, labels)
    for way in (layers, together):
        if way is None:
            continue
        try:
            squares = way(likelihood, weights, example, labels)
        except Exception:  # a user's module may do anything
            continue
        if torch.allclose(squares, expected, rtol=1e-2, atol=1e-5 * float(expected.max())):
            return way
    return one_by_one


def together(likelihood: NegativeLogLikelihood, weights: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
    """Per-sample gradients by torch.func, in blocks."""

    def of_sample(weights: Tensor, sample: Tensor, label: Tensor) -> Tensor:
        return likelihood(weights, sample.unsqueeze(0), label.unsqueeze(0)).squeeze(0)

    gradients = torch.vmap(torch.func.grad(of_sample), in_dims=(None, 0, 0))
    limit = NUMBERS_AT_ONCE if weights.device.type == "cpu" else 16 * NUMBERS_AT_ONCE
    total, size = torch.zeros_like(weights), max(1, limit // len(weights))
    for block, block_labels in zip(torch.split(inputs, size), torch.split(labels, size), strict=True):
        total += gradients(weights.detach(), block, block_labels).square_().sum(0)
    return total


def one_by_one(likelihood: NegativeLogLikelihood, weights: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
    """One backward pass a sample."""
    weights, total = weights.detach().requires_grad_(), torch.zeros_like(weights)
    for sample, label in zip(torch.split(inputs, 1), torch.split(labels, 1), strict=True):
        (gradient,) = torch.autograd.grad(likelihood(weights, sample, label).sum(), weights)
        total.addcmul_(gradient, gradient)
    return total
