"""Regularisers of the look-ahead step: how far it moves the weights of earlier tasks, with no reference from before."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol
from warnings import catch_warnings

import torch
from torch import Tensor

from hypercl.regularizers.gram_step import Point
from hypercl.regularizers.masks import HeadMask
from hypercl.regularizers.output import Anchor, Strength, for_matrices, of_tasks
from hypercl.tensors import Tensors, add_all_, on_device


class Generator(Protocol):
    """A hypernetwork of any kind."""

    @property
    def num_weights(self) -> int: ...
    def __call__(self, theta: Tensors, embeddings: Tensor) -> Tensor: ...


Weights = Callable[[Tensors], Tensor]
"""The weights (tasks, num_weights) of some tasks, of theta and `embeddings`."""
Back = Callable[[Tensor], tuple[Tensors, Tensors]]
"""From the gradient with respect to r to those with respect to where the step begins, and to the step."""


@dataclass(frozen=True)
class StepAnchor(Anchor):
    """The earlier tasks."""

    importance: Tensor | None
    """Factors of the squares, 0 where the mask leaves a weight out: (tasks, num_weights), or (tasks, 1); None: 1."""

    def of_replica(self, index: int) -> "StepAnchor":
        importance, shared = self.importance, self.embeddings.ndim
        if importance is not None and importance.ndim == shared:
            importance = importance[index]
        return replace(self, embeddings=self.embeddings[index], importance=importance)


class StepForm(ABC):
    """R = (1/|S|) sum_{j in S} sum_w m_jw f_jw r_jw^2, r_j what a step dtheta from theta does to the weights of task j.

    S are the earlier tasks that are compared, m the mask, f an importance. As the output regulariser, it is in
    evaluation mode, and leading axes, the same before all tensors, are replicas. All weights of the compared tasks are
    generated at once. Source: the toy example of von Oswald et al. (2020).

    Args:
        hypernet: the hypernetwork.
        mask: which weights count; None counts all.
    """

    def __init__(self, hypernet: Generator, mask: HeadMask | None = None) -> None:
        self.hypernet, self.mask = hypernet, mask

    def anchor(self, theta: Tensors, embeddings: Tensor, importance: Tensor | None = None) -> StepAnchor:
        """The earlier tasks, at least one; arguments as of `DirectForm.anchor`."""
        tasks = embeddings.shape[-2]
        if self.mask is not None:
            counts = embeddings.new_ones(tasks, self.hypernet.num_weights)
            self.mask.apply_(counts, self.mask.drops(slice(tasks)))
            importance = counts if importance is None else importance * counts
        return StepAnchor(embeddings.detach().clone(), importance)

    def add_gradient_(
        self,
        gradient: Tensors,
        theta: Tensors,
        anchor: StepAnchor,
        strength: Strength = 1.0,
        tasks: Tensor | None = None,
        embeddings: Tensor | None = None,
        *,
        origin: Point,
        of_step: Tensors | None = None,
    ) -> Tensor:
        """R; adds `strength` times its gradient at a constant step to `gradient` in place.

        Args:
            gradient: by the names in theta; with `embeddings` also `embeddings` (tasks, dim).
            theta: where the step leads to.
            anchor: from `anchor`.
            strength: beta; one per replica if there are several.
            tasks: the tasks of S, int64 (|S|,); None compares all.
            embeddings: where a step of the earlier embeddings leads to (tasks, dim); None if they are not trained.
            origin: theta and, if they are trained, the earlier embeddings before the step.
            of_step: strength times the gradient with respect to dtheta is added to it, by the names in theta.

        Returns:
            R itself, without the strength: a scalar, or (replicas,).
        """
        tasks = None if tasks is None else on_device(tasks, anchor.embeddings.device)
        names, there, before = list(gradient), embeddings, origin.embeddings
        if there is None or before is None:
            there = before = anchor.embeddings
        ahead, before = theta | {"embeddings": there}, origin.theta | {"embeddings": before}
        at = {name: value.detach().requires_grad_() for name, value in before.items()}
        step = {name: (ahead[name] - before[name]).detach() for name in before}
        with torch.enable_grad():
            residual, back = self._residual(_Tasks(self.hypernet, tasks), at, step)
        pull = residual if anchor.importance is None else residual * of_tasks(tasks, anchor.importance)
        count = residual.shape[-2]
        value = (pull * residual).sum((-2, -1)) / count
        with torch.enable_grad():
            of_at, of_dtheta = back(pull * for_matrices(strength) * (2 / count))
        add_all_([gradient[name] for name in names], [of_at[name] for name in names])
        if of_step is not None:
            add_all_([of_step[name] for name in theta], [of_dtheta[name] for name in theta])
        return value

    @abstractmethod
    def _residual(self, generate: Weights, at: Tensors, step: Tensors) -> tuple[Tensor, Back]:
        """r (tasks, num_weights), and how its gradient goes back; `at` requires a gradient."""


@dataclass(frozen=True)
class _Tasks:
    """Weights of some tasks as a function of theta and all embeddings."""

    hypernet: Generator
    tasks: Tensor | None

    def __call__(self, params: Tensors) -> Tensor:
        theta = {name: value for name, value in params.items() if name != "embeddings"}
        return self.hypernet(theta, of_tasks(self.tasks, params["embeddings"]))


class ValuePreserving(StepForm):
    """r_j = h(e_j, theta + dtheta) - h(e_j, theta)."""

    def _residual(self, generate: Weights, at: Tensors, step: Tensors) -> tuple[Tensor, Back]:
        moved = {name: value.requires_grad_() for name, value in step.items()}
        residual = generate({name: value + moved[name] for name, value in at.items()}) - generate(at)
        return residual.detach(), lambda pull: (_grads(residual, at, pull, again=True), _grads(residual, moved, pull))


class FirstOrder(StepForm):
    """r_j = J_j dtheta, J_j the Jacobian of h(e_j, theta): a Jacobian-vector product, at the cost of one pass more.

    Its gradient is that of <J^T u, dtheta> with u constant, a second derivative as of any loss. Through the product
    itself torch gives a wrong one where there is a layer normalisation (2.15, against finite differences).
    """

    def _residual(self, generate: Weights, at: Tensors, step: Tensors) -> tuple[Tensor, Back]:
        constant = {name: value.detach() for name, value in at.items()}
        _load_forward_mode()
        residual = torch.func.jvp(generate, (constant,), (step,))[1]

        def back(pull: Tensor) -> tuple[Tensors, Tensors]:
            of_step = _grads(generate(at), at, pull, graph=True)
            along = torch.stack([(of_step[name] * step[name]).sum() for name in at]).sum()
            of_at = _grads(along, at, None) if along.requires_grad else {n: torch.zeros_like(v) for n, v in at.items()}
            return of_at, {name: value.detach() for name, value in of_step.items()}

        return residual, back


def _grads(outputs: Tensor, inputs: Tensors, pull: Tensor | None, again: bool = False, graph: bool = False) -> Tensors:
    found = torch.autograd.grad(
        outputs, list(inputs.values()), pull, retain_graph=again or graph, create_graph=graph, materialize_grads=True
    )
    return dict(zip(inputs, found, strict=True))


@cache
def _load_forward_mode() -> None:
    """Forward-mode differentiation warns, when first used, of the `torch.jit.script` in torch's own code."""
    with catch_warnings(action="ignore", category=FutureWarning):
        torch.func.jvp(torch.sin, (torch.zeros(()),), (torch.zeros(()),))
