"""Many simulated sweeps of each strategy on each recorded problem, and what comes of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.search.engine import Searched, searched
from tests.benchmarks.search.landscape import Landscape, World
from tests.benchmarks.search.strategies import Strategy, decided

BUDGET = 40.0
"""Trainings of one seed to the end that a sweep has, confirming included."""
HARM = 0.001
"""A winner whose true mean is further than this below the setting as written was harm done."""


@dataclass(frozen=True)
class Outcomes:
    """Of the sweeps of a strategy on a problem."""

    gain: np.ndarray
    """True mean of each winner above that of the setting as written."""
    optimism: np.ndarray
    """What each promised above the true mean of its winner on its validation split."""
    bound: np.ndarray
    """The gain of the best setting that each tried: what no decision can exceed."""

    @property
    def harm(self) -> float:
        """Share of sweeps that did harm."""
        return float((self.gain < -HARM).mean())


def outcomes(
    land: Landscape, strategies: Sequence[Strategy], sweeps: int, budget: float = BUDGET, slots: int = 2
) -> dict[str, Outcomes]:
    """What each strategy comes to; strategies that search alike share their searches.

    Args:
        land: the problem.
        strategies: any.
        sweeps: of each.
        budget: of each sweep.
        slots: trials at once.
    """
    rows: dict[str, list[tuple[float, float, float]]] = {strategy.name: [] for strategy in strategies}
    for seed in range(sweeps):
        for strategy, found in _searches(land, strategies, seed, budget, slots):
            decision = decided(strategy, found, budget)
            tried = [land.truth(trial.params) for trial in found.until(budget).complete]
            gain = land.truth(decision.params) - land.base
            optimism = decision.promised - found.world.validation_truth(decision.params)
            rows[strategy.name].append((gain, optimism, max([land.base, *tried]) - land.base))
    return {name: Outcomes(*np.array(found).T) for name, found in rows.items()}


def budget_needed(
    land: Landscape, strategy: Strategy, gain: float, budgets: Sequence[float], sweeps: int, slots: int = 2
) -> float | None:
    """The least of some budgets with which a strategy gains so much on the average; None where none is enough.

    Args:
        land: the problem.
        strategy: any.
        gain: above the true mean of the setting as written.
        budgets: in trainings of one seed to the end, ascending.
        sweeps: to take the mean of.
        slots: trials at once.
    """
    searches = [found for seed in range(sweeps) for _, found in _searches(land, [strategy], seed, max(budgets), slots)]
    for budget in budgets:
        gains = [land.truth(decided(strategy, found, budget).params) - land.base for found in searches]
        if np.mean(gains) >= gain:
            return budget
    return None


def _searches(
    land: Landscape, strategies: Iterable[Strategy], seed: int, budget: float, slots: int
) -> Iterator[tuple[Strategy, Searched]]:
    """Each strategy with its search."""
    done: dict[tuple[object, ...], Searched] = {}
    for strategy in strategies:
        key = strategy.search_key
        if key not in done:
            file = strategy.file(land.file, seed)
            done[key] = searched(file, World(land, seed), budget, strategy.seeds, strategy.fresh, slots)
        yield strategy, done[key]
