"""Group `search`: simulated sweeps of every strategy on the recorded problems, at equal training steps."""

from collections.abc import Iterator

import numpy as np

from tests.benchmarks.options import Options
from tests.benchmarks.search.landscape import Landscape
from tests.benchmarks.search.problems import PROBLEMS
from tests.benchmarks.search.simulate import BUDGET, Outcomes, budget_needed, outcomes
from tests.benchmarks.search.strategies import Confirm, Strategy
from tests.benchmarks.table import Row

HABIT = Strategy("TPE, ASHA, one seed, the largest value")
"""Plain Ray Tune with Optuna, and what this project does today."""
OURS = Strategy("confirmed", confirm=Confirm())
"""What README.md describes as the default."""
RANDOM = Strategy("random search", sampler="random", pruner="none")
STRATEGIES = (
    HABIT,
    OURS,
    RANDOM,
    Strategy("three seeds a trial", seeds=3),
    Strategy("posterior mean, not confirmed", choose="posterior"),
    Strategy("confirmed, alpha 0.05", confirm=Confirm(alpha=0.05)),
    Strategy("confirmed, alpha 0.2", confirm=Confirm(alpha=0.2)),
    Strategy("confirmed, one challenger", confirm=Confirm(challengers=1)),
    Strategy("confirmed, share 0.4", confirm=Confirm(share=0.4)),
    Strategy("confirmed, challengers by their value", confirm=Confirm(by="value")),
    Strategy("confirmed, other seeds for each trial", fresh="seeds", confirm=Confirm()),
    Strategy("confirmed, another split for each trial", fresh="splits", confirm=Confirm()),
    Strategy("confirmed, not pruned", pruner="none", confirm=Confirm()),
)
MUCH = 0.02
"""A problem with at least so much between the setting as written and the best has something to gain."""
RANDOM_BUDGET = 100.0
BUDGETS = (10.0, 15.0, 20.0, 25.0, 30.0, BUDGET)
"""With which of them do we gain what random search gains with `RANDOM_BUDGET`?"""


def measures(options: Options) -> Iterator[Row]:
    """A row a problem for harm and optimism of our default, against the plain habit; three where there is something to
    gain; a row of harm and gain for every other strategy."""
    lands = {name: Landscape(name) for name in PROBLEMS}
    found: dict[str, dict[str, Outcomes]] = {}
    for name, land in lands.items():
        found[name] = outcomes(land, STRATEGIES, options.sweeps)
        ours, habit = found[name][OURS.name], found[name][HABIT.name]
        yield _harm(name, ours, habit)
        yield _optimism(name, ours, habit)
        if land.best - land.base >= MUCH:
            yield from _gains(name, land, ours, habit)
            yield _steps(name, land, options.sweeps)
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
    times = own / other if other > 0 else None
    note = "against the plain habit" + ("" if other > 0 else ", which gains nothing: no ratio")
    yield Row(f"{name}: gain", ">= 1.5", "points", 100 * own, 100 * other, times, note)


def _steps(name: str, land: Landscape, sweeps: int) -> Row:
    measure, goal, unit = f"{name}: steps random search needs", "<= 0.25", "runs"
    gain = float(outcomes(land, [RANDOM], sweeps, budget=RANDOM_BUDGET)[RANDOM.name].gain.mean())
    if gain <= 0:
        return Row(measure, goal, unit, peer=RANDOM_BUDGET, note="random search gains nothing: no ratio")
    needed = budget_needed(land, OURS, gain, BUDGETS, sweeps)
    own = max(BUDGETS) if needed is None else needed
    note = f"for {100 * gain:+.1f} points" + (f"; {own:.0f} are not enough" if needed is None else "")
    return Row(measure, goal, unit, own, RANDOM_BUDGET, own / RANDOM_BUDGET, note)


def _points(of: Outcomes) -> str:
    mean, error = _mean(of.gain)
    return f"{mean:+.1f} ± {error:.1f}"


def _mean(values: np.ndarray) -> tuple[float, float]:
    """In points: the mean and its standard error."""
    known = 100 * values[~np.isnan(values)]
    return float(known.mean()), float(known.std(ddof=1) / np.sqrt(len(known)))
