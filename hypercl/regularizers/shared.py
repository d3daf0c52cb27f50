"""The output regulariser of weights that all tasks share: one difference a weight, whatever the number of tasks."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hypercl.regularizers.masks import HeadMask
from hypercl.regularizers.output import Anchor, Strength, for_matrices, of_tasks
from hypercl.tensors import Tensors, on_device


@dataclass(frozen=True)
class SharedAnchor(Anchor):
    """The weights before the current task, and how much each of them counts."""

    head: Tensor
    """(weights, 1)."""
    counts: Tensor
    """Sums of the factors m f over all earlier tasks: (weights, 1)."""
    factors: Tensor | None
    """m f of each task, (tasks, weights); None where there is no importance."""

    def of_replica(self, index: int) -> "SharedAnchor":
        factors, several = self.factors, self.head.ndim
        return replace(
            self,
            embeddings=self.embeddings[index],
            head=self.head[index],
            counts=self.counts[index] if self.counts.ndim == several else self.counts,
            factors=factors[index] if factors is not None and factors.ndim == several else factors,
        )


class SharedForm:
    """R = (1/|S|) sum_w c_w (w* - w)^2 with c_w = sum_{j in S} m_jw f_jw, as every task has the same weights w.

    Arguments and symbols are those of `OutputRegularizer` and, of the importance f, `DirectForm`.

    Args:
        num_weights: number of weights.
        mask: which of them count; None counts all.
    """

    def __init__(self, num_weights: int, mask: HeadMask | None = None) -> None:
        self.num_weights, self.mask = num_weights, mask

    @torch.no_grad()
    def anchor(self, theta: Tensors, embeddings: Tensor, importance: Tensor | None = None) -> SharedAnchor:
        """As `DirectForm.anchor`."""
        every, factors = slice(embeddings.shape[-2]), importance
        if factors is not None:
            factors = factors.expand(*factors.shape[:-1], self.num_weights).clone()
            if self.mask is not None:
                self.mask.apply_(factors, self.mask.drops(every))
        counts = self._counting(theta["head"], every) if factors is None else factors.sum(-2).unsqueeze(-1)
        return SharedAnchor(embeddings.detach().clone(), theta["head"].detach().clone(), counts, factors)

    @torch.no_grad()
    def add_gradient_(
        self,
        gradient: Tensors,
        theta: Tensors,
        anchor: SharedAnchor,
        strength: Strength = 1.0,
        tasks: Tensor | None = None,
        embeddings: Tensor | None = None,
    ) -> Tensor:
        """As `OutputRegularizer.add_gradient_`; the embeddings have no part in it."""
        counts, number = anchor.counts, anchor.embeddings.shape[-2]
        if tasks is not None:
            number, tasks = len(tasks), on_device(tasks, anchor.head.device)
            chosen = anchor.factors
            counts = (
                self._counting(anchor.head, tasks) if chosen is None else of_tasks(tasks, chosen).sum(-2)[..., None]
            )
        difference = theta["head"].detach() - anchor.head
        weighted = difference * counts
        gradient["head"] += weighted * (for_matrices(strength) * (2 / number))
        return (weighted * difference).sum((-2, -1)) * (1 / number)

    def _counting(self, head: Tensor, tasks: Tensor | slice) -> Tensor:
        """For how many of some tasks each weight counts: (weights, 1)."""
        if self.mask is None:
            number = tasks.stop if isinstance(tasks, slice) else len(tasks)
            return head.new_full((self.num_weights, 1), number)
        return self.mask.counting(tasks, self.num_weights).to(head.dtype).unsqueeze(-1)
