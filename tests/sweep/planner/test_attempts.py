"""The plan of protocol stability_decay: what is tried next, whatever came before."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercl.config import loads
from hypercl.sweep.planner.attempts import Attempt, Rules, Stage, Tried, stage_of

RULES = Rules(tasks=3, rates=(0.001, 0.01), highest=8.0, drop=0.2, halvings=2)
Reaches = Callable[[Attempt], float]


def learn(rules: Rules, reaches: Reaches, most: int = 10_000) -> tuple[list[Tried], Stage]:
    """Tries what the plan says, all that may run side by side at once, until it says no more."""
    tried: list[Tried] = []
    while True:
        stage = stage_of(tried, rules)
        if not stage.attempts or len(tried) >= most:
            return tried, stage
        for attempt in stage.attempts:
            tried.append(Tried(len(tried), attempt, "learned", reaches(attempt)))


def test_at_the_first_task_only_learning_rates_are_tried() -> None:
    stage = stage_of([], RULES)
    assert [each.rates for each in stage.attempts] == [(0.001,), (0.01,)]
    assert {(each.task, each.phase, each.parent, each.strengths) for each in stage.attempts} == {
        (0, "rate", None, (8.0,))
    }


def test_the_best_rate_is_accepted_and_the_next_task_starts_there_without_protection() -> None:
    first = stage_of([], RULES).attempts
    tried = [Tried(4, first[0], "learned", 0.7), Tried(5, first[1], "learned", 0.9)]
    stage = stage_of(tried, RULES)
    assert [each.number for each in stage.accepted] == [5]
    assert [(each.parent, each.rates, each.strengths) for each in stage.attempts] == [
        (5, (0.01, 0.001), (8.0, 0.0)),
        (5, (0.01, 0.01), (8.0, 0.0)),
    ]


def test_rates_run_side_by_side_and_the_mark_waits_for_all_of_them() -> None:
    first = stage_of([], RULES).attempts
    one = stage_of([Tried(0, first[0], "learned", 0.9)], RULES)
    assert one.attempts == first[1:]
    assert stage_of([Tried(0, first[0], "learned", 0.9), Tried(1, first[1], "open")], RULES).waiting


@pytest.mark.parametrize(
    ("accuracies", "halvings"),
    [([0.8], 0), ([0.7, 0.8], 1), ([0.7, 0.79, 0.81], 2), ([0.1, 0.1, 0.1], 2), ([0.9], 0)],
)
def test_the_strength_is_halved_until_the_task_is_learned_nearly_as_well(
    accuracies: list[float], halvings: int
) -> None:
    """The mark is 1.0, so 0.8 is enough; the last halving is accepted whatever it reached."""
    tried, stage = learn(RULES, lambda each: 1.0 if each.phase == "rate" else accuracies[each.halvings])
    own = [each for each in tried if each.attempt.task == 1 and each.attempt.phase == "decay"]
    assert [each.attempt.strengths[-1] for each in own] == [8.0, 4.0, 2.0][: halvings + 1]
    assert stage.done
    assert stage.accepted[1] == own[-1]


def test_what_comes_later_has_the_values_accepted_before() -> None:
    tried, stage = learn(RULES, lambda each: 1.0 if each.phase == "rate" else 0.1 * 2**each.halvings)
    assert [each.attempt.halvings for each in stage.accepted] == [0, 2, 2]
    last = stage.accepted[-1].attempt
    assert last.strengths == (8.0, 2.0, 2.0)
    assert RULES.by_task(tried[-1].attempt) == {
        "training.optimizer.lr": [0.001] * 3,
        "method.beta": [8.0, 2.0, 2.0],
    }
    assert RULES.by_task(tried[0].attempt)["method.beta"] == [8.0] * 3


def test_a_setting_that_is_lost_counts_as_the_worst_and_a_fault_is_tried_again() -> None:
    first = stage_of([], RULES).attempts
    lost = [Tried(0, first[0], "lost"), Tried(1, first[1], "learned", 0.1)]
    assert stage_of(lost, RULES).accepted[0].number == 1
    assert stage_of([Tried(0, first[0], "failed"), lost[1]], RULES).attempts == first[:1]


def test_a_stream_that_cannot_go_on_says_why() -> None:
    first = stage_of([], RULES).attempts
    stage = stage_of([Tried(place, each, "lost") for place, each in enumerate(first)], RULES)
    assert "no learning rate" in stage.stuck
    tried, _ = learn(RULES, lambda _: 1.0, most=4)
    decay = stage_of(tried, RULES).attempts
    for halvings in range(3):
        assert decay[0].halvings == halvings
        tried.append(Tried(len(tried), decay[0], "lost"))
        decay = stage_of(tried, RULES).attempts
    assert "last halving" in stage_of(tried, RULES).stuck


accuracies = st.floats(0, 1)


@given(
    rules=st.builds(
        Rules,
        tasks=st.integers(1, 4),
        rates=st.sampled_from([(0.1,), (0.1, 0.2), (0.1, 0.2, 0.3)]),
        highest=st.floats(0.001, 1e9),
        drop=st.floats(0, 0.99),
        halvings=st.integers(0, 4),
    ),
    seed=st.integers(0, 1000),
    bad=st.sampled_from([0.0, 0.1, 0.3]),
)
@settings(max_examples=120, deadline=None)
def test_it_ends_within_its_budget_and_in_whatever_order_attempts_end(rules: Rules, seed: int, bad: float) -> None:
    rng, tried, stage = random.Random(seed), [], stage_of([], rules)
    faults = 0
    while stage.attempts or stage.waiting:
        tried += [Tried(len(tried) + place, each, "open") for place, each in enumerate(stage.attempts)]
        place = rng.choice([place for place, each in enumerate(tried) if each.state == "open"])
        fault = faults < 5 and rng.random() < bad
        faults += fault
        state = "failed" if fault else "lost" if rng.random() < bad else "learned"
        reached = round(rng.random(), 1) if state == "learned" else 0.0
        tried[place] = Tried(tried[place].number, tried[place].attempt, state, reached)
        stage = stage_of(tried, rules)
        assert stage_of(rng.sample(tried, len(tried)), rules) == stage
    counted = [each for each in tried if each.state != "failed"]
    assert len(counted) <= rules.most
    accepted = {each.attempt.task: each.number for each in stage.accepted}
    for task in range(rules.tasks):
        own = [each.attempt for each in counted if each.attempt.task == task]
        assert len(own) <= len(rules.rates) + (rules.halvings + 1 if task else 0)
        assert {each.parent for each in own} <= {accepted.get(task - 1)}
    assert stage.done == (len(accepted) == rules.tasks)
    assert stage.done or stage.stuck


def file(space: str, *overrides: str, method: str = "hnet"):
    text = f"""
experiment: {{tasks: {{name: split_digits}}, method: {{name: {method}}}}}
space: {space}
protocol: {{name: stability_decay}}
"""
    return loads(text, "x", overrides)


@pytest.mark.parametrize(
    ("rate", "count", "expected"),
    [
        ("{choice: [0.1, 0.001]}", 3, (0.001, 0.1)),
        ("{log_uniform: [1e-4, 1e-2]}", 3, (0.0001, 0.001, 0.01)),
        ("{log_uniform: [1e-4, 1e-2]}", 1, (0.001,)),
        ("{log_uniform: [1e-4, 5e-3]}", 2, (0.0001, 0.005)),
        ("{uniform: [0, 0.4]}", 3, (0.0, 0.2, 0.4)),
        ("{uniform: [0.1, 0.3], step: 0.1}", 9, (0.1, 0.2, 0.3)),
    ],
)
def test_learning_rates_are_evenly_apart_on_their_scale(rate: str, count: int, expected: tuple[float, ...]) -> None:
    given = file(f"{{method.beta: {{choice: [10]}}, training.optimizer.lr: {rate}}}", f"protocol.rates={count}")
    rules = Rules.of(given)
    assert rules.rates == expected


@pytest.mark.parametrize(("method", "path"), [("hnet", "method.beta"), ("ewc", "method.strength")])
def test_the_strength_is_the_methods_own_and_starts_at_its_highest(method: str, path: str) -> None:
    space = f"{{{path}: {{log_uniform: [1, 1e6]}}, training.optimizer.lr: {{choice: [0.1]}}}}"
    rules = Rules.of(file(space, "protocol.drop=0.1", "protocol.halvings=3", method=method))
    assert rules == Rules(5, (0.1,), 1e6, 0.1, 3, path)
    assert rules.most == 5 + 4 * 4
