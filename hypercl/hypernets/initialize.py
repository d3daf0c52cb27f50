"""Initial parameters of a hypernetwork; hyperfan gives generated weights the variances of a plain initialisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional

from hypercl.config.models import HyperfanIn, HyperfanOut, Initialization, Normal, Xavier
from hypercl.tensors import Tensors

Shapes = Sequence[tuple[str, tuple[int, ...]]]
"""Name and shape of each generated tensor, in the order of the flat vector."""

Array = NDArray[np.float64]

Role = Literal["weight", "bias", "scale", "shift"]


@dataclass(frozen=True)
class TargetTensor:
    """A generated tensor of the target, as an initialisation sees it."""

    size: int
    role: Role
    """weight: two or more axes; bias: of a layer with such a weight; scale and shift: all others, usually of a
    normalisation layer."""
    fan_in: int = 0
    """Inputs of a unit of its layer; of a convolution, input channels x kernel."""
    fan_out: int = 0
    """Units that an input of its layer feeds; of a convolution, output channels x kernel."""
    biased: bool = False
    """Whether its layer has a bias."""


def tensors_of(shapes: Shapes) -> list[TargetTensor]:
    """The role of each tensor, from its shape and name; a bias is recognised by its layer's weight."""
    known = dict(shapes)
    return [_tensor(name, shape, known) for name, shape in shapes]


def _tensor(name: str, shape: tuple[int, ...], known: dict[str, tuple[int, ...]]) -> TargetTensor:
    size = prod(shape)
    if len(shape) > 1:
        return TargetTensor(size, "weight", *_fans(shape), biased=_sibling(name, "weight", "bias") in known)
    layer = known.get(_sibling(name, "bias", "weight"), ())
    if len(layer) > 1:
        return TargetTensor(size, "bias", *_fans(layer), biased=True)
    return TargetTensor(size, "shift" if name.endswith(("bias", "beta", "shift")) else "scale")


def _sibling(name: str, kind: str, other: str) -> str:
    return name.removesuffix(kind) + other if name.endswith(kind) else ""


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    kernel = prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def _init_target(tensor: TargetTensor, mode: Literal["in", "out"], gain: float) -> tuple[float, float]:
    """Variance and mean of a full hypernetwork's outputs for a tensor.

    Chang, Flokas and Lipson (ICLR 2020), table 1: with fan-in, a layer with a bias shares the desired variance of its
    pre-activations evenly between weights and bias; with fan-out, the bias makes up for gain * fan-in / fan-out below
    gain. A normalisation layer has its usual initialisation: scale 1, shift 0.
    """
    if tensor.role in ("scale", "shift"):
        return 0.0, float(tensor.role == "scale")
    if mode == "out":
        rest = max(0.0, gain * (1 - tensor.fan_in / tensor.fan_out))
        return rest if tensor.role == "bias" else gain / tensor.fan_out, 0.0
    shared = gain / 2 if tensor.biased else gain
    return shared if tensor.role == "bias" else shared / tensor.fan_in, 0.0


def chunk_variances(tensors: Sequence[TargetTensor], mode: Literal["in", "out"], gain: float, chunk_size: int) -> Array:
    """Desired initial variance of the weights of each chunk: (chunks,).

    All weights of a chunk have one variance, so it is the mean over its weights of the desired ones, as in
    hypnettorch's chunked hyperfan: gain / fan for weights; 1 / (3 fan-in), as in torch, for biases, which cannot be
    zero here; 1 for scales, whose mean is 0 in a chunk, so that a mean square of 1 keeps the size of activations; 0 for
    shifts. A chunk of shifts alone gets the least variance of the others.
    """
    ends = np.cumsum([0, *(tensor.size for tensor in tensors)])
    total = np.cumsum([0.0, *(tensor.size * _in_chunk(tensor, mode, gain) for tensor in tensors)])
    borders = np.minimum(np.arange(0, ends[-1] + chunk_size, chunk_size), ends[-1])
    variances: Array = np.asarray(np.diff(np.interp(borders, ends, total)) / np.diff(borders), dtype=float)
    positive = variances > 1e-6 * variances.max()
    return np.where(positive, variances, variances[positive].min(initial=1.0))


def _in_chunk(tensor: TargetTensor, mode: Literal["in", "out"], gain: float) -> float:
    if tensor.role == "weight":
        return gain / (tensor.fan_in if mode == "in" else tensor.fan_out)
    if tensor.role == "bias":
        return 1 / (3 * tensor.fan_in)
    return 1.0 if tensor.role == "scale" else 0.0


_NODES, _RAW_WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
_WEIGHTS = _RAW_WEIGHTS / _RAW_WEIGHTS.sum()


@dataclass(frozen=True)
class TrunkMoments:
    """Mean squares in a trunk whose weights have mean zero and such variances that all pre-activations have variance 1.

    Pre-activations of a random layer are close to normal (exactly so in the mean square for ReLU), so a mean square
    after an activation is an integral over a normal density, here a Gauss-Hermite sum.

    Each layer reads activations less their value at zero, `offset`, which its biases subtract. This matters for the
    sigmoid alone: its mean square E[h^2] = 1/4 + E[(h - 1/2)^2] lies between 0.25 and 0.29 for every input of variance
    up to 1, so that all chunks and tasks would begin with nearly the same weights, whatever their embeddings. Less 1/2
    it is odd, h - 1/2 = tanh(x / 2) / 2, and vanishes with its input (derived here; Chang et al. treat ReLU and linear
    layers).
    """

    hidden: tuple[int, ...]
    """Units of each trunk layer."""
    activation: str
    """A function of `torch.nn.functional`."""
    dropout: float = 0.0
    """Multiplies the mean square of activations by 1 / (1 - dropout) in training."""
    normalized: bool = False
    """Whether pre-activations have variance 1 for every input."""

    @property
    def unit(self) -> float:
        """Mean square of the activations of a layer whose pre-activations have variance 1."""
        return float(self._after(np.ones(1))[0])

    def variances(self, power: float) -> list[float]:
        """Variance of the weights of each layer, for inputs with this expected sum of squares."""
        sums = [power, *(units * self.unit for units in self.hidden)]
        return [1 / total for total in sums[: len(self.hidden)]]

    def head_power(self, power: float) -> float:
        """Expected sum of squares of the head's inputs: with an empty trunk, the hypernetwork's."""
        return self.hidden[-1] * self.unit if self.hidden else power

    def passed(self, share: float | Array) -> Array:
        """Share of `head_power` that remains for inputs with a share of the power assumed in `variances`."""
        squares = np.asarray(share, dtype=np.float64)
        for _ in self.hidden:
            squares = self._after(np.ones_like(squares) if self.normalized else squares) / self.unit
        return squares

    def needed(self, share: float | Array) -> Array:
        """The inverse of `passed` for shares up to 1, by bisection: `passed` is monotonic."""
        target = np.asarray(share, dtype=np.float64)
        low, high = np.full_like(target, -60.0), np.zeros_like(target)
        for _ in range(60):
            middle = (low + high) / 2
            below = self.passed(np.exp(middle)) < target
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.exp(high)

    @property
    def offset(self) -> float:
        """The activation's value at zero: 1/2 for the sigmoid, else 0."""
        return float(self._activated(torch.zeros(())))

    def _activated(self, values: Tensor) -> Tensor:
        return getattr(functional, self.activation)(values)

    def _after(self, variances: Array) -> Array:
        """Mean squares of activations less `offset`, from the variances of the pre-activations.

        With m a dropout mask of 0 and 1 / (1 - p): E[(m h - offset)^2] = E[h^2] / (1 - p) - 2 offset E[h] + offset^2.
        """
        values = self._activated(torch.as_tensor(np.sqrt(variances)[..., None] * _NODES)).numpy()
        squares = values**2 / (1 - self.dropout) - 2 * self.offset * values + self.offset**2
        return squares @ _WEIGHTS


EMBEDDING_SHARE = 0.5
"""Share of noise and task embedding in the power of the input of the weakest chunk of a chunked hyperfan."""


@dataclass(frozen=True)
class Hyperfan:
    """What a hyperfan initialisation depends on."""

    trunk: TrunkMoments
    power: float
    """Expected sum of squares of the task embedding and the noise."""
    tensors: Sequence[TargetTensor]
    """What is generated."""


def initial_theta(
    shapes: dict[str, tuple[int, ...]],
    config: Initialization,
    embedding_scale: float,
    fan: Hyperfan,
    generator: Generator,
) -> Tensors:
    """Initial parameters: biases zero, chunk embeddings N(0, embedding_scale^2), the rest by the section `init`.

    Args:
        shapes: of each parameter.
        config: the section `hypernet.init`.
        embedding_scale: standard deviation of chunk embeddings, except with a hyperfan.
        fan: used by a hyperfan only.
        generator: source of all draws.

    Raises:
        ValueError: a hyperfan without the target's tensors.
    """
    theta: Tensors = {}
    for name, shape in shapes.items():
        head = {"head.weight": (shape[0], shape[1] - 1), "head.bias": shape[:1]} if name == "head" else {name: shape}
        theta |= {part: torch.zeros(size, device=generator.device) for part, size in head.items()}
    for name, parameter in theta.items():
        if name == "chunks":
            parameter.normal_(std=embedding_scale, generator=generator)
        elif name.endswith(".scale"):
            parameter.fill_(1.0)
        elif name.endswith("weight") and isinstance(config, Xavier):
            per_tensor = config.per_tensor and name == "head.weight"
            sizes = [tensor.size for tensor in fan.tensors] if per_tensor else [len(parameter)]
            for part in torch.split(parameter, sizes):
                nn.init.xavier_uniform_(part, generator=generator)
        elif name.endswith("weight") and isinstance(config, Normal):
            parameter.normal_(std=config.std, generator=generator)
    if isinstance(config, HyperfanIn | HyperfanOut):
        _hyperfan(theta, config, fan, generator)
    theta["head"] = torch.cat([theta["head.weight"], theta["head.bias"].unsqueeze(1)], dim=1)
    return {name: theta[name] for name in shapes}


def _hyperfan(theta: Tensors, config: HyperfanIn | HyperfanOut, fan: Hyperfan, generator: Generator) -> None:
    """Sets weights, chunk embeddings and biases to give the outputs the desired variances.

    Variances are those of the forward pass in training mode, noise and dropout included. With P the expected sum of
    squares of the head's inputs, head weights of variance s give outputs of variance s P: a full hypernetwork divides
    each tensor's desired variance by P (Chang et al., ICLR 2020). A chunked one shares its head among chunks, so the
    scales of the chunk embeddings make the difference, as in hypnettorch. There, task embeddings must be much smaller
    than N(0, 1), since they alone make the outputs too large; here the head is scaled so that task embedding and noise
    are half of the input's power in the weakest chunk, for any scale of theirs.
    """
    if not fan.tensors:
        raise ValueError(f"{config.name} needs the shapes of the target's tensors")
    mode = "in" if isinstance(config, HyperfanIn) else "out"
    moments, power, head = fan.trunk, fan.power, theta["head.weight"]
    if "chunks" not in theta:
        _fill_trunk(theta, moments.variances(power), generator)
        sizes = [tensor.size for tensor in fan.tensors]
        parts = torch.split(head, sizes), torch.split(theta["head.bias"], sizes)
        for tensor, weight, bias in zip(fan.tensors, *parts, strict=True):
            variance, mean = _init_target(tensor, mode, config.gain)
            _fill(weight, variance / moments.head_power(power), generator)
            bias.fill_(mean)
    else:
        chunks, variances = theta["chunks"], chunk_variances(fan.tensors, mode, config.gain, len(head))
        shares = moments.needed(variances / variances.max())
        largest = power / EMBEDDING_SHARE / shares.min()
        _fill_trunk(theta, moments.variances(largest), generator)
        _fill(head, variances.max() / moments.head_power(largest), generator)
        scales = np.sqrt((shares * largest - power) / chunks.shape[1])
        chunks.normal_(generator=generator).mul_(torch.as_tensor(scales).to(chunks).unsqueeze(1))
    if moments.hidden and moments.offset:  # the biases of the next layers subtract it from the activations
        for layer in [*(f"trunk.{number}" for number in range(1, len(moments.hidden))), "head"]:
            theta[f"{layer}.bias"].sub_(theta[f"{layer}.weight"].sum(1), alpha=moments.offset)


def _fill_trunk(theta: Tensors, variances: list[float], generator: Generator) -> None:
    for layer, variance in enumerate(variances):
        _fill(theta[f"trunk.{layer}.weight"], variance, generator)


def _fill(parameter: Tensor, variance: float, generator: Generator) -> None:
    """Uniform with mean zero."""
    bound = sqrt(3 * variance)
    parameter.uniform_(-bound, bound, generator=generator)
