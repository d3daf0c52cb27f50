"""From the section `hypernet` to a hypernetwork."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, floor, sqrt

import numpy as np
import torch
from torch import Generator, Tensor

from hypercl.config import OutOfReach
from hypercl.config.models import ChunkedHypernet, Hypernet
from hypercl.hypernets.hypernetwork import Hypernetwork
from hypercl.hypernets.initialize import Shapes

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class OwnWeights:
    """A hypernetwork's seam without a hypernetwork: theta is the target's weights, and every task has the same.

    Task embeddings are empty: (tasks, 0).

    Example:
        >>> own = OwnWeights(3, lambda seed: torch.ones(3))
        >>> own(own.init(torch.Generator()), torch.zeros(2, 0))
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """

    num_weights: int
    """Weights of the target."""
    draw_weights: Callable[[int], Tensor]
    """Initial weights (num_weights,) from a seed, on the CPU."""
    task_embedding = 0
    embedding_init = "normal"
    random = False

    @property
    def chunk_size(self) -> int:
        """All weights are one piece."""
        return self.num_weights

    @property
    def num_parameters(self) -> int:
        """Numbers in theta."""
        return self.num_weights

    def init(self, generator: Generator) -> Tensors:
        """The weights that the target's module begins with."""
        return {"weights": self.draw_weights(generator.initial_seed())}

    def init_embeddings(self, tasks: int, generator: Generator) -> Tensor:
        """Nothing: (tasks, 0)."""
        return torch.zeros(tasks, 0, device=generator.device)

    def draw(self, tasks: int, generator: Generator) -> Tensors:
        """Nothing is random in a step."""
        del tasks, generator
        return {}

    def __call__(self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None) -> Tensor:
        """The weights of some tasks: (tasks, num_weights)."""
        del drawn
        weights = theta["weights"].unsqueeze(-2)
        return weights.expand(*weights.shape[:-2], embeddings.shape[-2], self.num_weights)

    def generate(
        self, theta: Tensors, embeddings: Tensor, drawn: Tensors | None = None
    ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensors, Tensor]]]:
        """As `Hypernetwork.generate`: weights (tasks, num_weights) and the way back from their gradient."""

        def back(gradient: Tensor) -> tuple[Tensors, Tensor]:
            return {"weights": gradient.sum(-2)}, torch.zeros_like(embeddings)

        return self(theta, embeddings, drawn).detach(), back


@dataclass(frozen=True)
class ChunkCosts:
    """Parameters as a function of the chunk size D: fixed + D (h + 1) + ceil(N / D) n_c.

    They fall and then rise with D: the head grows, the chunk embeddings become fewer.
    """

    num_weights: int
    """N, weights of the target."""
    fixed: int
    """Numbers in trunk and task embeddings."""
    per_row: int
    """h + 1, numbers in a row of the head."""
    per_chunk: int
    """n_c, numbers in a chunk embedding."""

    def parameters(self, size: int) -> int:
        """Numbers in the whole hypernetwork, task embeddings included, with this chunk size."""
        return self.fixed + size * self.per_row + -(-self.num_weights // size) * self.per_chunk

    def ratio(self, size: int) -> float:
        """Compression ratio with this chunk size."""
        return self.parameters(size) / self.num_weights

    def largest(self, ratio: float) -> int | None:
        """The largest chunk size, at most N, whose compression ratio does not exceed `ratio`; None where all do.

        It has the fewest chunks, and among the sizes of so many chunks the ratio nearest to what is wanted. Found from
        above: what is left once the chunk embeddings of size D are paid bounds all sizes up to D, and the bound is
        lowered until it pays for itself.
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
        """The chunk size with the least compression ratio, the larger one of equals.

        The parameters lie at most n_c above the smooth curve D (h + 1) + N n_c / D, so no size is better where the
        curve is n_c or more above its own minimum: few sizes are left, and they are all tried.
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
        """The most parameters whose ratio, as a float, does not exceed `ratio`."""
        budget = floor(ratio * self.num_weights) + 1
        while budget / self.num_weights > ratio:
            budget -= 1
        return budget


def build_hypernet(config: Hypernet, num_weights: int, num_tasks: int, target_shapes: Shapes = ()) -> Hypernetwork:
    """The hypernetwork of a settings section.

    Args:
        config: chunked or full. A full one is a single chunk without a chunk embedding.
        num_weights: weights to generate. A chunk is never larger than this: rows of the head beyond it would be
            parameters that nothing reads.
        num_tasks: tasks of the stream; their embeddings count in a wanted compression ratio.
        target_shapes: names and shapes of the generated tensors; `init` of a hyperfan needs them, sizes do not.

    Raises:
        OutOfReach: no chunk size has so small a compression ratio.
    """
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
        target_shapes=tuple(target_shapes),
    )
    if not isinstance(config, ChunkedHypernet):
        return whole
    chunked = replace(whole, chunk_embedding=config.chunk_embedding)
    if isinstance(config.chunk_size, int):
        return replace(chunked, chunk_size=min(config.chunk_size, num_weights))
    return replace(chunked, chunk_size=_solved(config, chunked, num_tasks))


def _solved(config: ChunkedHypernet, chunked: Hypernetwork, num_tasks: int) -> int:
    costs = _costs(chunked, num_tasks)
    wanted = config.compression_ratio or 0.0
    size = costs.largest(wanted)
    if size is None:
        best = costs.least()
        least = costs.ratio(best)
        raise OutOfReach(
            f"hypernet.compression_ratio: {wanted:g} is not achievable; the minimum is {least:.4g}, with "
            f"chunk_size {best}\n"
            f"    why:     {costs.fixed:,} numbers in trunk and task embeddings, {costs.per_row} a weight of a chunk, "
            f"{costs.per_chunk} a chunk, for {costs.num_weights:,} weights\n"
            "    fix:     ask for more, or make the trunk or the embeddings smaller",
            constraint="compression_ratio",
            violation=least / wanted - 1,
        )
    return size


def _costs(one_chunk: Hypernetwork, num_tasks: int) -> ChunkCosts:
    """What other chunk sizes cost, from the hypernetwork with a single chunk of all weights."""
    weights, per_chunk = one_chunk.num_weights, one_chunk.chunk_embedding
    per_row = one_chunk.shapes["head"][1]
    trunk = one_chunk.num_parameters - weights * per_row - per_chunk
    return ChunkCosts(weights, trunk + num_tasks * one_chunk.task_embedding, per_row, per_chunk)
