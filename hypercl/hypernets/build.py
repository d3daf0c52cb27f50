"""From the section `hypernet` to a hypernetwork."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, floor, sqrt

import numpy as np
import torch
from torch import Generator, Tensor

from hypercl.config import OutOfReach, UserError
from hypercl.config.models import (
    ChunkedHypernet,
    ComposedHypernet,
    Hypernet,
    ModulationHypernet,
    PartialHypernet,
    PerturbedHypernet,
    SelfAttentionHypernet,
    StructuredHypernet,
    TaskChunkedHypernet,
)
from hypercl.hypernets.compose import DrawWeights, composed, names_all
from hypercl.hypernets.composite import CompositeHypernetwork, Part
from hypercl.hypernets.hypernetwork import Hypernetwork
from hypercl.hypernets.initialize import Shapes, tensors_of
from hypercl.hypernets.self_attention import SelfAttentionHypernetwork, map_sizes
from hypercl.hypernets.structure import grouped
from hypercl.tensors import Tensors


@dataclass(frozen=True)
class OwnWeights:
    """A hypernetwork's interface without a hypernetwork: theta is the target's weights, the same for every task.

    Task embeddings are empty: (tasks, 0).

    Example:
        >>> own = OwnWeights(3, lambda seed: torch.ones(3))
        >>> own(own.init(torch.Generator()), torch.zeros(2, 0))
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """

    num_weights: int
    draw_weights: Callable[[int], Tensor]
    """Initial weights (num_weights,) from a seed, on the CPU."""
    embedding_size = 0
    embedding_init = "normal"
    random = False

    @property
    def chunk_size(self) -> int:
        return self.num_weights

    @property
    def num_parameters(self) -> int:
        return self.num_weights

    def init(self, generator: Generator) -> Tensors:
        """The weights by the target's own initialisation."""
        return {"weights": self.draw_weights(generator.initial_seed())}

    def init_embeddings(self, tasks: int, generator: Generator) -> Tensor:
        return torch.zeros(tasks, 0, device=generator.device)

    def draw(self, tasks: int, generator: Generator) -> Tensors:
        return {}

    def __call__(self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None) -> Tensor:
        weights = theta["weights"].unsqueeze(-2)
        return weights.expand(*weights.shape[:-2], embeddings.shape[-2], self.num_weights)

    def generate(
        self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None
    ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensors, Tensor]]]:
        """As `Hypernetwork.generate`."""

        def back(gradient: Tensor) -> tuple[Tensors, Tensor]:
            total = gradient.squeeze(-2) if gradient.shape[-2] == 1 else gradient.sum(-2)
            return {"weights": total}, embeddings  # which are empty, as is their gradient

        return self(theta, embeddings, drawn).detach(), back


@dataclass(frozen=True)
class ChunkCosts:
    """Parameters as a function of the chunk size D: fixed + D (h + 1) + ceil(N / D) n_c, of N generated weights.

    They fall and then rise with D: the head grows, the chunk embeddings become fewer.
    """

    num_weights: int
    """N, weights that are generated."""
    target_weights: int
    """Weights of the target, of which the parameters are a ratio: N, and those that are not generated."""
    fixed: int
    """Parameters of trunk and task embeddings, and those of the weights that are not generated."""
    per_row: int
    """h + 1, size of a row of the head."""
    per_chunk: int
    """n_c, size of a chunk embedding."""

    def ratio(self, size: int) -> float:
        """Compression ratio with this chunk size, task embeddings included."""
        chunks = -(-self.num_weights // size)
        return (self.fixed + size * self.per_row + chunks * self.per_chunk) / self.target_weights

    def largest(self, ratio: float) -> int | None:
        """The largest chunk size, at most N, whose compression ratio does not exceed `ratio`; None if all do.

        It has the fewest chunks, and among the sizes with that number of chunks the ratio nearest to the requested one.
        Searched from above: the budget left after the chunk embeddings of size D bounds all sizes up to D, and the
        bound is lowered until it is feasible.
        """
        if ratio >= self.ratio(self.num_weights):
            return self.num_weights
        budget = self._budget(ratio) - self.fixed
        size = self.num_weights
        while size > 0:
            chunks = -(-self.num_weights // size)
            bound = min(size, (budget - chunks * self.per_chunk) // self.per_row)
            if bound == size:
                return size
            size = bound
        return None

    def least(self) -> int:
        """The chunk size with the least compression ratio, the largest of equals.

        The parameters lie at most n_c above the smooth curve D (h + 1) + N n_c / D, so sizes where the curve is n_c or
        more above its minimum cannot be better: few remain, and all are tried.
        """
        lowest = 2 * sqrt(self.num_weights * self.per_row * self.per_chunk)
        top = lowest + self.per_chunk
        half = sqrt(top**2 - lowest**2)
        first = max(1, min(self.num_weights, floor((top - half) / (2 * self.per_row)) - 1))
        last = max(1, min(self.num_weights, ceil((top + half) / (2 * self.per_row)) + 1))
        sizes = np.arange(first, last + 1, dtype=np.int64)
        costs = sizes * self.per_row + -(-self.num_weights // sizes) * self.per_chunk
        return int(sizes[len(sizes) - 1 - costs[::-1].argmin()])

    def _budget(self, ratio: float) -> int:
        """The largest number of parameters whose ratio, as a float, does not exceed `ratio`."""
        budget = floor(ratio * self.target_weights) + 1
        while budget / self.target_weights > ratio:
            budget -= 1
        return budget


def build_hypernet(
    config: Hypernet | ComposedHypernet,
    num_weights: int,
    num_tasks: int,
    target_shapes: Shapes = (),
    draw_weights: DrawWeights | None = None,
) -> Hypernetwork | CompositeHypernetwork | SelfAttentionHypernetwork:
    """The hypernetwork of a section `hypernet`.

    Args:
        config: its kind. A full one is a single chunk without a chunk embedding.
        num_weights: weights to generate. A chunk is never larger: rows of the head beyond it would be unused.
        num_tasks: tasks of the stream, whose embeddings count in a compression ratio.
        target_shapes: names and shapes of the generated tensors; structured chunks, compositions and hyperfan
            initialisation need them.
        draw_weights: the target's own initial weights (num_weights,) from a seed, on the CPU; weights of a composition
            that are not generated need them before they are drawn.

    Raises:
        OutOfReach: no chunk size has a compression ratio as small as required.
        UserError: a part of a composition names no weight of the target, or a weight is in no part; a partial
            hypernetwork generates all.
    """
    compose = partial(
        composed, shapes=target_shapes, draw_weights=draw_weights, build=partial(build_hypernet, num_tasks=num_tasks)
    )
    if isinstance(config, PartialHypernet):
        if names_all(config.generated, target_shapes):
            raise UserError(
                "hypernet.generated: this names all layers, and a partial hypernetwork leaves some out\n"
                f"    given:   {list(config.generated)}\n"
                "    fix:     give hypernet.name chunked, or name fewer layers"
            )
        return _partial(config, compose, num_weights, num_tasks)
    if isinstance(config, ModulationHypernet):
        config = config.composed
    if isinstance(config, ComposedHypernet):
        return compose(config)
    whole = Hypernetwork(
        num_weights=num_weights,
        chunk_size=num_weights,
        hidden=config.hidden,
        task_embedding=config.task_embedding,
        activation=config.activation,
        normalization=config.normalization,
        dropout=config.dropout,
        noise=config.noise,
        embedding_scale=config.embedding_scale,
        embedding_init=config.embedding_init,
        initialization=config.init,
        target_tensors=tuple(tensors_of(target_shapes)),
    )
    if isinstance(config, StructuredHypernet):
        return _structured(config, whole, target_shapes)
    if isinstance(config, SelfAttentionHypernet):
        return _of_images(config, whole)
    return _chunked(config, whole, num_tasks) if isinstance(config, ChunkedHypernet) else whole


def _structured(config: StructuredHypernet, whole: Hypernetwork, shapes: Shapes) -> CompositeHypernetwork:
    """A hypernetwork for each group of tensors whose filters have one shape."""
    parts: list[Part] = []
    for group in grouped(shapes):
        size = group.chunk_size(config.chunk_size)
        tensors = tuple(whole.target_tensors[place] for place in group.places)
        embedding = config.chunk_embedding if size < group.num_weights else 0
        net = replace(
            whole, num_weights=group.num_weights, chunk_size=size, chunk_embedding=embedding, target_tensors=tensors
        )
        parts.append(Part(net, tuple(group.weights), slice(0, net.embedding_size)))
    return CompositeHypernetwork(tuple(parts))


def _of_images(config: SelfAttentionHypernet, whole: Hypernetwork) -> SelfAttentionHypernetwork:
    """Chunks are images, each of which begins as some small feature maps."""
    height, width, channels = (*config.chunk_image, 1)[:3]
    ((first_height, first_width), *_) = map_sizes((height, width), len(config.filters))
    chunks, maps = ceil(whole.num_weights / (height * width * channels)), config.filters[0] * first_height * first_width
    first = replace(whole, num_weights=chunks * maps, chunk_size=maps, chunk_embedding=config.chunk_embedding)
    layers = config.filters, config.attention, config.kernel
    return SelfAttentionHypernetwork(whole.num_weights, first, (channels, height, width), *layers)


def _partial(
    config: PartialHypernet,
    compose: Callable[[ComposedHypernet], CompositeHypernetwork],
    num_weights: int,
    num_tasks: int,
) -> CompositeHypernetwork:
    """Chunks of the generated weights beside those that are not."""
    if isinstance(config.chunk_size, int):
        return compose(config.composed(config.chunk_size))
    whole = compose(config.composed(num_weights))
    (generated,) = whole.generated
    assert isinstance(generated, Hypernetwork), "it is chunked"
    return compose(config.composed(_solved(config, generated, whole, num_tasks)))


def _chunked(config: ChunkedHypernet, whole: Hypernetwork, num_tasks: int) -> Hypernetwork:
    """Chunks of a given size, or of the largest that keeps to a compression ratio."""
    task_chunks = isinstance(config, TaskChunkedHypernet)
    perturbation = config.perturbation if isinstance(config, PerturbedHypernet) else 0.0
    chunked = replace(whole, chunk_embedding=config.chunk_embedding, task_chunks=task_chunks, perturbation=perturbation)
    solved = isinstance(config.chunk_size, str)
    size = _solved(config, chunked, chunked, num_tasks) if solved else config.chunk_size
    return replace(chunked, chunk_size=min(size, whole.num_weights))


def _solved(
    config: ChunkedHypernet, generated: Hypernetwork, whole: Hypernetwork | CompositeHypernetwork, num_tasks: int
) -> int:
    """The largest chunk size that keeps to the compression ratio.

    Args:
        config: has the ratio.
        generated: the hypernetwork, with a single chunk.
        whole: the same beside weights that are not generated, which count; where there are none, the same.
        num_tasks: of which each has an embedding.
    """
    num_weights, per_row = generated.num_weights, generated.shapes["head"][1]
    per_chunk = config.chunk_embedding * (num_tasks if generated.task_chunks else 1)
    fixed = whole.num_parameters + num_tasks * whole.embedding_size - num_weights * per_row - per_chunk
    costs = ChunkCosts(num_weights, whole.num_weights, fixed, per_row, per_chunk)
    required = config.compression_ratio or 0.0
    size = costs.largest(required)
    if size is None:
        best = costs.least()
        least = costs.ratio(best)
        partly = whole.num_weights > num_weights
        raise OutOfReach(
            f"hypernet.compression_ratio: {required:g} is not achievable; the minimum is {least:.4g}, with "
            f"chunk_size {best}\n"
            f"    why:     {fixed:,} parameters of trunk and task embeddings"
            f"{' and of weights that are not generated' if partly else ''}, {per_row} per weight of a chunk, "
            f"{per_chunk} per chunk, for {whole.num_weights:,} weights\n"
            f"    fix:     raise it, {'generate more layers, ' if partly else ''}or make the trunk or the embeddings "
            "smaller",
            constraint="compression_ratio",
            violation=least / required - 1,
        )
    return size
