"""Confirming as arithmetic: rounds, the title, what it would take to tell settings apart."""

import json
from dataclasses import replace
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from hypercl.analysis.confirming import confirming_round, halving_plan, p_no_better, to_tell
from hypercl.analysis.race_record import RaceRecord, race_record_of
from hypercl.analysis.racing import Plan, Round

PLAN = Plan(4, 1, 0.1, (1, 4))
BETTER = {7: (0.8, 0.81, 0.79, 0.8), 0: (0.7, 0.72, 0.7, 0.69)}
SURE, UNSURE = {7: (0.8, 0.01), 0: (0.7, 0.01)}, {7: (0.8, 0.1), 0: (0.7, 0.1)}


def test_after_a_round_the_better_half_of_the_challengers_stays_and_so_does_the_setting_as_written() -> None:
    values = {number: (0.5 + number / 100,) for number in (1, 2, 3, 4, 0)}
    first = confirming_round(values, 1, PLAN, 0)
    assert (first.dropped, first.leader) == ((2, 1), 4)
    assert confirming_round({7: (0.9,), 3: (0.8,), 0: (0.1,)}, 1, PLAN, 0).dropped == (3,)


def test_what_is_expected_counts_before_the_mean_over_the_further_seeds() -> None:
    expected = {7: (0.5, 0.1), 3: (0.6, 0.1), 0: (0.4, 0.1)}
    assert confirming_round({7: (0.9,), 3: (0.8,), 0: (0.1,)}, 1, PLAN, 0, expected=expected).dropped == (7,)


@pytest.mark.parametrize(("expected", "leader"), [(SURE, 7), (UNSURE, 0), (None, 7)])
def test_a_challenger_takes_the_title_where_it_is_better_with_certainty(expected: Any, leader: int) -> None:
    last = confirming_round(BETTER, 4, PLAN, 0, expected=expected)
    assert last.leader == leader
    assert last.dropped == ({7: 0, 0: 7}[leader],)
    assert (last.p[7] <= 0.1) == (leader == 7)


def test_where_less_is_better_the_lower_one_takes_the_title() -> None:
    flipped = {number: tuple(1 - value for value in values) for number, values in BETTER.items()}
    assert confirming_round(flipped, 4, PLAN, 0, maximize=False).leader == 7
    assert p_no_better(7, 0, {7: (0.2, 0.01), 0: (0.3, 0.01)}, maximize=False) < 1e-6


def test_without_a_value_of_the_setting_as_written_the_last_challenger_has_the_title() -> None:
    last = confirming_round({3: (0.6, 0.5, 0.5, 0.4)}, 4, PLAN, None)
    assert (last.leader, last.p) == (3, {})


def test_without_expected_values_a_challenger_that_is_no_better_takes_the_title_as_often_as_the_level_says() -> None:
    draws = np.random.default_rng(3).normal(0.5, 0.05, size=(2000, 2, 4))
    won = [confirming_round({7: a, 0: b}, 4, PLAN, 0).leader == 7 for a, b in draws.tolist()]
    assert np.mean(won) == pytest.approx(0.1, abs=0.02)


@given(st.integers(1, 400), st.integers(1, 20), st.booleans())
def test_rounds_rise_and_cost_no_more_than_the_budget_where_it_holds_the_least(
    trainings: int, challengers: int, written: bool
) -> None:
    plan = halving_plan(trainings, challengers, written, 0.1)
    assert all(a < b for a, b in pairwise((0, *plan.rounds)))
    blocks = [after - before for before, after in pairwise((0, *plan.rounds))]
    cost = sum(block * (max(1, challengers >> place) + written) for place, block in enumerate(blocks))
    if trainings >= 4 * (challengers + 1):
        assert cost <= trainings


def test_the_record_says_how_it_ended_and_comes_back_from_json() -> None:
    first = Round(1, {7: 0.8, 3: 0.6, 0: 0.7}, 7, {}, (3,), {7: (0.8, 0.02), 3: (0.6, 0.02), 0: (0.7, 0.02)})
    last = confirming_round(BETTER, 4, PLAN, 0, expected=SURE)
    race = RaceRecord(12, (7, 3, 0), PLAN, 0.1, True, {**BETTER, 3: (0.6,)}, written=0, decided=(first, last))
    assert (race.kind, race.ended, race.challenger, race.order) == ("confirm", "confirmed", 7, [7, 0, 3])
    assert race.gain == pytest.approx(0.1)
    assert fmean(race.differences) == pytest.approx(0.0975)
    assert race_record_of(json.loads(json.dumps(race.plain()))) == race
    running = replace(race, decided=(first,))
    assert (running.ended, running.decides, running.challenger) == ("", False, None)
    assert RaceRecord(12, (0,), PLAN, 0.1, True, written=0).ended == "alone"


def test_so_many_pairs_show_a_gain_with_the_power_that_is_said() -> None:
    differences = [0.01 + 0.02 * value for value in (-1.2, 0.4, 0.9, -0.3, 1.1, -0.7, 0.2)]
    pairs = to_tell(differences, 0.1, 0.01)
    assert pairs is not None
    draws = np.random.default_rng(1).normal(0.01, np.std(differences, ddof=1), size=(2000, pairs))
    shown = ttest_1samp(draws, 0.0, axis=1, alternative="greater").pvalue <= 0.1
    assert np.mean(shown) == pytest.approx(0.8, abs=0.05)
    assert to_tell(differences, 0.1, -0.01) is None
