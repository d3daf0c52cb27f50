"""Notices a loss or a weight that is no longer finite, without waiting for the device at each step."""

from typing import Any

import torch
from torch import Tensor

from hypercl.training.progress import Diverged


class Watch:
    """Keeps on the device when a loss first was not finite; `check` reads it."""

    def __init__(self, device: torch.device) -> None:
        self._first = torch.full((), -1, dtype=torch.int64, device=device)
        self._value = torch.zeros((), device=device)

    def see(self, losses: dict[str, Tensor], iteration: int) -> None:
        """Takes note of the losses of a step."""
        total = torch.stack(list(losses.values())).sum()
        news = ~torch.isfinite(total) & (self._first < 0)
        self._first = torch.where(news, iteration, self._first)
        self._value = torch.where(news, total.to(self._value.dtype), self._value)

    def check(self, task: int, knowledge: dict[str, Any] | None = None, iteration: int = 0) -> None:
        """Waits for the device.

        Raises:
            Diverged: a loss was not finite, or a number that predictions need is not.
        """
        if int(self._first) >= 0:
            raise Diverged(int(self._first), float(self._value), task)
        if knowledge is not None and not all(bool(torch.isfinite(value).all()) for value in _floats(knowledge)):
            raise Diverged(iteration, float("nan"), task)


def _floats(tree: dict[str, Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for value in tree.values():
        if isinstance(value, dict):
            found += _floats(value)
        elif value.is_floating_point():
            found.append(value)
    return found
