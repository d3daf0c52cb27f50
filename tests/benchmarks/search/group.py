"""Group `search`: simulated sweeps of every strategy on the recorded problems, at equal training steps."""

from collections.abc import Iterator, Mapping

import numpy as np

from tests.benchmarks.options import Options
from tests.benchmarks.search.landscape import Landscape
from tests.benchmarks.search.problems import PROBLEMS
from tests.benchmarks.search.simulate import BUDGET, Case, Outcomes, outcomes
from tests.benchmarks.search.strategies import Confirm, Strategy
from tests.benchmarks.table import Row

HABIT = Strategy("TPE, ASHA, one seed, the largest value", pruner="asha", choose="value")
"""Plain Ray Tune with Optuna."""
OURS = Strategy("as shipped", confirm=Confirm())
RANDOM = Strategy("random search, the largest value", sampler="random", choose="value")
OTHERS = (
    Strategy("not confirmed"),
    Strategy("decided by a paired t test", confirm=Confirm(by="test")),
    Strategy("pruned by ASHA", pruner="asha", confirm=Confirm()),
    Strategy("pruned by Wilcoxon's test", pruner="wilcoxon", confirm=Confirm()),
    Strategy("a further seed for the incumbent with each challenger", intensify=True),
    Strategy("the largest value", choose="value"),
    Strategy("alpha 0.1", confirm=Confirm(alpha=0.1)),
    Strategy("one challenger", confirm=Confirm(challengers=1)),
    Strategy("a share of 0.15", confirm=Confirm(share=0.15)),
    Strategy("a share of 0.4", confirm=Confirm(share=0.4)),
    Strategy("three seeds a trial", seeds=3, confirm=Confirm()),
    Strategy("other seeds for each trial", fresh="seeds", confirm=Confirm()),
    Strategy("another split for each trial", fresh="splits", confirm=Confirm()),
)
"""As shipped but for what they say."""
FIRST = 40
"""The first sweep's seed: those below chose the strategy."""
MUCH = 0.02
"""A problem with at least so much between the setting as written and the best has something to gain."""
RANDOM_BUDGET = 100.0
BUDGETS = (10.0, 15.0, 20.0, 25.0, 30.0)
"""With which of them, or `BUDGET`, do we gain what random search gains with `RANDOM_BUDGET`?"""
CASES: tuple[Case, ...] = (
    *((strategy, BUDGET) for strategy in (OURS, HABIT, RANDOM, *OTHERS)),
    *((OURS, budget) for budget in BUDGETS),
    (RANDOM, RANDOM_BUDGET),
)

Found = Mapping[str, Mapping[Case, Outcomes]]
"""Of each problem."""


def measures(options: Options) -> Iterator[Row]:
    """A row a problem for harm and optimism of our default, against the plain habit; three where there is something to
    gain; a row of harm and gain for every other strategy."""
    found: dict[str, dict[Case, Outcomes]] = {}
    for name in PROBLEMS:
        land = Landscape(name)
        found[name] = dict(zip(CASES, outcomes(land, CASES, range(FIRST, FIRST + options.sweeps)), strict=True))
        yield from problem_rows(land, name, found[name])
    yield from other_rows(found)


def problem_rows(land: Landscape, name: str, found: Mapping[Case, Outcomes]) -> Iterator[Row]:
    """The goals on a problem."""
    ours, habit = found[OURS, BUDGET], found[HABIT, BUDGET]
    note = f"{len(ours.gain)} sweeps"
    yield Row(f"{name}: sweeps that did harm", "<= 2", "%", 100 * ours.harm, 100 * habit.harm, 100 * ours.harm, note)
    mean, error = _mean(ours.optimism)
    inside = f"{100 * np.nanmean(ours.inside):.0f} % of the promised intervals hold the truth"
    note = f"95 % interval {mean - 1.96 * error:+.2f} to {mean + 1.96 * error:+.2f}; {inside}"
    yield Row(f"{name}: promised minus came out", "<= 0.2", "points", mean, _mean(habit.optimism)[0], abs(mean), note)
    most = land.best - land.base
    if most < MUCH:
        return
    own, other = float(ours.gain.mean()), float(habit.gain.mean())
    bound = f"the best setting that each search tried would give {ours.bound.mean() / most:.2f}"
    yield Row(f"{name}: gain", ">= 0.8", "points", 100 * own, 100 * most, own / most, f"of the table's best; {bound}")
    times = own / other if other > 0 else None
    note = "against the plain habit" + ("" if other > 0 else ", which gains nothing: no ratio")
    yield Row(f"{name}: gain", ">= 1.5", "points", 100 * own, 100 * other, times, note)
    yield _steps(name, found)


def other_rows(found: Found) -> Iterator[Row]:
    """Harm and gain of every other strategy, over all problems."""
    for strategy in (RANDOM, *OTHERS):
        of = {name: each[strategy, BUDGET] for name, each in found.items()}
        notes = [f"{name} {_points(each)}, harm {100 * each.harm:.0f} %" for name, each in of.items()]
        worst = 100 * max(each.harm for each in of.values())
        yield Row(f"most harm, {strategy.name}", "", "%", worst, note="gain: " + "; ".join(notes))


def _steps(name: str, found: Mapping[Case, Outcomes]) -> Row:
    measure, goal, unit = f"{name}: steps random search needs", "<= 0.25", "runs"
    gain = float(found[RANDOM, RANDOM_BUDGET].gain.mean())
    if gain <= 0:
        return Row(measure, goal, unit, peer=RANDOM_BUDGET, note="random search gains nothing: no ratio")
    enough = [budget for budget in (*BUDGETS, BUDGET) if found[OURS, budget].gain.mean() >= gain]
    own = min(enough, default=BUDGET)
    note = f"for {100 * gain:+.1f} points" + ("" if enough else f"; {own:.0f} are not enough")
    return Row(measure, goal, unit, own, RANDOM_BUDGET, own / RANDOM_BUDGET, note)


def _points(of: Outcomes) -> str:
    mean, error = _mean(of.gain)
    return f"{mean:+.1f} ± {error:.1f}"


def _mean(values: np.ndarray) -> tuple[float, float]:
    """In points: the mean and its standard error."""
    known = 100 * values[~np.isnan(values)]
    return float(known.mean()), float(known.std(ddof=1) / np.sqrt(len(known)))
