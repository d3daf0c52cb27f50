"""What a search promised of a setting against what came out: the optimism, and the two parts that it has.

Selection is the promise minus validation on fresh seeds: both are of validation data, the one of the seeds that the
search chose by. The gap is validation minus test on the same fresh seeds.
"""

from collections.abc import Mapping, Sequence
from math import hypot, sqrt
from statistics import stdev
from typing import Any

from hypercl.analysis.final_text import counterpart
from hypercl.analysis.statistics import Interval, difference, t_half
from hypercl.config.models import Goal

Measures = Mapping[str, Mapping[str, Any]]
"""Of a setting, as in final.json."""


def promise_of(
    value: float, interval: Interval | None, measures: Measures, goal: Goal, seeds: int, tuned_on_test: bool = False
) -> dict[str, Any]:
    """A promise as in final.json. Every interval, of level 95 %, knows the noise of both sides.

    Args:
        value: what was promised.
        interval: of it; None is the mean over some seeds of the search, taken to be as noisy as the fresh ones.
        measures: of the setting on fresh seeds.
        goal: whose metric was promised.
        seeds: of the search, for each value.
        tuned_on_test: the promise is of test data, and has no parts.

    Returns:
        `value`, what `came_out` on test data, the `optimism` (positive: less good came out) with its `interval`; where
        there are parts also `fresh`, the mean of validation data on fresh seeds, and `selection` and `gap`, each with a
        `mean` and an `interval`. None stands for what is unknown.
    """
    test = measures[counterpart(goal.metric)]
    own = interval or _as_noisy(value, test if tuned_on_test else measures[goal.metric], seeds)
    total, fresh = _above(value, own, test, goal), measures[goal.metric]
    found = {"value": value, "came_out": test["mean"], "optimism": total["mean"], "interval": total["interval"]}
    if tuned_on_test or goal.metric == counterpart(goal.metric) or None in (fresh["mean"], test["mean"]):
        return found
    apart = difference(fresh["values"], test["values"])
    gap = {"mean": -goal.sign * (apart.mean or 0.0), "interval": _turned(apart.t_interval, goal)}
    return {**found, "fresh": fresh["mean"], "selection": _above(value, own, fresh, goal), "gap": gap}


def apart_interval(one: float, own: Interval, other: float, others: Interval) -> Interval:
    """Interval of the difference of two independent numbers, from the interval of each.

    Source: the method of variance estimates recovery (Zou and Donner 2008).
    """
    gap = one - other
    return gap - hypot(one - own[0], others[1] - other), gap + hypot(own[1] - one, other - others[0])


def _above(value: float, own: Interval | None, measured: Mapping[str, Any], goal: Goal) -> dict[str, Any]:
    """How much better the promise is than what was measured."""
    mean, interval = measured["mean"], measured["t_interval"]
    if mean is None:
        return {"mean": None, "interval": None}
    ends = apart_interval(value, own, mean, interval) if own and interval else None
    return {"mean": -goal.sign * (value - mean), "interval": _turned(ends, goal)}


def _turned(interval: Sequence[float] | None, goal: Goal) -> list[float] | None:
    """Of what is better by so much."""
    return sorted(-goal.sign * end for end in interval) if interval else None


def _as_noisy(value: float, measured: Mapping[str, Any], seeds: int) -> Interval | None:
    """The t interval of a mean over this many seeds with the spread of those measured."""
    values = measured["values"]
    if measured["mean"] is None or len(values) < 2:
        return None
    half = t_half(len(values) - 1) * stdev(values) / sqrt(seeds)
    return value - half, value + half
