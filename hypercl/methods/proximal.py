"""A step of theta that solves, by steps of its own, for a change that is good for all tasks and small."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from hypercl.config.models import Proximal
from hypercl.regularizers import Optimizer, Rate
from hypercl.tensors import Tensors

Clip = Callable[[Tensors], Tensors]


@dataclass(frozen=True)
class ProximalSteps:
    """Minimises L(theta + change) + beta R(theta + change) + weight |change| from a change of 0.

    The norm, of all parameters together, is not squared; its gradient at 0 counts as 0. Source: the toy example of von
    Oswald et al. (2020).
    """

    config: Proximal
    optimizer: Optimizer[Any]
    """Of the change; its state outlives the step."""
    replicas: bool
    """Whether the first axis of all tensors is the replica, each with a norm of its own."""

    def change(
        self, theta: Tensors, moments: Tensors, lr: Rate, gradient: Callable[[Tensors], Tensors], clip: Clip
    ) -> Tensors:
        """The change of theta.

        Args:
            theta: before the step.
            moments: of the optimiser, which are changed in place.
            lr: its rate.
            gradient: of L + beta R at some parameters, by name.
            clip: applied to the whole gradient.
        """
        change = {name: torch.zeros_like(value) for name, value in theta.items()}
        for _ in range(self.config.steps):
            grads = gradient({name: value + change[name] for name, value in theta.items()})
            for name, pull in self.of_norm(change).items():
                grads[name] = grads[name] + self.config.weight * pull
            self.optimizer.step_(change, clip(grads), moments, lr)
        return change

    def of_norm(self, change: Tensors) -> Tensors:
        """The gradient of the norm: the change divided by it, and 0 at 0."""
        start = 1 if self.replicas else 0
        squares = [value.square().flatten(start).sum(-1) for value in change.values()]
        norm = torch.stack(squares).sum(0).sqrt()
        scale = torch.where(norm > 0, 1 / norm, 0.0)
        return {
            name: value * scale.view(-1, *[1] * (value.ndim - 1)) if start else value * scale
            for name, value in change.items()
        }
