"""What the values of a search say about its settings: expected values in the place of lucky ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from hypercl.analysis import NORMAL, posterior_of
from hypercl.config import SweepFile
from hypercl.config.models import StabilityDecay
from hypercl.sweep.study.outcome import is_complete


@dataclass(frozen=True)
class Belief:
    """An expected value, in the unit of the objective, and its standard deviation."""

    mean: float
    sd: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 %."""
        return self.mean - NORMAL * self.sd, self.mean + NORMAL * self.sd


def beliefs_of(
    file: SweepFile, trials: Sequence[FrozenTrial], further: Mapping[int, Sequence[float]] | None = None
) -> dict[int, Belief]:
    """Trial number -> the posterior of its setting's true mean value (`hypercl.analysis.posterior`).

    Args:
        file: as the trials were trained.
        trials: complete ones count, of one sweep.
        further: trial number -> values of its setting on further seeds; left out of account where the trials were
            shortened (`search.fidelity`) and these were not.

    Returns:
        Nothing where a value is exact, such as a compression ratio, where there are several goals, and under protocol
        `stability_decay`, whose trials are attempts at one task.
    """
    goals = file.objective.goals
    noisy = len(goals) == 1 and goals[0].metric.startswith("validation/")
    complete = [trial for trial in trials if is_complete(trial)]
    if not noisy or isinstance(file.protocol, StabilityDecay) or not complete:
        return {}
    more: Mapping[int, Sequence[float]] = {} if further is None or file.fidelity else further
    seeds = file.experiment.training.replicas
    settings = tuple(
        ((float(trial.values[0]), seeds), *((value, 1) for value in more.get(trial.number, ()))) for trial in complete
    )
    means, sds = _posterior(_points(complete), settings)
    return {trial.number: Belief(*pair) for trial, *pair in zip(complete, means, sds, strict=True)}


@lru_cache(maxsize=8)
def _posterior(
    points: tuple[tuple[float, ...], ...], settings: tuple[tuple[tuple[float, int], ...], ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of settings with their values and each value's number of seeds. Kept for who asks for the same trials again: the
    table, best.yaml, the final step."""
    found = posterior_of(np.reshape(points, (len(settings), -1)), settings)
    return tuple(found.mean.tolist()), tuple(found.sd.tolist())


def _points(trials: Sequence[FrozenTrial]) -> tuple[tuple[float, ...], ...]:
    """Settings as points of the unit cube, `(trials, coordinates)`: ranges scaled, logarithmic ones in their logarithm;
    choices of numbers by their rank, others one-hot, all as far apart as the ends of a range. A parameter that is no
    part of a setting is in the middle, or none of its choices."""
    space: dict[str, BaseDistribution] = {}
    for trial in trials:
        space |= {path: one for path, one in trial.distributions.items() if path not in space}
    return tuple(
        tuple(x for path, one in space.items() for x in _coordinates(path, one, trial.params)) for trial in trials
    )


def _coordinates(path: str, one: BaseDistribution, params: Mapping[str, Any]) -> list[float]:
    if isinstance(one, CategoricalDistribution):
        numbers = sorted(choice for choice in one.choices if isinstance(choice, int | float))
        if len(numbers) == len(one.choices) > 1:
            return [numbers.index(params[path]) / (len(numbers) - 1) if path in params else 0.5]
        return [float(path in params and params[path] == choice) / sqrt(2) for choice in one.choices]
    assert isinstance(one, IntDistribution | FloatDistribution)
    if path not in params or one.high == one.low:
        return [0.5]
    scale = np.log if one.log else float
    low, high = scale(one.low), scale(one.high)
    return [float((scale(params[path]) - low) / (high - low))]
