"""Notices a loss or a weight that is no longer finite, without waiting for the device at each step."""

from collections.abc import Iterable
from math import isfinite

import torch
from torch import Tensor

from hypercl.tensors import numbers
from hypercl.training.progress import Divergence


class DivergenceDetector:
    """Keeps the losses of the steps since the last `check`, which finds the first that was not finite.

    Args:
        replicas: how many.
        known: those that diverged before and are not reported again.
    """

    def __init__(self, replicas: int, known: Iterable[int] = ()) -> None:
        self._seen: list[dict[str, Tensor]] = []
        self._last = 0
        self._first, self._value = [-1] * replicas, [0.0] * replicas
        self._known = set(known)

    def see(self, losses: dict[str, Tensor], iteration: int) -> None:
        """Takes note of the losses (replicas,) of a step, of which none is skipped."""
        self._seen.append(losses)
        self._last = iteration

    def check(self, task: int, finite: Tensor | None = None, iteration: int = 0) -> list[Divergence]:
        """Waits for the device.

        Args:
            task: the task being learned.
            finite: which replicas' numbers that predictions need are finite: bool, (replicas,).
            iteration: steps over the whole run.

        Returns:
            The replicas that diverged since the check before.
        """
        self._look()
        first_steps, values = self._first, self._value
        is_finite = [True] * len(first_steps) if finite is None else numbers(finite)
        if all(step < 0 for step in first_steps) and all(is_finite):
            return []
        divergences = [
            Divergence(replica, *((step, values[replica]) if step >= 0 else (iteration, float("nan"))), task)
            for replica, step in enumerate(first_steps)
            if replica not in self._known and (step >= 0 or not is_finite[replica])
        ]
        self._known |= {divergence.replica for divergence in divergences}
        return divergences

    def _look(self) -> None:
        """Finds each replica's first loss that is not finite among those seen."""
        seen, self._seen = self._seen, []
        if not seen:
            return
        parts = torch.stack([value.float() for losses in seen for value in losses.values()])
        totals = torch.unflatten(parts, 0, (len(seen), -1)).sum(dim=1)
        if bool(torch.isfinite(totals).all()):
            return
        for number, row in enumerate(numbers(totals), start=self._last - len(seen) + 1):
            for replica, total in enumerate(row):
                if self._first[replica] < 0 and not isfinite(total):
                    self._first[replica], self._value[replica] = number, total
