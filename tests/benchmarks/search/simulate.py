"""Many simulated sweeps of each strategy on a recorded problem, and what comes of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.search.engine import Searched, searched
from tests.benchmarks.search.landscape import Landscape, World
from tests.benchmarks.search.strategies import Strategy, decided

BUDGET = 40.0
"""Trainings of one seed to the end that a sweep has, confirming included."""
HARM = 0.001
"""A winner whose true mean is further than this below the setting as written was harm done."""

Case = tuple[Strategy, float]
"""A strategy and its budget."""
Row = tuple[float, float, float, float]
"""What `Outcomes` holds, of one sweep."""


@dataclass(frozen=True)
class Outcomes:
    """Of the sweeps of a strategy on a problem, each `(sweeps,)`."""

    gain: np.ndarray
    """True mean of each winner above that of the setting as written."""
    optimism: np.ndarray
    """What each promised above the true mean of its winner on its validation split."""
    inside: np.ndarray
    """1 where the promised interval of 95 % holds that mean, else 0."""
    bound: np.ndarray
    """The gain of the best setting that each tried: what no decision can exceed."""

    @property
    def harm(self) -> float:
        """Share of sweeps that did harm."""
        return float((self.gain < -HARM).mean())


def outcomes(land: Landscape, cases: Sequence[Case], seeds: Iterable[int]) -> list[Outcomes]:
    """What each case comes to, one sweep a seed."""
    rows = [sweep(land, cases, seed) for seed in seeds]
    return [Outcomes(*np.array([row[place] for row in rows]).T) for place in range(len(cases))]


def sweep(land: Landscape, cases: Sequence[Case], seed: int, slots: int = 2) -> list[Row]:
    """One sweep of each case; those that search alike share their search.

    Args:
        land: the problem.
        cases: any.
        seed: of the sweeps and their world.
        slots: trials at once.
    """
    most: dict[tuple[object, ...], float] = {}
    for strategy, budget in cases:
        most[strategy.search_key] = max(budget, most.get(strategy.search_key, 0.0))
    searches: dict[tuple[object, ...], Searched] = {}
    for strategy, _ in cases:
        key = strategy.search_key
        if key not in searches:
            file, world = strategy.file(land.file, seed), World(land, seed)
            searches[key] = searched(file, world, most[key], strategy.seeds, strategy.fresh, slots)
    known: dict[int, float] = {}
    return [_row(land, strategy, searches[strategy.search_key], budget, known) for strategy, budget in cases]


def _row(land: Landscape, strategy: Strategy, whole: Searched, budget: float, known: dict[int, float]) -> Row:
    def truth(params: Mapping[str, object]) -> float:
        if id(params) not in known:
            known[id(params)] = land.truth(params)
        return known[id(params)]

    decision = decided(strategy, whole, budget)
    tried = [truth(trial.params) for trial in whole.until(budget).complete]
    optimism = decision.promised - whole.world.validation_truth(decision.params)
    inside = float(abs(optimism) <= 1.96 * decision.sd) if decision.sd == decision.sd else np.nan
    return truth(decision.params) - land.base, optimism, inside, max([land.base, *tried]) - land.base
