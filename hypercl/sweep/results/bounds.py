"""Bounds on what training measures: which trials kept them, in numbers and in words."""

from collections.abc import Iterable, Mapping, Sequence

from optuna.trial import FrozenTrial

from hypercl.config import SweepFile
from hypercl.config.models import Bound
from hypercl.sweep.study import METRIC_OF, Outcome, beyond, is_complete, outcome_of


def broken_of(file: SweepFile, outcome: Outcome) -> str:
    """The bounds that a complete trial breaks: 'forgetting 0.031 is above 0.01'; '' where it keeps all."""
    bounds = file.constraints.measured
    over = [name for name, value in outcome.violations.items() if value > 0 and name in bounds]
    values = {name: outcome.metrics[METRIC_OF[name]] for name in over}
    return "; ".join(
        f"{bound_in_words(name)} {values[name]:.3g} is {beyond(values[name], bounds[name])}" for name in over
    )


def bound_cells(file: SweepFile, outcome: Outcome) -> dict[str, object]:
    """Of a row of trials.csv: `feasible` of a trial that was measured or refused, and the bounds `broken` in words;
    nothing in a sweep without bounds on what training measures."""
    if not file.constraints.measured:
        return {}
    if outcome.kind == "infeasible":
        return {"feasible": False, "broken": outcome.why}
    if outcome.kind != "complete" or outcome.value is None:
        return {"feasible": None, "broken": None}
    return {"feasible": outcome.feasible, "broken": broken_of(file, outcome)}


def none_feasible(file: SweepFile, ranked: Sequence[FrozenTrial]) -> str:
    """'no trial keeps forgetting at most 0.01; the closest is trial 4, whose forgetting 0.031 is above 0.01'; '' where
    one does, and where nothing is complete.

    Args:
        file: the sweep.
        ranked: its complete trials as from `hypercl.sweep.study.ranked_trials`: feasible ones, then the closest.
    """
    if not ranked or outcome_of(ranked[0]).feasible:
        return ""
    why = broken_of(file, outcome_of(ranked[0]))
    kept = bounds_in_words(file.constraints.measured)
    return f"no trial keeps {kept}; the closest is trial {ranked[0].number}, whose {why}"


def kept_words(file: SweepFile, trials: Iterable[FrozenTrial]) -> str:
    """'3 of 7 complete trials keep forgetting at most 0.01'; '' without such bounds."""
    complete = [outcome_of(trial) for trial in trials if is_complete(trial)]
    if not file.constraints.measured or not complete:
        return ""
    kept = sum(outcome.feasible for outcome in complete)
    return f"{kept} of {len(complete)} complete trials keep {bounds_in_words(file.constraints.measured)}"


def bounds_in_words(bounds: Mapping[str, Bound]) -> str:
    """'forgetting at most 0.01; seconds at least 1 and at most 60'."""
    return "; ".join(f"{bound_in_words(name)} {_limits(bound)}" for name, bound in bounds.items())


def bound_in_words(name: str) -> str:
    """A bound's name for people."""
    return {"peak_memory_gib": "peak memory in GiB"}.get(name, name.replace("_", " "))


def _limits(bound: Bound) -> str:
    sides = (("at least", bound.min), ("at most", bound.max))
    return " and ".join(f"{side} {value:g}" for side, value in sides if value is not None)
