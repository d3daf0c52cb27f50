"""Which form of the output regulariser is cheaper: a model of what a step costs in each.

Its constants are fitted to times measured on one CPU core: eleven hypernetworks of 10^3 to 2 10^6 weights, 1 to 400
earlier tasks. There the form that it picks took at most 1.5 times as long as the other.
"""

from dataclasses import dataclass
from typing import Literal

FormName = Literal["gram", "direct"]

OPERATIONS_PER_NUMBER = 32
"""Multiply-adds in the time that one float32 is read or written: both on two CPU cores and on a data-centre GPU."""
OPERATIONS_OF_OVERHEAD = 80_000_000
"""What the Gram form's many small calls cost more than the direct form's few, in multiply-adds of one CPU core."""


@dataclass(frozen=True)
class Sizes:
    """What the cost of a step depends on."""

    pairs: int
    """Pairs (task, chunk) compared."""
    own_weights: int
    """Generated weights of the pairs that hold their task's own head, where heads are masked."""
    inputs: int
    """h: what the head reads."""
    rows: int
    """What the head makes: weights a chunk."""
    trunk: int
    """Multiply-adds of the trunk for a pair."""
    linear: bool
    """Whether there is no trunk, so that the Gram form does not go through the pairs."""


def direct_cost(sizes: Sizes) -> float:
    """Cost of the direct form, in multiply-adds: three products (weights, and the two gradients) of every pair.

    Its (pairs, rows) numbers are gone through about twelve times.
    """
    products = 3 * sizes.pairs * (sizes.trunk + sizes.inputs * sizes.rows)
    return products + OPERATIONS_PER_NUMBER * 12 * sizes.pairs * sizes.rows


def gram_cost(sizes: Sizes) -> float:
    """Cost of the Gram form, in multiply-adds: four products of the head's rows and four of the pairs' activations.

    Weights of heads that count for some tasks only are compared directly.
    """
    pairs, h = 0 if sizes.linear else sizes.pairs, sizes.inputs
    products = 4 * sizes.rows * h * h + pairs * (4 * h * h + 3 * sizes.trunk) + 3 * sizes.own_weights * h
    passes = 9 * sizes.rows * h + 8 * pairs * h + 12 * sizes.own_weights
    return products + OPERATIONS_PER_NUMBER * passes + OPERATIONS_OF_OVERHEAD


def cheaper_form(sizes: Sizes) -> FormName:
    """The form whose step costs less."""
    return "gram" if gram_cost(sizes) < direct_cost(sizes) else "direct"
