"""Quadratic penalties: weights are held at what they were, each as firmly as it mattered to earlier tasks."""

from dataclasses import dataclass

import torch
from torch import Tensor

Strength = float | Tensor


@dataclass(frozen=True)
class Quadratic:
    """Q(w) = 1/2 sum_i precision_i (w_i - centre_i)^2 + offset; leading axes, the same before all, are replicas.

    A sum of such penalties is one again, so that what is kept of earlier tasks does not grow with their number. In this
    form it is as exact as one of them: the same sum as A w^2 - 2 B w + C would, in float32, be a small difference of
    large numbers.
    """

    precision: Tensor
    """Not negative: (n,)."""
    centre: Tensor
    """(n,)."""
    offset: Tensor
    """Q at its centre: a scalar."""

    @classmethod
    def around(cls, centre: Tensor, precision: Tensor) -> "Quadratic":
        """What is 0 at its centre."""
        return cls(precision, centre, torch.zeros_like(centre[..., 0]))

    def plus(self, precision: Tensor, centre: Tensor) -> "Quadratic":
        """The sum of this penalty and of 1/2 sum_i precision_i (w_i - centre_i)^2.

        The centre is the mean of both, weighted by their precision; where neither holds a weight, it is the new one's.
        """
        total = self.precision + precision
        share = torch.where(total > 0, precision / total, 1.0)
        apart = centre - self.centre
        between = 0.5 * (self.precision * share * apart.square()).sum(-1)
        return Quadratic(total, self.centre + share * apart, self.offset + between)

    def pull_(self, gradient: Tensor, weights: Tensor, strength: Strength = 1.0) -> Tensor:
        """Q at some weights; its gradient, times a strength, is added to another in place.

        Args:
            gradient: (n,); changed.
            weights: (n,).
            strength: a number, or that of each replica, (replicas, 1).

        Returns:
            Q, without the strength: a scalar, or (replicas,).
        """
        apart = weights - self.centre
        pull = self.precision * apart
        value = 0.5 * torch.linalg.vecdot(pull, apart) + self.offset
        gradient += pull.mul_(strength)
        return value
