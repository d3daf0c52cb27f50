"""Notices a loss or a weight that is no longer finite, without waiting for the device at each step."""

from collections.abc import Iterable

import torch
from torch import Tensor

from hypercl.tensors import numbers
from hypercl.training.progress import Divergence


class DivergenceDetector:
    """Keeps on the device when a loss of each replica first was not finite; `check` reads it.

    Args:
        device: where the losses are.
        replicas: how many.
        known: those that diverged before and are not reported again.
    """

    def __init__(self, device: torch.device, replicas: int, known: Iterable[int] = ()) -> None:
        self._first = torch.full((replicas,), -1, dtype=torch.int64, device=device)
        self._value = torch.zeros(replicas, device=device)
        self._known = set(known)

    def see(self, losses: dict[str, Tensor], iteration: int) -> None:
        """Takes note of the losses (replicas,) of a step."""
        total = torch.stack(list(losses.values())).sum(dim=0)
        news = ~torch.isfinite(total) & (self._first < 0)
        self._first = torch.where(news, iteration, self._first)
        self._value = torch.where(news, total.to(self._value.dtype), self._value)

    def check(self, task: int, finite: Tensor | None = None, iteration: int = 0) -> list[Divergence]:
        """Waits for the device.

        Args:
            task: the task being learned.
            finite: which replicas' numbers that predictions need are finite: bool, (replicas,).
            iteration: steps over the whole run.

        Returns:
            The replicas that diverged since the check before.
        """
        first_steps = numbers(self._first)
        is_finite = [True] * len(first_steps) if finite is None else numbers(finite)
        if all(step < 0 for step in first_steps) and all(is_finite):
            return []
        values = numbers(self._value)
        divergences = [
            Divergence(replica, *((step, values[replica]) if step >= 0 else (iteration, float("nan"))), task)
            for replica, step in enumerate(first_steps)
            if replica not in self._known and (step >= 0 or not is_finite[replica])
        ]
        self._known |= {divergence.replica for divergence in divergences}
        return divergences
