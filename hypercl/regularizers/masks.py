"""Which generated weights of a task count where each task has its own head."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from hypercl.tensors import numbers


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
        """The outputs of the span's weights, -1 for those between that are not the head's: (weights of the span,)."""
        self.heads = heads

    def drops(self, tasks: Tensor | slice) -> Tensor:
        """Whether a weight between the head's first and last is left out: bool, (tasks, weights of that span)."""
        first, end = self.heads[tasks].unsqueeze(-1).unbind(-2)
        others = (self.outputs < first) | (self.outputs >= end)
        return others & (self.outputs >= 0)

    def apply_(self, residual: Tensor, tasks: Tensor | slice) -> Tensor:
        """Sets to zero, in place, what does not count.

        Args:
            residual: (..., tasks, weights).
            tasks: the tasks of the rows, as an index into `heads`.
        """
        residual[..., self.span].masked_fill_(self.drops(tasks), 0.0)
        return residual

    def always(self, num_weights: int) -> list[tuple[int, int]]:
        """Stretches of weights that count for every task: the first of each and the one after its last."""
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
        places = (outputs >= 0).nonzero().flatten()
        if not len(places):
            return places, places
        first_chunk = self.span.start // chunk_size
        there = torch.zeros((self.span.stop - 1) // chunk_size + 1 - first_chunk, int(outputs.max()) + 2)
        there[(places + self.span.start) // chunk_size - first_chunk, outputs[places] + 1] = 1
        before = there.cumsum(1)  # (chunks, output): how many of the outputs before this one lie in the chunk
        first, end = heads.clamp(max=before.shape[1] - 1).unbind(1)
        found = (before[:, end] > before[:, first]).mT.nonzero()
        return found[:, 0].contiguous(), found[:, 1] + first_chunk

    def rows(self, chunk_size: int) -> slice:
        """Rows of a chunk among which all weights of the head lie."""
        places = ((self.outputs >= 0).nonzero().flatten() + self.span.start) % chunk_size
        return slice(int(places.min()), int(places.max()) + 1) if len(places) else slice(0, 0)

    def counts(self, tasks: Tensor, weights: Tensor) -> Tensor:
        """Whether weights belong to the own head of a task: bool, (pairs, weights).

        Args:
            tasks: (pairs,).
            weights: int64, any number, (pairs, weights); what lies outside the head does not belong to it.
        """
        inside = (weights >= self.span.start) & (weights < self.span.stop)
        outputs = self.outputs[(weights - self.span.start).clamp(0, max(len(self.outputs) - 1, 0))]
        first, end = self.heads[tasks].unsqueeze(-1).unbind(-2)
        return inside & (outputs >= first) & (outputs < end) & (outputs >= 0)


MOST_PARTS = 64
OPERATIONS_OF_A_PART = 4_000_000
"""What the calls of one more part cost, in multiply-adds."""
OPERATIONS_OF_A_NUMBER = 384
"""What a generated weight costs beside its products: some twelve passes, as in `hypercl.regularizers.output`."""


@dataclass(frozen=True)
class OwnRows:
    """Successive rows, and the pairs (task, chunk) in which any of them makes a weight of the task's own head."""

    rows: slice
    members: Tensor
    """The pairs, as numbers in a list of all such pairs: int64, (members,)."""
    counts: Tensor
    """Which rows make such a weight: bool, (members, rows)."""

    def among(self, chosen: Tensor, pairs: int) -> tuple[Tensor, Tensor]:
        """The members that are among chosen pairs, as places in that choice, and what counts for them.

        Args:
            chosen: different numbers of pairs, int64 (n,), in order.
            pairs: how many there are in all.
        """
        if len(chosen) == pairs:
            return self.members, self.counts
        places = torch.full((pairs,), -1, device=self.members.device)
        places[chosen.to(places.device)] = torch.arange(len(chosen), device=places.device)
        found = places[self.members]
        return found[found >= 0], self.counts[found >= 0]


def divide_rows(own: Tensor, start: int, inputs: int) -> tuple[OwnRows, ...]:
    """Rows in as many equal parts as make comparing them cheapest.

    With few parts, pairs go through rows that are none of their own; each part costs its calls.

    Args:
        own: which rows of each pair make a weight of its task's own head: bool, (pairs, rows).
        start: the first row's number in the head.
        inputs: h, what the head reads.
    """
    counts = [1 << power for power in range(MOST_PARTS.bit_length()) if 1 << power <= max(1, own.shape[1])]
    divisions = [_parts(own, start, count) for count in counts]
    return min(divisions, key=lambda parts: _cost(parts, inputs))


def _parts(own: Tensor, start: int, number: int) -> tuple[OwnRows, ...]:
    edges = [own.shape[1] * part // number for part in range(number + 1)]
    found: list[OwnRows] = []
    for first, end in pairwise(edges):
        members = own[:, first:end].any(1).nonzero().flatten()
        if len(members):
            found.append(OwnRows(slice(start + first, start + end), members, own[members, first:end]))
    return tuple(found)


def _cost(parts: tuple[OwnRows, ...], inputs: int) -> int:
    numbers = sum(part.counts.numel() for part in parts)
    return numbers * (3 * inputs + OPERATIONS_OF_A_NUMBER) + len(parts) * OPERATIONS_OF_A_PART
