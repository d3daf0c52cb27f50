"""Pairs (task, chunk), as blocks of a grid or one by one.

Leading axes, the same before all tensors, are replicas.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """All pairs of some tasks and some successive chunks, chunk after chunk."""

    tasks: Tensor | None
    """Indices (tasks,); None for all."""
    chunks: slice

    def terms(self, of_tasks: Tensor, of_chunks: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of the grid's tasks and those of its chunks."""
        return of_tasks if self.tasks is None else of_tasks[..., self.tasks, :], of_chunks[..., self.chunks, :]

    def sums(self, of_tasks: Tensor, of_chunks: Tensor) -> Tensor:
        """of_tasks[t] + of_chunks[c] of each pair: (tasks, n) and (chunks, n) -> (pairs, n)."""
        tasks, chunks = self.terms(of_tasks, of_chunks)
        return (chunks.unsqueeze(-2) + tasks.unsqueeze(-3)).flatten(-3, -2)

    def rows(self, of_pairs: Tensor) -> Tensor:
        """(chunks, tasks, n) -> (pairs, n)."""
        chosen = of_pairs[..., self.chunks, :, :]
        return (chosen if self.tasks is None else chosen[..., self.tasks, :]).flatten(-3, -2)


@dataclass(frozen=True)
class Listed:
    """Pairs one by one."""

    tasks: Tensor
    """(pairs,)."""
    chunks: Tensor
    """(pairs,)."""

    def sums(self, of_tasks: Tensor, of_chunks: Tensor) -> Tensor:
        """As `Grid.sums`."""
        return of_tasks[..., self.tasks, :] + of_chunks[..., self.chunks, :]

    def rows(self, of_pairs: Tensor) -> Tensor:
        """As `Grid.rows`."""
        return of_pairs[..., self.chunks, self.tasks, :]

    def __len__(self) -> int:
        return len(self.tasks)

    def only(self, which: Tensor | slice) -> "Listed":
        """Some of the pairs, by indices or by truth values."""
        return Listed(self.tasks[which], self.chunks[which])

    def ids(self, num_chunks: int) -> Tensor:
        """A number for each pair: int64 (pairs,)."""
        return self.tasks * num_chunks + self.chunks

    def parts(self, size: int) -> Iterator["Listed"]:
        """The pairs in blocks of at most `size`."""
        for start in range(0, len(self), size):
            yield self.only(slice(start, start + size))

    def to(self, device: torch.device) -> "Listed":
        return Listed(self.tasks.to(device), self.chunks.to(device))


Pairs = Grid | Listed


def grid_product(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> Tensor:
    """Sum over all pairs (t, c) of l l'^T with l = left[0][t] + left[1][c] and l' likewise, without forming a pair.

    Args:
        left: terms of tasks (tasks, n) and of chunks (chunks, n).
        right: of the same tasks and chunks: (tasks, m) and (chunks, m).

    Returns:
        (n, m).
    """
    (tasks, chunks), (their_tasks, their_chunks) = left, right
    num_tasks, num_chunks = tasks.shape[-2], chunks.shape[-2]
    product = num_chunks * (tasks.mT @ their_tasks) + num_tasks * (chunks.mT @ their_chunks)
    product += _outer(tasks.sum(-2), their_chunks.sum(-2))
    return product.add_(_outer(chunks.sum(-2), their_tasks.sum(-2)))


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """(n,) and (m,) -> (n, m)."""
    return left.unsqueeze(-1) * right.unsqueeze(-2)


def add_product_(total: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Adds a matrix product, or one of each replica, in place: (n, k) and (k, m) to (n, m)."""
    return total.addmm_(left, right) if total.ndim == 2 else total.baddbmm_(left, right)
