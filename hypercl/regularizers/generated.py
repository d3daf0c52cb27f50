"""The output regulariser of a hypernetwork without a linear head."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from hypercl.regularizers.masks import HeadMask
from hypercl.regularizers.output import DirectAnchor, Strength, for_matrices, of_tasks
from hypercl.tensors import Tensors, add_all_, on_device


class Generating(Protocol):
    """A hypernetwork of any kind."""

    def __call__(self, theta: Tensors, embeddings: Tensor) -> Tensor: ...
    def generate(
        self, theta: Tensors, embeddings: Tensor
    ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensors, Tensor]]]: ...


class GeneratedForm:
    """The direct form of the output regulariser, for hypernetworks of any kind: they generate and take gradients back.

    Arguments and results are those of `DirectForm`, without the shortcuts of a linear head.
    """

    def __init__(self, hypernet: Generating, mask: HeadMask | None = None, store: bool = True) -> None:
        self.hypernet, self.mask, self.store = hypernet, mask, store

    @torch.no_grad()
    def anchor(self, theta: Tensors, embeddings: Tensor, importance: Tensor | None = None) -> DirectAnchor:
        """As `DirectForm.anchor`."""
        theta = {name: parameter.detach().clone() for name, parameter in theta.items()}
        embeddings = embeddings.detach().clone()
        drops = None if self.mask is None else self.mask.drops(slice(embeddings.shape[-2]))
        targets = self.hypernet(theta, embeddings) if self.store else None
        return DirectAnchor(embeddings, theta, None, targets, drops, importance)

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
        """As `OutputRegularizer.add_gradient_`."""
        tasks = None if tasks is None else on_device(tasks, anchor.embeddings.device)
        at = anchor.embeddings if embeddings is None else embeddings
        generated, back = self.hypernet.generate(theta, of_tasks(tasks, at))
        residual = generated - self._targets(anchor, tasks)
        if self.mask is not None and anchor.drops is not None:
            self.mask.apply_(residual, of_tasks(tasks, anchor.drops))
        count = residual.shape[-2]
        pull = residual if anchor.importance is None else residual * of_tasks(tasks, anchor.importance)
        value = (pull * residual).sum((-2, -1)) / count
        of_theta, of_embeddings = back(pull * for_matrices(strength) * (2 / count))
        add_all_([gradient[name] for name in of_theta], list(of_theta.values()))
        if embeddings is not None and tasks is None:
            gradient["embeddings"] += of_embeddings
        elif embeddings is not None and tasks is not None:
            gradient["embeddings"].index_add_(-2, tasks, of_embeddings)
        return value

    def _targets(self, anchor: DirectAnchor, tasks: Tensor | None) -> Tensor:
        """What the tasks' weights are compared with."""
        if anchor.targets is not None:
            return of_tasks(tasks, anchor.targets)
        return self.hypernet(anchor.theta, of_tasks(tasks, anchor.embeddings))
