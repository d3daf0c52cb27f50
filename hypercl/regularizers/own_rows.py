"""Rows of a hypernetwork's head that make weights of the target's heads, each of which counts for its own task only."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

MOST_PARTS = 64
OPERATIONS_OF_A_PART = 4_000_000
"""What the calls of one more part cost, in multiply-adds."""
OPERATIONS_OF_A_NUMBER = 384
"""What a generated weight costs beside its products: some twelve passes, as in `hypercl.regularizers.choice`."""


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
    numbers = [1 << power for power in range(MOST_PARTS.bit_length()) if 1 << power <= max(1, own.shape[1])]
    divisions = [_parts(own, start, number) for number in numbers]
    return min(divisions, key=lambda parts: _cost(parts, inputs))


def _parts(own: Tensor, start: int, number: int) -> tuple[OwnRows, ...]:
    edges = [own.shape[1] * part // number for part in range(number + 1)]
    found = []
    for first, end in pairwise(edges):
        members = own[:, first:end].any(1).nonzero().flatten()
        if len(members):
            found.append(OwnRows(slice(start + first, start + end), members, own[members, first:end]))
    return tuple(found)


def _cost(parts: tuple[OwnRows, ...], inputs: int) -> int:
    numbers = sum(part.counts.numel() for part in parts)
    return numbers * (3 * inputs + OPERATIONS_OF_A_NUMBER) + len(parts) * OPERATIONS_OF_A_PART
