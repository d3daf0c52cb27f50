"""Every cell of a grid once."""

import math
import random
from collections.abc import Iterable, Mapping
from typing import Any

from optuna.trial import FrozenTrial

from hypercl.config import Distribution, SweepFile, UserError
from hypercl.config.checks.conditions import is_active
from hypercl.sweep.study.space import listed, values_of

MOST_CELLS = 1_000_000


def most_trials(file: SweepFile) -> int:
    """Trials that a sweep trains at most: of a grid no more than it has cells, beside what was given."""
    search = file.search
    if search.sampler != "grid":
        return search.trials
    given = len(search.enqueue) + int(bool(search.include_base))
    return min(search.trials, Grid(file.space, search.seed).cells + given)


class Grid:
    """Every combination of the listed values once, in a shuffled order that depends on the seed alone.

    An entry whose conditions do not hold is no part of a cell. A cell is taken when any trial has its values, the
    enqueued experiment included. Optuna's own grid sampler raises at the last cells when asked and told, and trains the
    experiment's own cell twice.

    Raises:
        UserError: a range that cannot be listed, or too many cells.
    """

    def __init__(self, space: Mapping[str, Distribution], seed: int) -> None:
        self._space, self._values = space, listed(space)
        self.cells = cells = math.prod(len(values) for values in self._values.values())
        if cells > MOST_CELLS:
            raise UserError(f"the grid has {cells:,} cells, more than {MOST_CELLS:,}: use fewer values, or tpe")
        self._order = random.Random(seed).sample(range(cells), cells)

    def next_cell(self, trials: Iterable[FrozenTrial]) -> dict[str, Any] | None:
        """The first cell that no trial has, or None."""
        taken = {self._key(trial.params) for trial in trials}
        cells = (cell for index in self._order if (cell := self._cell(index)) is not None)
        return next((cell for cell in cells if self._key(cell) not in taken), None)

    def _key(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(repr(params[path]) if path in params else "" for path in self._values)

    def _cell(self, index: int) -> dict[str, Any] | None:
        """The cell of a number; None for one that differs from another only in what is no part of it."""
        cell: dict[str, Any] = {}
        values: dict[str, Any] = {}
        for path, possible in self._values.items():
            index, position = divmod(index, len(possible))
            if is_active(self._space, path, values):
                cell[path] = possible[position]
                values |= values_of(self._space, {path: cell[path]})
            elif position:
                return None
        return cell
