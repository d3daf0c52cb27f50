"""Which of a head's rows count for which chunks: what lets sums over weights become Gram matrices."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Run:
    """Successive chunks for which the same rows of the head count for every task."""

    chunks: slice
    """The chunks of the run."""
    blocks: tuple[int, ...]
    """The blocks of rows that count for them, as indices into `Partition.rows`."""

    @property
    def num_chunks(self) -> int:
        return self.chunks.stop - self.chunks.start


@dataclass(frozen=True)
class Partition:
    """Rows of the head in blocks, chunks in runs, so that a block counts for a run wholly or not at all.

    Row r of chunk c makes the weight c * chunk_size + r. The last chunk is cut where the weights end; weights of the
    target's heads count for some tasks only and belong to no block. Chunks of which nothing counts belong to no run.
    """

    rows: tuple[slice, ...]
    runs: tuple[Run, ...]

    @property
    def spans(self) -> list[slice]:
        """The chunks of all runs, those that follow each other together."""
        found: list[slice] = []
        for run in self.runs:
            if found and found[-1].stop == run.chunks.start:
                found[-1] = slice(found[-1].start, run.chunks.stop)
            else:
                found.append(run.chunks)
        return found

    @property
    def num_chunks(self) -> int:
        """Chunks in all runs."""
        return sum(run.num_chunks for run in self.runs)


def divide(num_weights: int, chunk_size: int, always: Sequence[tuple[int, int]]) -> Partition:
    """The partition of a chunked (or full: one chunk) head.

    Args:
        num_weights: weights of the target.
        chunk_size: rows of the head.
        always: first weight of each stretch that counts for every task and the one after its last, in order and
            apart from each other.
    """
    if not always:
        return Partition((), ())
    cuts = sorted({0, chunk_size} | {edge % chunk_size for stretch in always for edge in stretch})
    starts, ends = torch.tensor(always).unbind(1)
    first = torch.arange(0, num_weights, chunk_size).unsqueeze(1) + torch.tensor(cuts[:-1])
    after = first + torch.tensor(cuts).diff()
    stretch = torch.searchsorted(starts.contiguous(), first, right=True) - 1
    counts = (stretch >= 0) & (after <= ends[stretch.clamp(min=0)])
    used = counts.any(0)
    rows = tuple(slice(cuts[i], cuts[i + 1]) for i in used.nonzero().flatten().tolist())
    counts = counts[:, used]
    changes = ((counts[1:] != counts[:-1]).any(1).nonzero().flatten() + 1).tolist()
    runs = []
    for begin, end in zip([0, *changes], [*changes, len(counts)], strict=True):
        blocks = counts[begin].nonzero().flatten().tolist()
        if blocks:
            runs.append(Run(slice(begin, end), tuple(blocks)))
    return Partition(rows, tuple(runs))
