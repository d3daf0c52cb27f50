"""Initial parameters of a hypernetwork."""

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Generator, Tensor, nn

from hypercl.config.models import HyperfanIn, HyperfanOut, Initialization, Normal, Xavier
from hypercl.hypernets.hyperfan import InitTarget, TrunkMoments, chunk_variances, init_targets

if TYPE_CHECKING:
    from hypercl.hypernets.hypernetwork import Hypernetwork

EMBEDDING_SHARE = 0.5
"""Share of the power of the input that noise and task embedding have in the weakest chunk of a chunked hyperfan."""

Tensors = dict[str, Tensor]


def initial_theta(hypernet: "Hypernetwork", generator: Generator) -> Tensors:
    """Parameters drawn as `hypernet.initialization` says: biases zero, chunk embeddings N(0, embedding_scale^2).

    Raises:
        ValueError: a hyperfan without `target_shapes`.
    """
    shapes = {part: shape for name, whole in hypernet.shapes.items() for part, shape in _parts(name, whole).items()}
    theta = {name: torch.zeros(shape, device=generator.device) for name, shape in shapes.items()}
    for name, parameter in theta.items():
        if name == "chunks":
            parameter.normal_(std=hypernet.embedding_scale, generator=generator)
        elif name.endswith(".scale"):
            parameter.fill_(1.0)
        elif name.endswith("weight"):
            _fill_plain(parameter, hypernet.initialization, generator)
    if isinstance(hypernet.initialization, HyperfanIn | HyperfanOut):
        _hyperfan(hypernet, hypernet.initialization, theta, generator)
    theta["head"] = torch.cat([theta["head.weight"], theta["head.bias"].unsqueeze(1)], dim=1)
    return {name: theta[name] for name in hypernet.shapes}


def _parts(name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """A parameter, or what is drawn by itself of it: the head's weight and bias."""
    return {"head.weight": (shape[0], shape[1] - 1), "head.bias": shape[:1]} if name == "head" else {name: shape}


def _fill_plain(weight: Tensor, config: Initialization, generator: Generator) -> None:
    if isinstance(config, Xavier):
        nn.init.xavier_uniform_(weight, generator=generator)
    elif isinstance(config, Normal):
        weight.normal_(std=config.std, generator=generator)


def _hyperfan(hypernet: "Hypernetwork", config: HyperfanIn | HyperfanOut, theta: Tensors, generator: Generator) -> None:
    """Sets weights, and where needed chunk embeddings and the head's bias, so that the outputs have given variances.

    Variances are those of the training-mode forward, noise and dropout included. With P the expected sum of squares of
    what the head reads, weights of the head of variance s make outputs of variance s P: a full hypernetwork divides
    each tensor's wanted variance by P (Chang et al., ICLR 2020). A chunked one has one head for all chunks; there the
    sizes of the chunk embeddings make the difference, as in hypnettorch; that form asks for task embeddings much
    smaller than N(0, 1), since they alone make the outputs too large. Here the head is scaled so that task
    embedding and noise are half of the input's power in the weakest chunk, whatever their size.
    """
    if not hypernet.target_shapes:
        raise ValueError(f"{config.name} needs the shapes of the target's tensors")
    mode = "in" if isinstance(config, HyperfanIn) else "out"
    moments = TrunkMoments(hypernet.hidden, hypernet.activation, hypernet.dropout, hypernet.normalization == "layer")
    shared = hypernet.task_embedding * hypernet.embedding_scale**2 + hypernet.noise
    if not hypernet.chunk_embedding:
        _fill_trunk(theta, moments.variances(shared), generator)
        _fill_full_head(
            theta, init_targets(hypernet.target_shapes, mode, config.gain), moments.head_power(shared), generator
        )
        return
    wanted = chunk_variances(hypernet.target_shapes, mode, config.gain, hypernet.chunk_size)
    shares = moments.needed(wanted / wanted.max())
    largest = shared / EMBEDDING_SHARE / shares.min()
    _fill_trunk(theta, moments.variances(largest), generator)
    _fill(theta["head.weight"], wanted.max() / moments.head_power(largest), generator)
    scales = np.sqrt((shares * largest - shared) / hypernet.chunk_embedding)
    theta["chunks"].normal_(generator=generator).mul_(torch.from_numpy(scales).to(theta["chunks"]).unsqueeze(1))


def _fill_trunk(theta: Tensors, variances: list[float], generator: Generator) -> None:
    for layer, variance in enumerate(variances):
        _fill(theta[f"trunk.{layer}.weight"], variance, generator)


def _fill_full_head(theta: Tensors, wanted: list[InitTarget], power: float, generator: Generator) -> None:
    sizes = [wish.size for wish in wanted]
    rows, means = theta["head.weight"].split(sizes), theta["head.bias"].split(sizes)
    for wish, weight, bias in zip(wanted, rows, means, strict=True):
        _fill(weight, wish.variance / power, generator)
        bias.fill_(wish.mean)


def _fill(parameter: Tensor, variance: float, generator: Generator) -> None:
    """Uniform with mean zero."""
    bound = sqrt(3 * variance)
    parameter.uniform_(-bound, bound, generator=generator)
