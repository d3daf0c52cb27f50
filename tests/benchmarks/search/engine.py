"""A sweep in virtual time: the project's own study, samplers and pruners, with a landscape in place of training."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from optuna.samplers._tpe import _truncnorm
from optuna.storages import InMemoryStorage
from scipy.special import log_ndtr

from hypercl.config import SweepFile
from hypercl.sweep.study import Outcome, SweepStudy
from hypercl.sweep.study import study as study_module
from tests.benchmarks.search.landscape import World

FRESH = 1000
"""Seeds from here on are those that no search has used."""


@dataclass(frozen=True)
class Tried:
    """A trial that ended."""

    number: int
    params: Mapping[str, Any]
    values: tuple[float, ...]
    """Of each seed, at the end; none where it was pruned."""
    curve: np.ndarray
    """The mean over its seeds at each report it came to."""
    spent: float
    """Training of the whole sweep when it ended, in trainings of one seed to the end."""

    @property
    def value(self) -> float:
        """The mean over its seeds."""
        return float(np.mean(self.values))


@dataclass
class Searched:
    """The trials of a sweep in the order in which they ended."""

    world: World
    trials: list[Tried] = field(default_factory=list)

    def until(self, spent: float) -> "Searched":
        """As it stood when so much had been spent."""
        return Searched(self.world, [trial for trial in self.trials if trial.spent <= spent + 1e-9])

    @property
    def complete(self) -> list[Tried]:
        """Trials that were not pruned."""
        return [trial for trial in self.trials if trial.values]

    @property
    def written(self) -> Mapping[str, Any]:
        """The setting as written."""
        return self.world.land.as_written


def searched(
    file: SweepFile,
    world: World,
    budget: float,
    seeds: int = 1,
    fresh: str = "",
    slots: int = 2,
) -> Searched:
    """Searches until a budget is spent.

    Args:
        file: the problem, with the strategy's sampler and pruner; `search.trials` is not looked at.
        world: what the landscape answers.
        budget: in trainings of one seed to the end.
        seeds: of each trial.
        fresh: 'seeds': other seeds for every trial; 'splits': another validation split for every trial, too.
        slots: trials at once.
    """
    # Half of a simulated sweep's time is this function, number by number in Python (Optuna 5.0).
    with (
        mock.patch.object(study_module, "open_journal", return_value=InMemoryStorage()),
        mock.patch.object(_truncnorm, "_log_ndtr", log_ndtr),
    ):
        study = SweepStudy(Path("study.journal"), "simulated", file, 1)
        return _searched(study, world, budget, seeds, fresh, slots)


def _searched(study: SweepStudy, world: World, budget: float, seeds: int, fresh: str, slots: int) -> Searched:
    found, queue, spent, reports = Searched(world), [], 0.0, world.land.reports
    running: dict[int, tuple[Mapping[str, Any], np.ndarray]] = {}
    clock = 0

    def start(now: int) -> None:
        suggestion = study.ask()
        number = suggestion.number
        first = seeds * number if fresh else 0
        split = number if fresh == "splits" else 0
        runs = [world.run(suggestion.params, first + place, split) for place in range(seeds)]
        running[number] = (suggestion.params, np.stack(runs))
        heapq.heappush(queue, (now + 1, number, 1))

    for _ in range(slots):
        start(clock)
    while queue and spent < budget:
        clock, number, report = heapq.heappop(queue)
        params, runs = running[number]
        spent += seeds / reports
        curve = runs[:, :report].mean(axis=0)
        stop = study.report(number, report, float(curve[-1]))
        if not stop and report < reports:
            heapq.heappush(queue, (clock + 1, number, report + 1))
            continue
        values = () if stop else tuple(map(float, runs[:, -1]))
        value = float(np.mean(values)) if values else None
        kind = "pruned" if stop else "complete"
        metrics = {} if value is None else {"validation/final_accuracy": value}
        study.decide(number, Outcome(kind, "", value, metrics))  # pyright: ignore[reportArgumentType]
        study.settle(number)
        found.trials.append(Tried(number, params, values, curve, spent))
        del running[number]
        start(clock)
    return found


def fresh_values(world: World, params: Mapping[str, Any], seeds: Sequence[int], splits: bool = False) -> np.ndarray:
    """A setting trained to its end on further seeds: (seeds,)."""
    return np.array([world.run(params, FRESH + seed, FRESH + seed if splits else 0)[-1] for seed in seeds])
