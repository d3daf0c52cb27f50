"""Optimism as arithmetic: its two parts, and intervals that know the noise of both sides."""

from typing import Any

import numpy as np
import pytest

from hypercl.analysis.promise import apart_interval, promise_of
from hypercl.analysis.statistics import estimate, t_interval
from hypercl.config.models import Goal

ACCURACY = Goal("validation/final_accuracy", "maximize")
FORGETTING = Goal("validation/forgetting", "minimize")


def measured(validation: list[float], test: list[float], metric: str = "final_accuracy") -> dict[str, Any]:
    both = {"validation": validation, "test": test}
    return {f"{data}/{metric}": {**estimate(values).plain(), "values": values} for data, values in both.items()}


def covered(interval: Any, truth: float) -> bool:
    return interval[0] <= truth <= interval[1]


@pytest.mark.parametrize("known", [True, False])
def test_every_interval_covers_its_truth_as_often_as_it_says(known: bool) -> None:
    """The search's value of one seed, ten fresh seeds, validation 0.01 above test, nothing selected."""
    rng, counts = np.random.default_rng(0), dict.fromkeys(("total", "selection", "gap"), 0)
    for _ in range(300):
        promised, *validation = rng.normal(0.9, 0.02, size=11)
        test = [value - 0.01 + rng.normal(0, 0.005) for value in validation]
        interval = (promised - 1.96 * 0.02, promised + 1.96 * 0.02) if known else None
        found = promise_of(promised, interval, measured(validation, test), ACCURACY, 1)
        counts["total"] += covered(found["interval"], 0.01)
        counts["selection"] += covered(found["selection"]["interval"], 0.0)
        counts["gap"] += covered(found["gap"]["interval"], 0.01)
    assert [count / 300 for count in counts.values()] == pytest.approx([0.95] * 3, abs=0.04)


def test_the_parts_add_up_and_are_turned_where_less_is_better() -> None:
    metrics = measured([0.02, 0.03, 0.04], [0.05, 0.05, 0.08], "forgetting")
    found = promise_of(0.01, (0.0, 0.02), metrics, FORGETTING, 1)
    assert (found["selection"]["mean"], found["gap"]["mean"]) == pytest.approx((0.02, 0.03))
    assert found["optimism"] == pytest.approx(0.05)
    assert covered(found["gap"]["interval"], 0.03)


def test_a_promise_of_more_seeds_is_surer() -> None:
    metrics = measured([0.90, 0.92, 0.94], [0.89, 0.91, 0.93])
    one, four = (promise_of(0.95, None, metrics, ACCURACY, seeds)["selection"]["interval"] for seeds in (1, 4))
    assert one[0] < four[0] < four[1] < one[1]


def test_an_unknown_value_leaves_the_optimism_unknown() -> None:
    metrics = measured([0.9, 0.9], [0.9, 0.9])
    metrics["test/final_accuracy"] = {**estimate([float("nan")]).plain(), "values": [None]}
    found = promise_of(0.95, None, metrics, ACCURACY, 1)
    assert (found["optimism"], found["interval"]) == (None, None)
    assert "selection" not in found


def test_intervals_of_two_sides_are_joined_by_their_squares() -> None:
    low, high = t_interval([1.0, 3.0, 5.0])
    assert apart_interval(7.0, (7.0, 7.0), 3.0, (low, high)) == pytest.approx((7.0 - high, 7.0 - low))
    assert apart_interval(7.0, (4.0, 8.0), 3.0, (2.0, 7.0)) == pytest.approx((4.0 - 5.0, 4.0 + 2**0.5))
