"""Mean, intervals and paired tests of a few seeds."""

from itertools import product
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercl.analysis.statistics import (
    BOOTSTRAP_FROM,
    bootstrap_interval,
    difference,
    estimate,
    sign_flip_p,
    t_interval,
)

FRACTIONS = st.integers(0, 400).map(lambda count: count / 400)
"""Accuracies on 400 samples, where ties are common."""


def test_the_t_interval_covers_the_mean_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).normal(0.9, 0.02, size=(3000, 5))
    covered = [low <= 0.9 <= high for low, high in map(t_interval, draws.tolist())]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.013)  # three standard errors


def test_a_t_interval_by_hand() -> None:
    low, high = t_interval([1.0, 2.0, 3.0])  # sd 1, standard error 0.57735, t(0.975, 2) = 4.302653
    assert (low, high) == pytest.approx((2 - 4.302653 * 0.5773503, 2 + 4.302653 * 0.5773503), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(FRACTIONS, min_size=2, max_size=9), st.floats(-10, 10))
def test_moving_all_values_moves_the_mean_and_its_interval(values: list[float], shift: float) -> None:
    before, after = estimate(values), estimate([value + shift for value in values])
    assert before.mean is not None
    assert before.t_interval is not None
    assert after.mean == pytest.approx(before.mean + shift, abs=1e-9)
    assert after.t_interval == pytest.approx([bound + shift for bound in before.t_interval], abs=1e-9)
    assert after.sd == pytest.approx(before.sd, abs=1e-9)


def test_a_bootstrap_interval_stands_beside_from_ten_values_on() -> None:
    values = np.random.default_rng(2).normal(0.9, 0.02, size=BOOTSTRAP_FROM).tolist()
    few, enough = estimate(values[:-1]), estimate(values)
    assert few.bootstrap_interval is None
    assert "from 10 values on" in few.why
    assert enough.bootstrap_interval is not None
    assert enough.t_interval is not None
    assert enough.bootstrap_interval == pytest.approx(enough.t_interval, abs=0.006)
    assert enough.bootstrap_interval == bootstrap_interval(values), "the same values, the same interval"


def test_a_bootstrap_interval_leans_as_the_values_do() -> None:
    values = [0.98] * 5 + [0.97] * 4 + [0.60]
    low, high = bootstrap_interval(values) or (nan, nan)
    mean = float(np.mean(values))
    assert mean - low > 2 * (high - mean)


@settings(max_examples=40, deadline=None)
@given(st.lists(FRACTIONS, min_size=1, max_size=8))
def test_p_is_that_of_all_flips_counted_one_by_one(pairs: list[float]) -> None:
    steps = [round(400 * value) - 130 for value in pairs]
    own = abs(sum(steps))
    flips = [abs(sum(sign * step for sign, step in zip(signs, steps, strict=True))) for signs in _signs(len(steps))]
    p, exact = sign_flip_p([step / 400 for step in steps])
    assert exact
    assert p == pytest.approx(sum(flip >= own for flip in flips) / len(flips), abs=1e-12)


def _signs(count: int) -> list[tuple[int, ...]]:
    return list(product((-1, 1), repeat=count))


@settings(max_examples=20, deadline=None)
@given(st.lists(FRACTIONS, min_size=2, max_size=20), st.data())
def test_p_does_not_depend_on_which_of_the_two_is_the_base(values: list[float], data: st.DataObject) -> None:
    base = data.draw(st.lists(FRACTIONS, min_size=len(values), max_size=len(values)))
    there, back = difference(values, base), difference(base, values)
    assert there.p == pytest.approx(back.p, abs=1e-12)
    assert there.mean == pytest.approx(-(back.mean or 0.0), abs=1e-12)
    assert there.p is not None
    assert 0 < there.p <= 1


def test_equal_settings_do_not_differ() -> None:
    found = difference([0.9, 0.8, 0.7], [0.9, 0.8, 0.7])
    assert (found.mean, found.t_interval, found.p) == (0.0, (0.0, 0.0), 1.0)
    assert "equal" in found.why


def test_of_five_pairs_p_cannot_fall_below_one_in_sixteen() -> None:
    assert difference([2.0, 2.1, 2.2, 2.3, 2.4], [1.0] * 5).p == pytest.approx(0.0625)


def test_many_pairs_are_drawn_and_the_same_each_time() -> None:
    pairs = np.random.default_rng(3).normal(0.4, 1.0, size=40).tolist()
    (p, exact), again = sign_flip_p(pairs), sign_flip_p(pairs)
    assert not exact
    assert (p, exact) == again
    t = t_interval(pairs)
    assert 0.0001 < p < 0.2
    assert (p < 0.05) == (t[0] > 0), "the two tests agree on values of no odd shape"


def test_what_cannot_be_said_is_not_said() -> None:
    one = estimate([0.9])
    assert (one.mean, one.sd, one.t_interval, one.bootstrap_interval) == (0.9, None, None, None)
    assert "one value" in one.why
    unknown = estimate([0.9, nan, 0.8])
    assert unknown.mean is None
    assert unknown.why == "1 of 3 values are unknown"
    assert difference([0.9, nan], [0.8, 0.8]).p is None
    assert estimate([]).mean is None


def test_equal_values_have_an_interval_without_width_and_say_so() -> None:
    found = estimate([0.1 + 0.2, *[0.3] * 11])
    assert found.t_interval is not None
    assert found.t_interval[0] == found.t_interval[1] == pytest.approx(0.3)
    assert found.bootstrap_interval == found.t_interval
    assert "without width" in found.why


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.5, 0.98, 0.98 + 1e-15, 1.0]), min_size=1, max_size=12))
def test_odd_values_neither_warn_nor_leave_intervals_without_bounds(values: list[float]) -> None:
    found = difference(values, [0.98] * len(values))
    for interval in (found.t_interval, found.bootstrap_interval):
        assert interval is None or -inf < interval[0] <= interval[1] < inf
    assert found.p is not None
    assert found.p > 0
