"""Losses that lie on the device, for which the host waits only where something is reported."""

from dataclasses import dataclass
from math import nan

import torch

from hypercl.methods import Losses
from hypercl.tensors import numbers
from hypercl.training.divergence import DivergenceDetector
from hypercl.training.progress import Divergence, Row
from hypercl.training.replicas import rows, without


@dataclass(frozen=True)
class _Unread:
    """A row of metrics.jsonl without its losses."""

    row: Row
    losses: Losses
    lr: float
    gone: set[int]
    """Replicas that had diverged."""


class UnreadLosses:
    """The losses of a task's steps since the last `read`.

    Args:
        replicas: how many.
        diverged: those that diverged before.
    """

    def __init__(self, replicas: int, diverged: dict[int, str]) -> None:
        self._divergence, self._diverged = DivergenceDetector(replicas, diverged), diverged
        self._rows: list[_Unread] = []

    def see(self, losses: Losses, iteration: int) -> None:
        """Takes note of a step's losses (replicas,), of which none is skipped."""
        self._divergence.see(losses, iteration)

    def keep(self, row: Row, losses: Losses, lr: float) -> None:
        """Keeps those of a step for a row of metrics.jsonl."""
        self._rows.append(_Unread(row, losses, lr, set(self._diverged)))

    def read(self, task: int, finite: torch.Tensor | None, iteration: int) -> tuple[list[Row], list[Divergence]]:
        """Waits for the device; arguments as of `DivergenceDetector.check`.

        Returns:
            The rows that were kept, nan for replicas that had diverged by then; and those that have since.
        """
        news = self._divergence.check(task, finite, iteration)
        found: list[Row] = []
        for each in self._rows:
            gone = each.gone | {one.replica for one in news if one.iteration <= each.row["iteration"]}
            measured = {f"loss/{name}": without(numbers(values), gone, nan) for name, values in each.losses.items()}
            found.append(each.row | rows(measured) | {"lr": each.lr})
        self._rows.clear()
        return found, news
