"""Group `search`: simulated sweeps of every strategy on the recorded problems, at equal training steps."""

from collections.abc import Iterator

import numpy as np

from tests.benchmarks.options import Options
from tests.benchmarks.search.landscape import Landscape
from tests.benchmarks.search.problems import PROBLEMS
from tests.benchmarks.search.simulate import BUDGET, Outcomes, outcomes
from tests.benchmarks.search.strategies import Confirm, Strategy
from tests.benchmarks.table import Row

HABIT = Strategy("TPE, ASHA, one seed, the largest value", choose="value")
"""Plain Ray Tune with Optuna, and this project's default before there was a confirming stage."""
OURS = Strategy("confirmed", fresh="seeds", confirm=Confirm())
STRATEGIES = (
    HABIT,
    OURS,
    Strategy("random search", sampler="random", pruner="none"),
    Strategy("three seeds a trial", seeds=3),
    Strategy("posterior mean, not confirmed", fresh="seeds", choose="posterior"),
    Strategy("confirmed, the same seed for all trials", confirm=Confirm()),
    Strategy("confirmed, a split for each trial", fresh="splits", confirm=Confirm()),
    Strategy("confirmed, not pruned", pruner="none", fresh="seeds", confirm=Confirm()),
    Strategy("confirmed, challenger by its value", fresh="seeds", confirm=Confirm(by="value")),
)
MUCH = 0.02
"""A problem with at least so much between the setting as written and the best has something to gain."""
TRIALS_OF_RANDOM_SEARCH = 100.0


def measures(options: Options) -> Iterator[Row]:
    """A row a problem for harm, gain and optimism of our default, against the plain habit; a row of gain and harm for
    every other strategy; the steps that random search needs for as much."""
    lands = {name: Landscape(name) for name in PROBLEMS}
    found = {name: outcomes(land, STRATEGIES, options.sweeps) for name, land in lands.items()}
    for name, land in lands.items():
        ours, habit = found[name][OURS.name], found[name][HABIT.name]
        yield _harm(name, ours, habit)
        yield _optimism(name, ours, habit)
        if land.best - land.base >= MUCH:
            yield from _gains(name, land, ours, habit)
    for strategy in STRATEGIES:
        if strategy not in (OURS, HABIT):
            notes = [f"{name} {_points(found[name][strategy.name])}" for name in PROBLEMS]
            worst = max(found[name][strategy.name].harm for name in PROBLEMS)
            yield Row(f"most harm, {strategy.name}", "", "%", 100 * worst, note="; ".join(notes))


def _harm(name: str, ours: Outcomes, habit: Outcomes) -> Row:
    note = f"{len(ours.gain)} sweeps"
    return Row(f"{name}: sweeps that did harm", "<= 2", "%", 100 * ours.harm, 100 * habit.harm, 100 * ours.harm, note)


def _optimism(name: str, ours: Outcomes, habit: Outcomes) -> Row:
    mean, error = _mean(ours.optimism)
    note = f"95 % interval {mean - 1.96 * error:+.2f} to {mean + 1.96 * error:+.2f}"
    return Row(f"{name}: promised minus came out", "<= 0.2", "points", mean, _mean(habit.optimism)[0], abs(mean), note)


def _gains(name: str, land: Landscape, ours: Outcomes, habit: Outcomes) -> Iterator[Row]:
    most, own, other = land.best - land.base, float(ours.gain.mean()), float(habit.gain.mean())
    bound = f"the best setting of each search would give {ours.bound.mean() / most:.2f}"
    yield Row(f"{name}: gain", ">= 0.8", "points", 100 * own, 100 * most, own / most, f"of the table's best; {bound}")
    yield Row(f"{name}: gain", ">= 1.5", "points", 100 * own, 100 * other, own / other, "against the plain habit")


def _points(of: Outcomes) -> str:
    mean, error = _mean(of.gain)
    return f"{mean:+.1f} ± {error:.1f}"


def _mean(values: np.ndarray) -> tuple[float, float]:
    """In points: the mean and its standard error."""
    known = 100 * values[~np.isnan(values)]
    return float(known.mean()), float(known.std(ddof=1) / np.sqrt(len(known)))


__all__ = ["BUDGET", "STRATEGIES", "measures"]
