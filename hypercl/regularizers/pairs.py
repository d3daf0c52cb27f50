"""Pairs (task, chunk), as blocks of a grid or one by one.

Leading axes, the same before all tensors, are replicas.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hypercl.tensors import numbers, on_device


@dataclass(frozen=True)
class Grid:
    """All pairs of some tasks and some successive chunks, chunk after chunk."""

    tasks: Tensor | None
    """None for all."""
    chunks: slice

    def sums(self, of_tasks: Tensor, of_chunks: Tensor) -> Tensor:
        """of_tasks[t] + of_chunks[c] of each pair: (tasks, n) and (chunks, n), or (chunks, tasks, n) -> (pairs, n)."""
        tasks = of_tasks if self.tasks is None else of_tasks.index_select(-2, self.tasks)
        if of_chunks.ndim > of_tasks.ndim:
            own = of_chunks[..., self.chunks, :, :]
            own = own if self.tasks is None else own.index_select(-2, self.tasks)
            return (own + tasks.unsqueeze(-3)).flatten(-3, -2)
        return (of_chunks[..., self.chunks, :].unsqueeze(-2) + tasks.unsqueeze(-3)).flatten(-3, -2)

    def rows(self, of_pairs: Tensor) -> Tensor:
        """(chunks, tasks, n) -> (pairs, n)."""
        chosen = of_pairs[..., self.chunks, :, :]
        return (chosen if self.tasks is None else chosen.index_select(-2, self.tasks)).flatten(-3, -2)


@dataclass(frozen=True)
class Listed:
    """Pairs one by one: tasks (pairs,) and chunks (pairs,)."""

    tasks: Tensor
    chunks: Tensor

    def sums(self, of_tasks: Tensor, of_chunks: Tensor) -> Tensor:
        """As `Grid.sums`."""
        chunks = self.rows(of_chunks) if of_chunks.ndim > of_tasks.ndim else of_chunks[..., self.chunks, :]
        return of_tasks[..., self.tasks, :] + chunks

    def rows(self, of_pairs: Tensor) -> Tensor:
        """As `Grid.rows`."""
        return of_pairs[..., self.chunks, self.tasks, :]

    def __len__(self) -> int:
        return len(self.tasks)

    def only(self, index: Tensor | slice) -> "Listed":
        """Some of the pairs, by a slice, indices or a mask."""
        return Listed(self.tasks[index], self.chunks[index])

    def ids(self, num_chunks: int) -> Tensor:
        """A number for each pair: int64 (pairs,)."""
        return self.tasks * num_chunks + self.chunks

    def parts(self, size: int) -> Iterator["Listed"]:
        """The pairs in blocks of at most `size`."""
        return (self.only(slice(start, start + size)) for start in range(0, len(self), size))

    def to(self, device: torch.device) -> "Listed":
        """On a device, for which the host does not wait."""
        return Listed(on_device(self.tasks, device), on_device(self.chunks, device))


Pairs = Grid | Listed


def over_pairs(sides: Tensor, tasks: int, chunks: slice) -> Iterator[tuple[slice, Tensor]]:
    """Without forming a pair: what each task, and each of some chunks, adds up to over the pairs that it is in.

    A pair's row is the sum of its task's and its chunk's. So the sum over all pairs of l r^T, with l and r of this
    kind, is that of `rows.mT @ right[places]` over both sides.

    Args:
        sides: rows of `tasks` tasks, then of all chunks: (tasks + chunks, n).
        tasks: how many.
        chunks: successive ones.

    Yields:
        For tasks, then chunks: their places among the sides, and their sums over pairs (tasks or chunks, n).
    """
    of_tasks, of_chunks = slice(0, tasks), slice(tasks + chunks.start, tasks + chunks.stop)
    for own, other in ((of_tasks, of_chunks), (of_chunks, of_tasks)):
        others = sides[..., other, :]
        yield own, torch.add(others.sum(-2, keepdim=True), sides[..., own, :], alpha=others.shape[-2])


@dataclass(frozen=True)
class Run:
    """Successive chunks for which the same rows of the head count for every task."""

    chunks: slice
    blocks: tuple[int, ...]
    """The blocks of rows that count for them, as indices into `Partition.rows`."""


@dataclass(frozen=True)
class Partition:
    """Rows of the head in blocks, chunks in runs, so that a block counts for a run wholly or not at all.

    Row r of chunk c generates the weight c * chunk_size + r. The last chunk ends where the weights end; weights of the
    target's heads count for some tasks only and belong to no block. Chunks of which nothing counts belong to no run.
    """

    rows: tuple[slice, ...]
    runs: tuple[Run, ...]

    @property
    def spans(self) -> list[slice]:
        """The chunks of all runs, with adjacent runs joined."""
        spans: list[slice] = []
        for run in self.runs:
            if spans and spans[-1].stop == run.chunks.start:
                spans[-1] = slice(spans[-1].start, run.chunks.stop)
            else:
                spans.append(run.chunks)
        return spans

    @property
    def num_chunks(self) -> int:
        """Chunks in all runs."""
        return sum(run.chunks.stop - run.chunks.start for run in self.runs)


def divide(num_weights: int, chunk_size: int, always: Sequence[tuple[int, int]]) -> Partition:
    """The partition of a chunked (or full: one chunk) head.

    Args:
        num_weights: weights of the target.
        chunk_size: rows of the head.
        always: ranges (start, stop) of weights that count for every task, in order, with gaps between them.
    """
    if not always:
        return Partition((), ())
    cuts = sorted({0, chunk_size} | {edge % chunk_size for edges in always for edge in edges})
    starts, ends = torch.tensor(always).unbind(1)
    first = torch.arange(0, num_weights, chunk_size).unsqueeze(1) + torch.tensor(cuts[:-1])
    after = first + torch.tensor(cuts).diff()
    index = torch.searchsorted(starts.contiguous(), first, right=True) - 1
    counts = (index >= 0) & (after <= ends[index.clamp(min=0)])
    used = counts.any(0)
    rows = tuple(slice(cuts[block], cuts[block + 1]) for block in numbers(used.nonzero().flatten()))
    counts = counts[:, used]
    changes = numbers((counts[1:] != counts[:-1]).any(1).nonzero().flatten() + 1)
    runs: list[Run] = []
    for start, stop in zip([0, *changes], [*changes, len(counts)], strict=True):
        blocks = numbers(counts[start].nonzero().flatten())
        if blocks:
            runs.append(Run(slice(start, stop), tuple(blocks)))
    return Partition(rows, tuple(runs))
