"""EWC on the parameters of a hypernetwork, instead of a regulariser of what they generate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor

from hypercl.methods.fisher import Learned
from hypercl.methods.learner import AnyHypernetwork
from hypercl.methods.network_learner import Network
from hypercl.regularizers import Quadratic, Strength
from hypercl.tensors import Tensors


@dataclass(frozen=True)
class FlatTheta:
    """Theta as one vector."""

    shapes: Mapping[str, tuple[int, ...]]
    """Of each parameter, in the vector's order."""

    def flat(self, theta: Tensors) -> Tensor:
        """Theta -> (n,); leading axes of all parameters are kept."""
        return torch.cat([theta[name].flatten(-len(shape)) for name, shape in self.shapes.items()], -1)

    def named(self, vector: Tensor) -> Tensors:
        """(n,) -> theta."""
        parts = vector.split([prod(shape) for shape in self.shapes.values()], -1)
        shapes = zip(self.shapes.items(), parts, strict=True)
        return {name: part.unflatten(-1, shape) for (name, shape), part in shapes}


class ThetaForm:
    """R = 1/2 sum_j sum_i F_ji (theta_i - theta_ji)^2 over earlier tasks j (Kirkpatrick et al., 2017, on theta).

    F_j is the diagonal Fisher information on task j's training data at theta_j, the parameters after it. The sum is
    held as one quadratic, so memory does not grow with the number of tasks. Evaluated at theta, without look-ahead.
    Source: the toy example of von Oswald et al. (2020).
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.theta = FlatTheta(shapes)

    def learned(
        self, hypernet: AnyHypernetwork, theta: Tensor, embedding: Tensor, networks: Sequence[Network]
    ) -> list[Learned]:
        """What the Fisher information of theta is taken of, for each replica.

        Args:
            hypernet: that generates.
            theta: (n,), or (replicas, n).
            embedding: of the task, (dim,), or (replicas, dim).
            networks: generated for it, one a replica.
        """
        thetas, rows = theta.reshape(len(networks), -1), embedding.reshape(len(networks), 1, -1)

        def generated(row: Tensor, vector: Tensor) -> Tensor:
            return hypernet(self.theta.named(vector), row)[0]

        parts = zip(thetas, rows, networks, strict=True)
        return [Learned(vector, partial(generated, row), network.buffers) for vector, row, network in parts]

    def add_gradient_(
        self, gradient: Tensors, theta: Tensors, anchor: Quadratic, strength: Strength = 1.0, **_: Any
    ) -> Tensor:
        """R, a scalar or (replicas,); adds `strength` times its gradient to `gradient` in place."""
        flat = self.theta.flat(theta)
        of_flat = torch.zeros_like(flat)
        value = anchor.add_gradient_(of_flat, flat, strength[:, None] if isinstance(strength, Tensor) else strength)
        for name, part in self.theta.named(of_flat).items():
            gradient[name] += part
        return value
