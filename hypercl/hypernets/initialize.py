"""Initial parameters of a hypernetwork; hyperfan gives generated weights the variances of a plain initialisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from hypercl.config.models import HyperfanIn, HyperfanOut, Initialization, Normal, Xavier

Shapes = Sequence[tuple[str, tuple[int, ...]]]
"""Name and shape of each generated tensor, in the order of the flat vector."""

Role = Literal["weight", "bias", "scale", "shift"]


@dataclass(frozen=True)
class TargetTensor:
    """A generated tensor of the target, as an initialisation sees it."""

    size: int
    role: Role
    """weight: two axes and more; bias: of a layer with such a weight; scale and shift: all others, of a normalisation
    layer as a rule."""
    fan_in: int = 0
    """Inputs of a unit of its layer; of a convolution, input channels x kernel."""
    fan_out: int = 0
    """Units that an input of its layer feeds; of a convolution, output channels x kernel."""
    biased: bool = False
    """Whether its layer has a bias."""


@dataclass(frozen=True)
class InitTarget:
    """What an initialisation gives to the numbers of a tensor."""

    size: int
    variance: float
    mean: float = 0.0


def tensors_of(shapes: Shapes) -> list[TargetTensor]:
    """What each tensor is, by its shape and by its name: a bias is told from its layer's weight beside it."""
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


def init_targets(shapes: Shapes, mode: Literal["in", "out"], gain: float) -> list[InitTarget]:
    """Means and variances of a full hypernetwork's outputs, tensor by tensor.

    Chang, Flokas and Lipson (ICLR 2020), table 1: with fan-in, a layer that has a bias shares the wanted variance of
    its pre-activations evenly between weights and bias; with fan-out, the bias makes up for gain * fan-in / fan-out
    below gain. A normalisation layer begins as it does elsewhere: scale 1, shift 0.
    """
    return [_init_target(tensor, mode, gain) for tensor in tensors_of(shapes)]


def _init_target(tensor: TargetTensor, mode: Literal["in", "out"], gain: float) -> InitTarget:
    if tensor.role == "scale":
        return InitTarget(tensor.size, 0.0, mean=1.0)
    if tensor.role == "shift":
        return InitTarget(tensor.size, 0.0)
    if mode == "out":
        rest = max(0.0, gain * (1 - tensor.fan_in / tensor.fan_out))
        return InitTarget(tensor.size, rest if tensor.role == "bias" else gain / tensor.fan_out)
    shared = gain / 2 if tensor.biased else gain
    return InitTarget(tensor.size, shared if tensor.role == "bias" else shared / tensor.fan_in)


def chunk_variances(shapes: Shapes, mode: Literal["in", "out"], gain: float, chunk_size: int) -> np.ndarray:
    """Variance that the weights of each chunk should begin with: (chunks,).

    All weights of a chunk have one variance, so it is the mean of what its weights should have, as in hypnettorch's
    chunked hyperfan: gain / fan for weights; 1 / (3 fan-in), torch's own, for biases, which cannot be zero here; 1 for
    scales, whose mean is 0 in a chunk, so that a mean square of 1 keeps the size of activations. Shifts ask for 0;
    a chunk of nothing else gets the least variance of the others.
    """
    tensors = tensors_of(shapes)
    ends = np.cumsum([0, *(tensor.size for tensor in tensors)])
    total = np.cumsum([0.0, *(tensor.size * _in_chunk(tensor, mode, gain) for tensor in tensors)])
    borders = np.minimum(np.arange(0, ends[-1] + chunk_size, chunk_size), ends[-1])
    found = np.diff(np.interp(borders, ends, total)) / np.diff(borders)
    positive = found > 1e-6 * found.max()
    return np.where(positive, found, found[positive].min(initial=1.0))


def _in_chunk(tensor: TargetTensor, mode: Literal["in", "out"], gain: float) -> float:
    if tensor.role == "weight":
        return gain / (tensor.fan_in if mode == "in" else tensor.fan_out)
    if tensor.role == "bias":
        return 1 / (3 * tensor.fan_in)
    return 1.0 if tensor.role == "scale" else 0.0


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


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
    """Raises the mean square of what is dropped to 1 / (1 - dropout) times what it was, in training."""
    normalized: bool = False
    """Whether pre-activations have variance 1 whatever the input is."""

    @property
    def unit(self) -> float:
        """Mean square of the activations of a layer whose pre-activations have variance 1."""
        return float(self._after(np.ones(1))[0])

    def variances(self, power: float) -> list[float]:
        """Variance of the weights of each layer, for inputs whose squares have this expected sum."""
        sums = [power, *(units * self.unit for units in self.hidden)]
        return [1 / total for total in sums[: len(self.hidden)]]

    def head_power(self, power: float) -> float:
        """Expected sum of squares of what the head reads: the input itself where the trunk is empty."""
        return self.hidden[-1] * self.unit if self.hidden else power

    def passed(self, share: float | np.ndarray) -> np.ndarray:
        """Share of `head_power` that is left of inputs with a share of the power that `variances` was made for."""
        squares = np.asarray(share, dtype=np.float64)
        for _ in self.hidden:
            squares = self._after(np.ones_like(squares) if self.normalized else squares) / self.unit
        return squares

    def needed(self, share: float | np.ndarray) -> np.ndarray:
        """The inverse of `passed` for shares up to 1, by bisection: `passed` never falls."""
        wanted = np.asarray(share, dtype=np.float64)
        low, high = np.full_like(wanted, -60.0), np.zeros_like(wanted)
        for _ in range(60):
            middle = (low + high) / 2
            below = self.passed(np.exp(middle)) < wanted
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.exp(high)

    @property
    def offset(self) -> float:
        """The activation's value at zero: 1/2 for the sigmoid, else 0."""
        return float(self._activated(torch.zeros(())))

    def _activated(self, values: Tensor) -> Tensor:
        return getattr(functional, self.activation)(values)

    def _after(self, variances: np.ndarray) -> np.ndarray:
        """Mean squares of activations less `offset`, from the variances of the pre-activations.

        With m a dropout mask of 0 and 1 / (1 - p): E[(m h - offset)^2] = E[h^2] / (1 - p) - 2 offset E[h] + offset^2.
        """
        found = self._activated(torch.as_tensor(np.sqrt(variances)[..., None] * _NODES)).numpy()
        squares = found**2 / (1 - self.dropout) - 2 * self.offset * found + self.offset**2
        return squares @ _WEIGHTS


EMBEDDING_SHARE = 0.5
"""Share of the power of the input that noise and task embedding have in the weakest chunk of a chunked hyperfan."""

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Hyperfan:
    """What a hyperfan initialisation knows of the hypernetwork and its target."""

    trunk: TrunkMoments
    power: float
    """Expected sum of squares of the task embedding and the noise."""
    target_shapes: Shapes


def initial_theta(
    shapes: dict[str, tuple[int, ...]],
    config: Initialization,
    embedding_scale: float,
    fan: Hyperfan,
    generator: Generator,
) -> Tensors:
    """Initial parameters: biases zero, chunk embeddings N(0, embedding_scale^2), the rest as the section `init` says.

    Args:
        shapes: of each parameter.
        config: the section `hypernet.init`.
        embedding_scale: standard deviation of chunk embeddings, except with a hyperfan.
        fan: read by a hyperfan only.
        generator: source of all draws.

    Raises:
        ValueError: a hyperfan without `target_shapes`.
    """
    drawn = {part: shape for name, whole in shapes.items() for part, shape in _parts(name, whole).items()}
    theta = {name: torch.zeros(shape, device=generator.device) for name, shape in drawn.items()}
    for name, parameter in theta.items():
        if name == "chunks":
            parameter.normal_(std=embedding_scale, generator=generator)
        elif name.endswith(".scale"):
            parameter.fill_(1.0)
        elif name.endswith("weight"):
            _fill_plain(parameter, config, generator)
    if isinstance(config, HyperfanIn | HyperfanOut):
        _hyperfan(theta, config, fan, generator)
    theta["head"] = torch.cat([theta["head.weight"], theta["head.bias"].unsqueeze(1)], dim=1)
    return {name: theta[name] for name in shapes}


def _parts(name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """A parameter, or what is drawn by itself of it: the head's weight and bias."""
    return {"head.weight": (shape[0], shape[1] - 1), "head.bias": shape[:1]} if name == "head" else {name: shape}


def _fill_plain(weight: Tensor, config: Initialization, generator: Generator) -> None:
    if isinstance(config, Xavier):
        nn.init.xavier_uniform_(weight, generator=generator)
    elif isinstance(config, Normal):
        weight.normal_(std=config.std, generator=generator)


def _hyperfan(theta: Tensors, config: HyperfanIn | HyperfanOut, fan: Hyperfan, generator: Generator) -> None:
    """Sets weights, and where needed chunk embeddings and the head's bias, to give the outputs the wanted variances.

    Variances are those of the forward pass in training mode, noise and dropout included. With P the expected sum of
    squares of the head's inputs, head weights of variance s give outputs of variance s P: a full hypernetwork divides
    each tensor's wanted variance by P (Chang et al., ICLR 2020). A chunked one shares its head among chunks, so the
    scales of the chunk embeddings make the difference, as in hypnettorch. There, task embeddings must be much smaller
    than N(0, 1), since they alone make the outputs too large; here the head is scaled so that task embedding and noise
    are half of the input's power in the weakest chunk, whatever their size.
    """
    if not fan.target_shapes:
        raise ValueError(f"{config.name} needs the shapes of the target's tensors")
    mode = "in" if isinstance(config, HyperfanIn) else "out"
    moments, power = fan.trunk, fan.power
    if "chunks" not in theta:
        _fill_trunk(theta, moments.variances(power), generator)
        _fill_full_head(theta, init_targets(fan.target_shapes, mode, config.gain), moments.head_power(power), generator)
        _subtract_offset(theta, moments)
        return
    chunks, weight = theta["chunks"], theta["head.weight"]
    variances = chunk_variances(fan.target_shapes, mode, config.gain, len(weight))
    shares = moments.needed(variances / variances.max())
    largest = power / EMBEDDING_SHARE / shares.min()
    _fill_trunk(theta, moments.variances(largest), generator)
    _fill(weight, variances.max() / moments.head_power(largest), generator)
    scales = np.sqrt((shares * largest - power) / chunks.shape[1])
    chunks.normal_(generator=generator).mul_(torch.as_tensor(scales).to(chunks).unsqueeze(1))
    _subtract_offset(theta, moments)


def _subtract_offset(theta: Tensors, moments: TrunkMoments) -> None:
    """Subtracts `TrunkMoments.offset` from the activations, by the biases of the layers that read them."""
    if not (moments.hidden and moments.offset):
        return
    for layer in [*(f"trunk.{number}" for number in range(1, len(moments.hidden))), "head"]:
        theta[f"{layer}.bias"].sub_(theta[f"{layer}.weight"].sum(1), alpha=moments.offset)


def _fill_trunk(theta: Tensors, variances: list[float], generator: Generator) -> None:
    for layer, variance in enumerate(variances):
        _fill(theta[f"trunk.{layer}.weight"], variance, generator)


def _fill_full_head(theta: Tensors, targets: list[InitTarget], power: float, generator: Generator) -> None:
    sizes = [target.size for target in targets]
    rows, means = torch.split(theta["head.weight"], sizes), torch.split(theta["head.bias"], sizes)
    for target, weight, bias in zip(targets, rows, means, strict=True):
        _fill(weight, target.variance / power, generator)
        bias.fill_(target.mean)


def _fill(parameter: Tensor, variance: float, generator: Generator) -> None:
    """Uniform with mean zero."""
    bound = sqrt(3 * variance)
    parameter.uniform_(-bound, bound, generator=generator)
