"""Which generated weights of a task count where each task has its own head."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from hypercl.tensors import numbers, on_device


class HeadMask:
    """A weight of the head counts for a task only if its output is one of the task's own; all others always count.

    Args:
        output_of: the output that a weight belongs to, or -1: int64, (weights,).
        heads: first output of each task and the one after its last: int64, (tasks, 2).
    """

    def __init__(self, output_of: Tensor, heads: Tensor) -> None:
        owned = numbers((output_of >= 0).nonzero().flatten())
        self.span = slice(owned[0], owned[-1] + 1) if owned else slice(0, 0)
        """From the first weight of the head to its last."""
        self.outputs = output_of[self.span].clone()
        """The outputs of the span's weights, -1 for weights outside the head: (weights of the span,)."""
        self.heads = heads
        self._every_output = torch.arange(int(output_of.max()) + 1 if owned else 0, device=output_of.device)

    def of(self, weights: Sequence[slice], num_weights: int) -> "HeadMask | None":
        """The mask of some ranges of all weights, one after the other; None where they hold no weight of the head."""
        output_of = torch.full((num_weights,), -1, device=self.outputs.device)
        output_of[self.span] = self.outputs
        own = torch.cat([output_of[each] for each in weights])
        return HeadMask(own, self.heads) if bool((own >= 0).any()) else None

    def drops(self, tasks: Tensor | slice) -> Tensor:
        """Whether a weight of the span is left out: bool, (tasks, weights of the span)."""
        first, end = self.heads[tasks].unsqueeze(-1).unbind(-2)
        others = (self.outputs < first) | (self.outputs >= end)
        return others & (self.outputs >= 0)

    def apply_(self, residual: Tensor, drops: Tensor) -> Tensor:
        """Sets to zero, in place, what does not count of (..., tasks, weights); `drops` is that of the tasks."""
        residual[..., self.span].masked_fill_(drops, 0.0)
        return residual

    def counting(self, tasks: Tensor | slice, num_weights: int) -> Tensor:
        """For how many of some tasks each of all weights counts: int64, (num_weights,)."""
        first, end = self.heads[tasks].unsqueeze(-1).unbind(-2)
        owners = ((self._every_output >= first) & (self._every_output < end)).sum(0)
        found = torch.full((num_weights,), len(first), device=self.outputs.device)
        if len(owners):
            found[self.span] = torch.where(self.outputs >= 0, owners[self.outputs.clamp(min=0)], len(first))
        return found

    def always(self, num_weights: int) -> list[tuple[int, int]]:
        """Ranges of weights that count for every task, as (start, stop)."""
        owned = torch.zeros(num_weights + 2, dtype=torch.bool)
        owned[0] = owned[-1] = True
        owned[1:-1][self.span] = (self.outputs >= 0).cpu()
        edges = numbers((owned[1:] != owned[:-1]).nonzero().flatten())
        return list(zip(edges[::2], edges[1::2], strict=True))

    def owning_pairs(self, tasks: int, chunk_size: int) -> tuple[Tensor, Tensor]:
        """The pairs (task, chunk) in which weights of the task's own head lie, of the first `tasks` tasks.

        Returns:
            Tasks and chunks of the pairs, ordered by task: int64 (pairs,) each, on the CPU.
        """
        outputs, heads = self.outputs.cpu(), self.heads[:tasks].cpu()
        owned = (outputs >= 0).nonzero().flatten()
        if not len(owned):
            return owned, owned
        first_chunk = self.span.start // chunk_size
        present = torch.zeros((self.span.stop - 1) // chunk_size + 1 - first_chunk, int(outputs.max()) + 2)
        present[(owned + self.span.start) // chunk_size - first_chunk, outputs[owned] + 1] = 1
        before = present.cumsum(1)  # (chunks, output): number of smaller outputs in the chunk
        first, end = heads.clamp(max=before.shape[1] - 1).unbind(1)
        pairs = (before[:, end] > before[:, first]).mT.nonzero()
        return pairs[:, 0].contiguous(), pairs[:, 1] + first_chunk

    def rows(self, chunk_size: int) -> slice:
        """The span of rows of a chunk that holds all weights of the head."""
        rows = ((self.outputs >= 0).nonzero().flatten() + self.span.start) % chunk_size
        return slice(int(rows.min()), int(rows.max()) + 1) if len(rows) else slice(0, 0)

    def counts(self, tasks: Tensor, weights: Tensor) -> Tensor:
        """Whether weights, int64 (pairs, weights), belong to the own heads of tasks (pairs,): bool (pairs, weights)."""
        inside = (weights >= self.span.start) & (weights < self.span.stop)
        outputs = self.outputs[(weights - self.span.start).clamp(0, max(len(self.outputs) - 1, 0))]
        first, end = self.heads[tasks].unsqueeze(-1).unbind(-2)
        return inside & (outputs >= first) & (outputs < end) & (outputs >= 0)


MOST_PARTS = 64
OPERATIONS_OF_A_PART = 4_000_000
"""Cost of the calls of one more part, in multiply-adds."""
OPERATIONS_OF_A_NUMBER = 384
"""Cost of a generated weight beside its products: some twelve passes, as in `hypercl.regularizers.costs`."""


@dataclass(frozen=True)
class OwnRows:
    """Successive rows, and the pairs (task, chunk) in which any of them generates a weight of the task's own head."""

    rows: slice
    members: Tensor
    """The pairs, as indices into a list of all such pairs: int64, (members,)."""
    counts: Tensor
    """Which rows generate such a weight: bool, (members, rows)."""
    places: Tensor
    """The members on the host, where the device is another one."""

    def among(self, chosen: Tensor, pairs: int) -> tuple[Tensor, Tensor]:
        """The members among chosen ones of all `pairs`, (n,) in order and on the host: their positions there, and
        their counts; on the device, for which the host does not wait."""
        if len(chosen) == pairs:
            return self.members, self.counts
        positions = torch.full((pairs,), -1)
        positions[chosen] = torch.arange(len(chosen))
        members = positions[self.places]
        kept = (members >= 0).nonzero().flatten()
        device = self.members.device
        return on_device(members[kept], device), self.counts.index_select(0, on_device(kept, device))


def divide_rows(own: Tensor, start: int, inputs: int) -> tuple[OwnRows, ...]:
    """Rows in the number of equal parts that makes comparing them cheapest.

    With few parts, pairs pass rows that are not their own; each part costs its calls.

    Args:
        own: which rows of each pair generate a weight of its task's own head: bool, (pairs, rows).
        start: the first row's number in the head.
        inputs: h, the number of inputs of the head.
    """
    counts = [1 << power for power in range(MOST_PARTS.bit_length()) if 1 << power <= max(1, own.shape[1])]
    divisions = [_parts(own, start, count) for count in counts]
    return min(divisions, key=lambda parts: _cost(parts, inputs))


def _parts(own: Tensor, start: int, number: int) -> tuple[OwnRows, ...]:
    edges = [own.shape[1] * part // number for part in range(number + 1)]
    parts: list[OwnRows] = []
    for first, end in pairwise(edges):
        members = own[:, first:end].any(1).nonzero().flatten()
        if len(members):
            rows = slice(start + first, start + end)
            parts.append(OwnRows(rows, members, own[members, first:end], members.cpu()))
    return tuple(parts)


def _cost(parts: tuple[OwnRows, ...], inputs: int) -> int:
    numbers = sum(part.counts.numel() for part in parts)
    return numbers * (3 * inputs + OPERATIONS_OF_A_NUMBER) + len(parts) * OPERATIONS_OF_A_PART
