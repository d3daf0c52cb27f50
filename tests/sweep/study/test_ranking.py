"""Which trials are best: feasible ones first, then by value, or by how they compromise between several goals."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState, create_trial

from hypercl.config import SweepFile, UserError, loads
from hypercl.sweep.study import ranking
from hypercl.sweep.study.outcome import OUTCOME, Outcome

ACCURACY, RATIO = "validation/final_accuracy", "compression_ratio"


def file_of(*goals: str) -> SweepFile:
    return loads("experiment: {tasks: {name: split_digits}}", "test.yaml", [f"objective={{{', '.join(goals)}}}"])


ONE = file_of(f"maximize: {ACCURACY}")
LESS = file_of(f"minimize: {RATIO}")
TWO = file_of(f"maximize: {ACCURACY}", f"minimize: {RATIO}")
THREE = file_of(f"maximize: {ACCURACY}", f"minimize: [{RATIO}, validation/forgetting]")


def trial(
    number: int, values: Sequence[float], violations: dict[str, float] | None = None, **metrics: float
) -> FrozenTrial:
    outcome = Outcome("complete", "", values[0], dict(metrics), violations=violations or {})
    made = create_trial(
        state=TrialState.COMPLETE, values=list(values), user_attrs={OUTCOME: outcome.plain()}, params={}
    )
    made.number = number
    return made


def pruned(number: int) -> FrozenTrial:
    made = create_trial(state=TrialState.PRUNED, user_attrs={OUTCOME: Outcome("pruned").plain()}, params={})
    made.number = number
    return made


def numbers(trials: Sequence[FrozenTrial]) -> list[int]:
    return [each.number for each in trials]


STAIRS = [
    trial(0, (0.90, 1.00)),
    trial(1, (0.85, 0.20)),  # the knee
    trial(2, (0.40, 0.10)),
    trial(3, (0.80, 0.30)),  # beaten by 1 alone
    trial(4, (0.30, 0.90)),  # beaten by 3, too
    trial(5, (0.88, 0.60)),
]


def test_with_one_goal_the_value_orders_and_equal_ones_stay_in_the_order_of_numbers() -> None:
    trials = [trial(3, (0.5,)), trial(0, (0.7,)), trial(1, (0.9,)), trial(2, (0.7,)), pruned(4)]
    assert numbers(ranking.ranked_trials(ONE, trials)) == [1, 0, 2, 3]
    assert numbers(ranking.ranked_trials(LESS, trials)) == [3, 0, 2, 1]
    assert numbers(ranking.pareto_front(ONE, trials)) == [1]
    best = ranking.knee_trial(LESS, trials)
    assert best is not None
    assert best.number == 3


def test_the_front_is_what_nothing_beats_without_losing_elsewhere() -> None:
    assert numbers(ranking.pareto_front(TWO, [*STAIRS, pruned(6)])) == [0, 5, 1, 2]


def test_the_knee_leads_then_the_front_then_what_is_behind_it_front_by_front() -> None:
    order = numbers(ranking.ranked_trials(TWO, STAIRS))
    assert order[0] == 1
    assert set(order[1:4]) == {0, 2, 5}
    assert order[3:] == [5, 3, 4]  # the ends before the one between


def test_the_knee_is_farthest_from_the_line_through_the_ends() -> None:
    best = ranking.knee_trial(TWO, STAIRS)
    assert best is not None
    assert best.number == 1


def test_of_two_ends_alone_the_better_in_the_first_goal_stands_for_all() -> None:
    best = ranking.knee_trial(TWO, [STAIRS[2], STAIRS[0]])
    assert best is not None
    assert best.number == 0


def test_three_goals_have_a_front_and_a_knee() -> None:
    rows = [(0.9, 1.0, 0.5), (0.8, 0.2, 0.1), (0.1, 0.1, 0.0), (0.8, 0.3, 0.1)]
    trials = [trial(number, row) for number, row in enumerate(rows)]
    assert numbers(ranking.pareto_front(THREE, trials)) == [0, 1, 2]
    assert numbers(ranking.ranked_trials(THREE, trials))[0] == 1
    assert numbers(ranking.ranked_trials(THREE, trials))[-1] == 3


@pytest.mark.parametrize(("file", "wide"), [(ONE, False), (TWO, True)])
def test_what_breaks_a_bound_comes_last_the_nearest_first_and_is_never_the_best(file: SweepFile, wide: bool) -> None:
    more = (0.1,) if wide else ()
    trials = [
        trial(0, (0.99, *more), {"forgetting": 3.0}),
        trial(1, (0.98, *more), {"forgetting": 0.5, "seconds": -1.0}),
        trial(2, (0.2, *more), {"forgetting": -0.5}),
    ]
    assert numbers(ranking.ranked_trials(file, trials)) == [2, 1, 0]
    assert numbers(ranking.pareto_front(file, trials)) == [2]
    best = ranking.knee_trial(file, trials)
    assert best is not None
    assert best.number == 2
    assert ranking.knee_trial(file, trials[:2]) is None


def test_weights_count_in_the_units_of_the_goals() -> None:
    def chosen(text: str) -> int:
        found = ranking.preferred_trial(TWO, STAIRS, text)
        assert found is not None
        return found.number

    assert chosen(f"{ACCURACY}: 1, {RATIO}: 0.01") == 0
    assert chosen(f"{ACCURACY}: 1, {RATIO}: 1") == 1
    assert chosen(f"{ACCURACY}: 1, {RATIO}: 10") == 2
    assert chosen(f"{RATIO}: 1") == 2


def test_a_test_takes_the_best_in_the_first_goal_of_those_that_pass() -> None:
    trials = [trial(each.number, each.values, seconds=float(each.number)) for each in STAIRS]

    def chosen(text: str) -> int | None:
        found = ranking.preferred_trial(TWO, trials, text)
        return None if found is None else found.number

    assert chosen(f"{RATIO} <= 0.7") == 5
    assert chosen(f"{RATIO} < 0.6") == 1
    assert chosen(f"{RATIO} <= 0.7 and seconds >= 2 and seconds < 5") == 3
    assert chosen(f"{RATIO} < 0.1") is None
    assert chosen("validation/forgetting <= 1") is None  # none of them was measured by it


def test_a_test_serves_one_goal_too() -> None:
    trials = [trial(0, (0.9,), seconds=9.0), trial(1, (0.8,), seconds=1.0)]
    found = ranking.preferred_trial(ONE, trials, "seconds <= 5")
    assert found is not None
    assert found.number == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("small", "neither weights nor a test"),
        (f"{ACCURACY}: much", "no number"),
        (f"{RATIO} <= nan", "no number"),
        ("compresion_ratio <= 1", "did you mean 'compression_ratio'"),
        (f"{RATIO} <= 1, seconds <= 2", "is no test"),
        (f"{RATIO} <= 1 and", "is no test"),
        ("seconds: 1", "no goal of this sweep"),
        (f"{RATIO}: -1", "above zero"),
        (f"{RATIO}: 1, {RATIO}: 2", "twice"),
    ],
)
def test_a_preference_that_cannot_be_read_is_told(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ranking.preferred_trial(TWO, STAIRS, text)


def test_a_preference_that_nothing_passes_is_refused_once_the_search_is_over() -> None:
    with pytest.raises(UserError, match=r"(?s)passes 'seconds <= 1'.*best.yaml stays.*'knee'"):
        ranking.check_passed(TWO, STAIRS, "seconds <= 1")
    ranking.check_passed(TWO, STAIRS, f"{RATIO} <= 1")
    ranking.check_passed(TWO, [], "seconds <= 1")


def test_one_goal_cannot_be_weighed() -> None:
    with pytest.raises(UserError, match="only goal"):
        ranking.preferred_trial(ONE, [trial(0, (0.9,))], f"{ACCURACY}: 1")


def leaders(file: SweepFile, trials: Sequence[FrozenTrial], settings: Any, prefer: str | None = None) -> list[int]:
    return numbers(ranking.leaders(file, ranking.ranked_trials(file, trials), settings, prefer))


def test_leaders_of_one_goal_are_the_best_feasible_ones() -> None:
    trials = [trial(0, (0.9,)), trial(1, (0.95,), {"forgetting": 1.0}), trial(2, (0.8,)), trial(3, (0.85,))]
    assert leaders(ONE, trials, 2) == [0, 3]
    assert leaders(ONE, trials, 9) == [0, 3, 2]
    assert leaders(ONE, [], 3) == []


def test_leaders_of_a_front_are_spread_over_it_the_knee_first() -> None:
    assert leaders(TWO, STAIRS, 1) == [1]
    assert leaders(TWO, STAIRS, 3) == [1, 0, 2]
    assert leaders(TWO, STAIRS, "all") == [1, 0, 5, 2]
    assert leaders(TWO, STAIRS, 50) == [1, 0, 5, 2]
    close = [trial(10 + each, (0.899 - 0.001 * each, 0.99 - 0.001 * each)) for each in range(5)]
    assert set(leaders(TWO, [*STAIRS, *close], 4)) == {0, 1, 2, 5}


def test_a_preferred_setting_leads_though_it_is_not_on_the_front() -> None:
    trials = [trial(each.number, each.values, seconds=float(each.number)) for each in STAIRS]
    assert leaders(TWO, trials, 3, "seconds >= 3 and seconds <= 4") == [3, 0, 2]


values = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])


@given(st.lists(st.tuples(values, values, values), min_size=1, max_size=12), st.integers(1, 5))
def test_of_any_trials_the_front_leads_and_nobody_is_beaten_by_a_later_one(rows: list, count: int) -> None:
    trials = [trial(number, row) for number, row in enumerate(rows)]

    def beats(one: FrozenTrial, other: FrozenTrial) -> bool:
        (up, *down), (other_up, *other_down) = one.values, other.values
        pairs = list(zip((-up, *down), (-other_up, *other_down), strict=True))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    order, ends = ranking.ranked_trials(THREE, trials), ranking.pareto_front(THREE, trials)
    assert sorted(numbers(order)) == list(range(len(rows)))
    assert set(numbers(order[: len(ends)])) == set(numbers(ends))
    assert set(numbers(ends)) == {one.number for one in trials if not any(beats(other, one) for other in trials)}
    assert not any(beats(later, one) for place, one in enumerate(order) for later in order[place:])
    best = ranking.knee_trial(THREE, trials)
    assert best is not None
    assert best.number == order[0].number
    few = leaders(THREE, trials, count)
    assert few[0] == best.number
    assert len(few) == len(set(few)) == min(count, len(ends))
    assert set(few) <= set(numbers(ends))
