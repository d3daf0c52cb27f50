"""Who suggests the next setting."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from hypercl.config import Distribution, UserError
from hypercl.config.sweep import Search
from hypercl.seeds import derive
from hypercl.sweep.space import distributions, listed

MOST_CELLS = 1_000_000


def sampler_of(search: Search, space: Mapping[str, Distribution], trials_there: int) -> BaseSampler:
    """The sampler of a sweep.

    Args:
        search: the file's section.
        space: key path -> distribution.
        trials_there: trials already in the study; part of the seed, since a sampler seeded alike would repeat its
            first suggestions after a restart.
    """
    if search.sampler == "grid":
        return Grid(space, search.seed)
    seed = derive(search.seed, "sampler", trials_there) % 2**32
    if search.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(n_startup_trials=search.startup_trials, multivariate=True, constant_liar=True, seed=seed)


class Grid(BaseSampler):
    """Every combination of the listed values once, in a shuffled order that depends on the seed alone.

    A cell is taken when any trial has its values, the enqueued experiment included. Optuna's own grid sampler raises
    at the last cells when asked and told, and trains the experiment's own cell twice.
    """

    def __init__(self, space: Mapping[str, Distribution], seed: int) -> None:
        self._values = listed(space)
        self._distributions = distributions(space)
        self.cells = math.prod(len(values) for values in self._values.values())
        if self.cells > MOST_CELLS:
            raise UserError(f"the grid has {self.cells:,} cells, more than {MOST_CELLS:,}: use fewer values, or tpe")
        self._order = random.Random(seed).sample(range(self.cells), self.cells)

    def next_cell(self, study: Study) -> dict[str, Any] | None:
        """The first cell that no trial has, or None."""
        taken = {
            tuple(trial.params[path] for path in self._values)
            for trial in study.get_trials(deepcopy=False)
            if all(path in trial.params for path in self._values)
        }
        return next((cell for cell in map(self._cell, self._order) if tuple(cell.values()) not in taken), None)

    def _cell(self, index: int) -> dict[str, Any]:
        cell: dict[str, Any] = {}
        for path, values in self._values.items():
            index, position = divmod(index, len(values))
            cell[path] = values[position]
        return cell

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        return self.next_cell(study) or {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._values[param_name][0]

    def after_trial(self, study: Study, trial: FrozenTrial, state: Any, values: Sequence[float] | None) -> None:
        """Nothing is remembered: the study is the memory."""
