"""The output regulariser: keeps what the hypernetwork generates for earlier tasks."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Generator, Tensor
from torch.nn import functional

from hypercl.regularizers.masks import HeadMask
from hypercl.regularizers.trunk_pass import LinearHead
from hypercl.tensors import Tensors, add_all_, add_product_, on_device

Strength = float | Tensor


@dataclass(frozen=True)
class Anchor:
    """The earlier tasks before the current one; derived from a snapshot, so never part of a checkpoint."""

    embeddings: Tensor
    """(tasks, dim)."""


AnyAnchor = TypeVar("AnyAnchor", bound=Anchor)


class OutputRegularizer(ABC, Generic[AnyAnchor]):
    """R = (1/|S|) sum_{j in S} sum_w m_jw (h(e_j*, theta*)_w - h(e_j, theta)_w)^2 (von Oswald et al. 2020, eq. 2).

    S are the earlier tasks that are compared, theta* and e_j* the parameters and embeddings before the current task,
    m the mask; the embeddings are e_j = e_j* unless earlier ones are trained too. With a look-ahead, `theta` (and
    `embeddings`) is the shifted point theta + dtheta: the step is held constant, so the gradient there is the gradient
    with respect to theta. Both sides are in evaluation mode, without noise and dropout: the network that predicts must
    not change. Leading axes, the same before all tensors, are replicas, each with its own R.

    Args:
        hypernet: the hypernetwork.
        mask: which weights count; None counts all.
    """

    def __init__(self, hypernet: LinearHead, mask: HeadMask | None = None) -> None:
        self.hypernet = hypernet
        self.mask = mask

    @abstractmethod
    def anchor(self, theta: Tensors, embeddings: Tensor) -> AnyAnchor:
        """The reference of a task's steps, computed once before the first.

        Args:
            theta: parameters before the task.
            embeddings: of the earlier tasks, at least one, in the order of the stream: (tasks, dim).
        """

    @abstractmethod
    def add_gradient_(
        self,
        gradient: Tensors,
        theta: Tensors,
        anchor: AnyAnchor,
        strength: Strength = 1.0,
        tasks: Tensor | None = None,
        embeddings: Tensor | None = None,
    ) -> Tensor:
        """R; adds `strength` times its gradient to `gradient` in place.

        Args:
            gradient: by the names in theta; with `embeddings` also `embeddings` (tasks, dim).
            theta: where R is evaluated; nothing is differentiated through it.
            anchor: from `anchor`.
            strength: beta; one per replica if there are several.
            tasks: the tasks of S, int64 (|S|,); None compares all.
            embeddings: where R is evaluated, of all earlier tasks, in S or not (tasks, dim); None takes the anchor's.
                Those outside S get nothing added.

        Returns:
            R itself, without the strength: a scalar, or (replicas,).
        """

    def value_and_grad(
        self, theta: Tensors, anchor: AnyAnchor, embeddings: Tensor | None = None, **subset: Any
    ) -> tuple[Tensor, Tensors]:
        """R and its gradient by the names in theta, and `embeddings` if passed; arguments as in `add_gradient_`."""
        params = theta if embeddings is None else {**theta, "embeddings": embeddings}
        gradient = {name: torch.zeros_like(value) for name, value in params.items()}
        return self.add_gradient_(gradient, theta, anchor, embeddings=embeddings, **subset), gradient


@dataclass(frozen=True)
class DirectAnchor(Anchor):
    """Targets of the direct form, or what they are computed from."""

    theta: Tensors
    """Parameters before the current task."""
    whole: Tensor | None
    """Generated weights of the earlier tasks, if stored; the last chunk whole: (tasks, chunks * chunk_size)."""
    targets: Tensor | None
    """The same, cut: (tasks, weights)."""
    drops: Tensor | None
    """What the mask leaves out, of the weights of its span: bool (tasks, span)."""
    importance: Tensor | None
    """Factors of the squares, (tasks, chunks * chunk_size), or (tasks, 1) where a task's weights share one."""

    def of_replica(self, index: int) -> "DirectAnchor":
        def own(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[index]

        return replace(
            self,
            embeddings=self.embeddings[index],
            theta={name: value[index] for name, value in self.theta.items()},
            whole=own(self.whole),
            targets=own(self.targets),
            importance=own(self.importance),
        )


class DirectForm(OutputRegularizer[DirectAnchor]):
    """Generates the earlier tasks' weights and compares them: all tasks in one batched pass.

    It can also multiply each square (...)_jw^2 by an importance f_jw, which is part of the anchor.

    With `store` it keeps the targets of all earlier tasks, (tasks, weights); otherwise those of the compared tasks are
    generated again at each step, which pays where a step compares few of many tasks.
    """

    def __init__(self, hypernet: LinearHead, mask: HeadMask | None = None, store: bool = True) -> None:
        super().__init__(hypernet, mask)
        self.store = store

    @torch.no_grad()
    def anchor(self, theta: Tensors, embeddings: Tensor, importance: Tensor | None = None) -> DirectAnchor:
        """As of the base class.

        `importance` are the factors f of the squares: (tasks, num_weights), or (tasks, 1) for one a task.
        """
        theta = {name: parameter.detach().clone() for name, parameter in theta.items()}
        embeddings = embeddings.detach().clone()
        drops = None if self.mask is None else self.mask.drops(slice(embeddings.shape[-2]))
        whole = targets = None
        if self.store:
            whole = self._generated(theta, embeddings)
            targets = whole[..., : self.hypernet.num_weights]
        if importance is not None and importance.shape[-1] > 1:  # what the last chunk has too much counts as nothing
            padding = self.hypernet.num_chunks * self.hypernet.chunk_size - self.hypernet.num_weights
            importance = functional.pad(importance, (0, padding))
        return DirectAnchor(embeddings, theta, whole, targets, drops, importance)

    @torch.no_grad()
    def add_gradient_(
        self,
        gradient: Tensors,
        theta: Tensors,
        anchor: DirectAnchor,
        strength: Strength = 1.0,
        tasks: Tensor | None = None,
        embeddings: Tensor | None = None,
    ) -> Tensor:
        tasks = None if tasks is None else on_device(tasks, anchor.embeddings.device)
        leaves = {name: value.detach().requires_grad_() for name, value in theta.items() if name != "head"}
        moved, head = None if embeddings is None else embeddings.detach().requires_grad_(), theta["head"].detach()
        with torch.enable_grad():
            compared = of_tasks(tasks, anchor.embeddings if moved is None else moved)
            hidden = self.hypernet.hidden_activations(leaves, compared).flatten(-3, -2)
        extended = _with_one(hidden.detach())
        residual = self._residual(extended, head, self._targets(anchor, tasks))
        if self.mask is not None and anchor.drops is not None:
            self.mask.apply_(residual, of_tasks(tasks, anchor.drops))
        count = residual.shape[-2]
        # a float32 vector_norm of ten million numbers was off by 7e-4, this sum by 6e-8
        if anchor.importance is None:
            value = residual.square().sum((-2, -1)) * (1 / count)
        else:
            weighted = residual * of_tasks(tasks, anchor.importance)
            value = residual.mul_(weighted).sum((-2, -1)) * (1 / count)
            residual = weighted
        factor = for_matrices(strength) * (2 / count)
        if isinstance(factor, Tensor):
            residual, factor = residual.mul_(factor), 1.0
        of_pairs = self._pairs(residual)
        add_product_(gradient["head"], of_pairs.mT, extended, factor)
        reached = add_product_(torch.empty_like(extended[..., :-1]), of_pairs, head[..., :-1], factor, beta=0)
        params = leaves if moved is None else {**leaves, "embeddings": moved}
        if params:  # none is left of one linear layer without chunks
            found = torch.autograd.grad(hidden, list(params.values()), reached)
            add_all_([gradient[name] for name in params], found)
        return value

    def _pairs(self, weights: Tensor) -> Tensor:
        """(tasks, all chunks) -> (pairs, chunk_size)."""
        return weights.unflatten(-1, (-1, self.hypernet.chunk_size)).flatten(-3, -2)

    def _tasks(self, weights: Tensor) -> Tensor:
        """(pairs, chunk_size) -> (tasks, all chunks)."""
        return weights.unflatten(-2, (-1, self.hypernet.num_chunks)).flatten(-2)

    def _residual(self, extended: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        """Generated weights, from the head's inputs of the pairs, less their targets: (tasks, all chunks)."""
        product = torch.addmm if extended.ndim == 2 else torch.baddbmm
        residual = self._tasks(product(self._pairs(targets), extended, head.mT, beta=-1))
        if (cut := self.hypernet.num_weights) < residual.shape[-1]:
            residual[..., cut:] = 0
        return residual

    def _targets(self, anchor: DirectAnchor, tasks: Tensor | None) -> Tensor:
        """What the tasks' weights are compared with, the last chunk whole."""
        if anchor.whole is not None:
            return of_tasks(tasks, anchor.whole)
        return self._generated(anchor.theta, of_tasks(tasks, anchor.embeddings))

    def _generated(self, theta: Tensors, embeddings: Tensor) -> Tensor:
        """Weights of tasks, the last chunk whole: (tasks, chunks * chunk_size)."""
        extended = _with_one(self.hypernet.hidden_activations(theta, embeddings).flatten(-3, -2))
        return self._tasks(extended @ theta["head"].mT)


def _with_one(hidden: Tensor) -> Tensor:
    """(pairs, h) -> (pairs, h + 1)."""
    return functional.pad(hidden, (0, 1), value=1.0)


def of_tasks(tasks: Tensor | None, rows: Tensor) -> Tensor:
    """The rows (tasks, n) of some tasks, or of all."""
    return rows if tasks is None else rows.index_select(-2, tasks)


def for_matrices(strength: Strength) -> Strength:
    """(replicas,) -> (replicas, 1, 1)."""
    return strength[:, None, None] if isinstance(strength, Tensor) else strength


def draw_subset(num_tasks: int, size: int, generator: Generator) -> Tensor:
    """`size` of the tasks 0 .. num_tasks - 1, uniform without replacement: int64, on the generator's device."""
    return torch.randperm(num_tasks, generator=generator, device=generator.device)[:size]
