"""The decisions of a race: a pure function of values."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from hypercl.analysis.race_record import RaceRecord, race_record_of
from hypercl.analysis.racing import Plan, ended, level_of, order_of, p_worse, rounds_of

PLAN = Plan(seeds=12, block=3, level=level_of(0.05, looks=3, others=3))


def raced(means: list[float], rng: np.random.Generator, plan: Plan = PLAN):
    """Values of settings whose seeds share most of their noise, as seeds of a stream do."""
    shared = rng.normal(0, 0.02, plan.seeds)
    own = rng.normal(0, 0.01, (len(means), plan.seeds))
    return {number: list(mean + shared + own[number]) for number, mean in enumerate(means)}


def test_decisions_come_after_each_round_from_the_fifth_seed_on() -> None:
    assert (PLAN.rounds, PLAN.looks) == ((3, 6, 9, 12), (6, 9, 12))
    assert Plan(12, 5, 0.01).rounds == (5, 10, 12)
    assert Plan(4, 2, 0.01).looks == (4,)


def test_the_level_is_shared_by_all_looks_others_and_races() -> None:
    assert level_of(0.05, looks=3, others=3) == pytest.approx(0.05 / 9)
    assert level_of(0.05, looks=3, others=3, races=2) == pytest.approx(0.05 / 18)


def test_the_test_is_the_one_sided_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.normal(0.1, 1, 7), rng.normal(0, 1, 7)
        assert p_worse(list(a - b)) == pytest.approx(ttest_rel(a, b, alternative="greater").pvalue)


def test_equal_differences_have_no_scale_and_are_judged_by_their_signs() -> None:
    assert p_worse([0.1] * 6) == 0.5**6
    assert p_worse([0.0] * 6) == p_worse([-0.1] * 6) == 1.0


def test_the_best_of_equals_is_dropped_less_often_than_alpha() -> None:
    rng = np.random.default_rng(1)
    races = 300
    lost = sum(any(0 in one.dropped for one in rounds_of(raced([0.9] * 4, rng), PLAN)) for _ in range(races))
    assert 0 < lost / races < 0.05


def test_a_clearly_better_setting_wins_with_few_seeds() -> None:
    rng = np.random.default_rng(2)
    found = [rounds_of(raced([0.90, 0.97, 0.90, 0.89], rng), PLAN) for _ in range(100)]
    won = [rounds for rounds in found if ended(rounds, PLAN) == "separated" and rounds[-1].left == [1]]
    assert len(won) >= 97
    assert np.mean([rounds[-1].seeds for rounds in won]) < 7


def test_what_is_dropped_gets_no_further_seeds_and_is_not_looked_at_again() -> None:
    values = {1: [0.90, 0.91, 0.92, 0.93, 0.94, 0.95] * 2, 2: [0.5, 0.52, 0.51, 0.5, 0.53, 0.52]}
    values[3] = [value - 0.001 * (-1) ** place for place, value in enumerate(values[1])]
    first, second, *rest = rounds_of(values, PLAN)
    assert (first.p, first.dropped) == ({}, ())
    assert second.dropped == (2,)
    assert [list(one.means) for one in rest] == [[1, 3], [1, 3]]
    assert ended(rest, PLAN) == "seeds"
    assert order_of([1, 2, 3], [first, second, *rest]) == [1, 3, 2]


def test_a_round_waits_for_the_seeds_of_all_that_are_left() -> None:
    values = {1: [0.9, 0.8, 0.9], 2: [0.8, 0.9, 0.7], 3: [0.5, 0.6]}
    assert rounds_of(values, PLAN) == []
    assert ended([], PLAN) == ""
    assert order_of([3, 1, 2], []) == [3, 1, 2]


def test_where_less_is_better_the_lower_leads() -> None:
    values = {1: [0.2, 0.3, 0.21, 0.33, 0.25], 2: [0.01, 0.02, 0.01, 0.03, 0.02]}
    (one,) = rounds_of(values, Plan(5, 5, 0.01), maximize=False)
    assert (one.leader, one.dropped) == (2, (1,))


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=6, max_size=6), min_size=2, max_size=5),
    st.integers(1, 6),
    st.floats(1e-4, 0.5),
)
def test_the_leader_is_never_dropped_and_order_holds_every_setting_once(values, block, level) -> None:
    plan = Plan(6, block, level)
    rounds = rounds_of(dict(enumerate(values)), plan)
    assert all(one.leader not in one.dropped for one in rounds)
    assert sorted(order_of(range(len(values)), rounds)) == list(range(len(values)))
    assert ended(rounds, plan)


def test_a_race_is_stored_as_plain_data_and_read_back() -> None:
    rng = np.random.default_rng(3)
    values = {number: tuple(own) for number, own in raced([0.9, 0.95], rng).items()}
    race = RaceRecord(24, (0, 1), PLAN, 0.05, True, values, ("trial 0, seed 3: diverged",))
    stored = json.loads(json.dumps(race.plain()))
    assert race_record_of(stored) == race
    assert stored["ended"] == race.ended == "separated"
    assert stored["rounds"][-1]["dropped"] == [0]
    assert (race.left, race.order) == ([1], [1, 0])


def test_one_setting_needs_no_race() -> None:
    race = RaceRecord(24, (3,), PLAN, 0.05, True)
    assert (race.ended, race.order, race.rounds) == ("alone", [3], [])
