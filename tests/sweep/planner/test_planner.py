"""The seam that says what is tried next: which planner a sweep has, and what each does with its trials."""

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from hypercl.config import SweepFile, loads
from hypercl.sweep.planner import Part, planner_of
from hypercl.sweep.study import REPEAT, Outcome

DECAY = """
experiment: {tasks: {name: split_digits}}
space: {method.beta: {choice: [10]}, training.optimizer.lr: {choice: [0.1]}}
protocol: {name: stability_decay}
"""
GRID = """
experiment: {tasks: {name: split_digits}}
space: {method.beta: {choice: [1, 2, 3]}}
search: {sampler: grid, trials: 50}
"""
SAMPLER = """
experiment: {tasks: {name: split_digits}}
space: {method.beta: {uniform: [0, 1]}}
search: {trials: 50}
"""


def file(text: str) -> SweepFile:
    return loads(text, "test.yaml")


@pytest.mark.parametrize(("text", "most"), [(GRID, 4), (SAMPLER, 50)])
def test_a_grid_has_no_more_trials_than_cells_and_the_experiment_as_written(text: str, most: int) -> None:
    assert planner_of(file(text)).most_trials == most


@pytest.mark.parametrize("text", [SAMPLER, DECAY])
def test_a_trial_that_no_plan_made_is_a_setting_for_the_whole_stream(text: str) -> None:
    """Under stability_decay too: a person may enqueue one from another process."""
    planner = planner_of(file(text))
    trial = create_trial(value=0.5, params={"method.beta": 0.5}, distributions={"method.beta": FloatDistribution(0, 1)})
    outcome = Outcome("complete", value=0.5)
    assert planner.part(trial) == Part({})
    assert planner.settings(trial) == planner.tried(trial) == {"method.beta": 0.5}
    assert planner.columns(trial) == {}
    assert planner.judged(trial, outcome) == outcome


def test_a_setting_that_comes_again_is_trained_on_further_seeds() -> None:
    planner = planner_of(loads(SAMPLER, "test.yaml", ["training.seed=3", "training.replicas=4"]))
    seeds = [
        planner.part(create_trial(value=0.5, user_attrs={REPEAT: before} if before else {})).changes
        for before in (0, 1, 2)
    ]
    assert seeds == [{}, {"training.seed": 7}, {"training.seed": 11}]


def test_only_a_plan_of_attempts_is_over_before_its_budget_and_has_rows_of_its_own() -> None:
    sampler, decay = planner_of(file(SAMPLER)), planner_of(file(DECAY))
    assert (sampler.over([]), sampler.plan_rows(), sampler.status_rows([]), sampler.ending([])) == (False, [], [], None)
    assert not decay.over([])
    assert [name for name, _ in decay.plan_rows()] == ["attempts", "phase rate", "phase decay"]
    assert decay.status_rows([]) == [("stream", "at task 1 of 5, phase rate")]
