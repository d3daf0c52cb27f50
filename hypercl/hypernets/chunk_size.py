"""The chunk size with which a hypernetwork is as large as wanted."""

from dataclasses import dataclass
from math import ceil, floor, sqrt

import numpy as np


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
