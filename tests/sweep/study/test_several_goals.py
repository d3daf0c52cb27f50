"""A study of several goals: what it is told, what it prunes by, what it avoids, and what may be asked of it."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from bridge import Bridge

from hypercl.config import ConfigError, SweepFile, check_sweep, loads
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.study import journal
from hypercl.sweep.study.outcome import Outcome, outcome_of
from hypercl.sweep.study.progress_study import ENDING, names_of
from hypercl.sweep.study.record import progress_of, read_sweep
from hypercl.sweep.study.study import SweepStudy

ACCURACY, RATIO = "validation/final_accuracy", "compression_ratio"
GOALS = f"objective={{maximize: {ACCURACY}, minimize: {RATIO}}}"
TEXT = """
experiment:
  tasks: {name: split_digits}
  hypernet: {name: chunked, task_embedding: 8}
  method: {name: hnet, beta: 0.01}
space:
  method.beta: {log_uniform: [1e-4, 10]}
  hypernet.task_embedding: {int: [4, 64]}
search: {trials: 40, startup_trials: 8, include_base: false}
"""


def file_of(*overrides: str) -> SweepFile:
    file = loads(TEXT, "test.yaml", [GOALS, *overrides])
    check_sweep(file, "test.yaml")
    return file


def complete(accuracy: float, ratio: float, **more: float) -> Outcome:
    return Outcome("complete", "", accuracy, {ACCURACY: accuracy, RATIO: ratio, **more})


def test_a_complete_trial_is_told_a_value_for_each_goal_in_their_order(tmp_path: Path) -> None:
    study = SweepStudy(tmp_path / "study.journal", "test", file_of(), 1)
    suggestion = study.ask()
    assert suggestion is not None
    study.decide(suggestion.number, complete(0.9, 0.3))
    study.settle(suggestion.number)
    assert study.optuna.directions == [optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE]
    assert study.trial(0).values == [0.9, 0.3]


def test_a_trial_without_a_finite_value_of_each_goal_is_not_complete(tmp_path: Path) -> None:
    bridge = Bridge(file_of(), tmp_path)
    for name, metrics in (("a", ((ACCURACY, 0.9),)), ("b", ((ACCURACY, 0.9), (RATIO, float("nan"))))):
        assert bridge.start(name)
        bridge.end(name, "finished", metrics)
    first, second = map(outcome_of, bridge.study.trials())
    assert (first.kind, first.why) == ("failed", "its summary holds no compression_ratio")
    assert (second.kind, second.why) == ("diverged", "compression_ratio is nan")


def test_the_pruner_watches_progress_in_the_second_study_whatever_the_first_goal_is(tmp_path: Path) -> None:
    least_first = f"objective={{minimize: [{RATIO}, validation/forgetting]}}"
    file = file_of("pruner={name: median, startup_trials: 2}", least_first)
    study = SweepStudy(tmp_path / "study.journal", "test", file, 1)
    for value in (0.5, 0.6):
        number = trial_of(study)
        assert not any(study.report(number, step, value) for step in range(1, 21))
        study.decide(number, Outcome("complete", "", 0.3, {"validation/forgetting": 0.1}))
        study.settle(number)
    good, bad = trial_of(study), trial_of(study)
    assert not any(study.report(good, step, 0.7) for step in range(1, 21))
    stops = [step for step in range(1, 21) if study.report(bad, step, 0.2)]
    assert stops[0] == 8  # the first step after two tasks
    assert 20 not in stops
    assert study.reported(bad) == dict.fromkeys(range(1, 21), 0.2)


def trial_of(study: SweepStudy) -> int:
    suggestion = study.ask()
    assert suggestion is not None
    return suggestion.number


def test_a_step_is_reported_once_however_often_a_trial_is_taken_up_again(tmp_path: Path) -> None:
    file = file_of("pruner={name: none}")
    studies = []
    for session in range(3):
        studies.append(SweepStudy(tmp_path / "study.journal", "test", file, 1))
        number = studies[-1].leftovers()[0].number if session else trial_of(studies[-1])
        for step in range(1, 4 + session):
            studies[-1].report(number, step, 0.1 * step + session)
    assert studies[-1].reported(0) == {1: 0.1, 2: 0.2, 3: pytest.approx(0.3), 4: pytest.approx(1.4), 5: 2.5}


@pytest.mark.parametrize("gone", ["trial-told", "mirror-told"])
def test_a_kill_between_the_two_studies_is_made_good(gone: str, tmp_path: Path) -> None:
    file = file_of()
    study = SweepStudy(tmp_path / "study.journal", "test", file, 1)
    number = trial_of(study)
    study.report(number, 1, 0.2)
    study.decide(number, complete(0.9, 0.3))
    if gone == "trial-told":
        assert study._progress is not None
        study._progress.settle(number, complete(0.9, 0.3))

    again = SweepStudy(tmp_path / "study.journal", "test", file, 1)
    assert again.trial(number).values == [0.9, 0.3]
    assert again._progress is not None
    assert [trial.state.name for trial in again._progress.trials()] == ["COMPLETE"]


def test_readers_take_the_sweeps_own_study_with_the_progress_of_the_second(tmp_path: Path) -> None:
    file = file_of()
    write_sweep(tmp_path, file, "test")
    study = SweepStudy(tmp_path / "study.journal", "test", file, 1)
    for _ in range(3):
        trial_of(study)
    study.report(2, 1, 0.25)
    names = optuna.get_all_study_names(journal.open_journal(tmp_path / "study.journal"))
    assert sorted(names) == ["test", "test" + ENDING]
    assert names_of(reversed(names)) == names_of(names) == ("test", "test" + ENDING)
    record = read_sweep(tmp_path)
    assert [trial.number for trial in record.trials] == [0, 1, 2]
    assert [progress_of(record.file, trial) for trial in record.trials] == [[], [], [(1, 0.25)]]


def test_one_goal_has_no_second_study(tmp_path: Path) -> None:
    SweepStudy(tmp_path / "study.journal", "test", loads(TEXT, "test.yaml"), 1)
    assert optuna.get_all_study_names(journal.open_journal(tmp_path / "study.journal")) == ["test"]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3"])
def test_settings_out_of_bounds_are_avoided(sampler: str, tmp_path: Path) -> None:
    """Of settings drawn at random 79 % are out of bounds, the sampler sees them for what they are from its model on."""
    size = ["search.population=8"] if sampler != "tpe" else []
    study = SweepStudy(tmp_path / "study.journal", "test", file_of(f"search.sampler={sampler}", *size), 1)
    broken = []
    for _ in range(64):
        suggestion = study.ask()
        assert suggestion is not None
        size_of, beta = suggestion.params["hypernet.task_embedding"], math.log10(suggestion.params["method.beta"])
        study.constrain(suggestion.number, {"valid": 0.0, "parameters": size_of / 16 - 1})
        broken.append(size_of > 16)
        accuracy, ratio = 0.9 - 0.1 * abs(beta + 1) + 0.001 * size_of, abs(size_of - 12) / 64 + 0.1 * abs(beta + 1.5)
        study.decide(suggestion.number, Outcome("infeasible") if size_of > 16 else complete(accuracy, ratio))
        study.settle(suggestion.number)
    assert sum(broken[:8]) / 8 > 0.6
    assert sum(broken[32:]) / 32 < 0.5


@pytest.mark.parametrize("sampler", ["nsga2", "nsga3", "gp"])
def test_what_cannot_be_trained_is_seen_as_the_worst_in_every_goal(sampler: str, tmp_path: Path) -> None:
    goals = "objective={maximize: validation/final_accuracy, minimize: [compression_ratio, seconds]}"
    study = SweepStudy(tmp_path / "study.journal", "test", file_of(goals, f"search.sampler={sampler}"), 1)
    found = [complete(0.9, 0.1, seconds=7.0), complete(0.8, 0.2, seconds=4.0)]
    for end in (Outcome("diverged"), *found):
        number = trial_of(study)
        study.decide(number, end)
        study.settle(number)
    assert study.trial(0).values is None
    assert study.optuna.sampler.view(study.optuna).get_trials()[0].values == [0.8, 0.2, 7.0]
    assert [trial.number for trial in study.record().ranked()] == [1, 2]


@pytest.mark.parametrize(
    ("overrides", "key", "message"),
    [
        (["search.sampler=cmaes"], "search.sampler", "cmaes seeks one goal"),
        (["protocol.name=stability_decay"], "objective", "accuracy on one task"),
        (["objective={minimize: compression_ratio}", "final.settings=all"], "final.settings", "no front"),
        (["objective={minimize: seconds}"], "objective", "by seconds alone"),
        (["objective={minimize: [parameters, seconds]}"], "objective", "by parameters and seconds alone"),
        (["objective={maximize: validation/task_inference_accuracy}"], "objective", "the task is given"),
    ],
)
def test_what_several_goals_cannot_have_is_refused(overrides: list[str], key: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        file_of(*overrides)
    assert [message in problem.message for problem in caught.value.problems if problem.path == key] == [True]


def test_a_method_that_infers_no_task_cannot_be_judged_by_it() -> None:
    text = """
experiment: {tasks: {name: split_digits, scenario: domain}, method: {name: er}}
space: {training.optimizer.lr: {log_uniform: [1e-4, 0.1]}}
objective: {maximize: validation/task_inference_accuracy}
"""
    with pytest.raises(ConfigError, match="the task is inferred by no er"):
        check_sweep(loads(text, "test.yaml"), "test.yaml")


@pytest.mark.parametrize("name", ["hnet_ent", "hnet_tir"])
def test_the_accuracy_of_inferring_tasks_may_be_sought_where_they_are_inferred(name: str) -> None:
    goals = "objective={maximize: [validation/final_accuracy, validation/task_inference_accuracy]}"
    file = file_of(goals, "tasks.scenario=domain", f"method.name={name}")
    assert [goal.metric for goal in file.objective.goals] == [ACCURACY, "validation/task_inference_accuracy"]
    assert file_of(goals, "tasks.scenario=class", f"method.name={name}", "final.settings=all").final.settings == "all"


def test_a_method_of_the_users_own_may_be_judged_by_the_tasks_it_infers() -> None:
    text = """
experiment: {tasks: {name: split_digits, scenario: domain}, method: {name: import, path: "mine:Learner"}}
space: {training.optimizer.lr: {log_uniform: [1e-4, 0.1]}}
objective: {maximize: validation/task_inference_accuracy}
"""
    check_sweep(loads(text, "test.yaml"), "test.yaml")


def test_the_whole_front_may_be_trained_anew() -> None:
    assert file_of("final.settings=all").final.settings == "all"


def objective_of(file: SweepFile) -> Any:
    return [(goal.metric, goal.direction) for goal in file.objective.goals]


BOTH = [(ACCURACY, "maximize"), (RATIO, "minimize")]


def test_a_file_and_an_override_may_state_both_directions() -> None:
    written = f"experiment: {{tasks: {{name: split_digits}}}}\nobjective: {{maximize: {ACCURACY}, minimize: {RATIO}}}"
    assert objective_of(loads(written, "x")) == BOTH
    assert objective_of(loads(TEXT, "x", [GOALS])) == BOTH
    assert objective_of(loads(TEXT, "x", [GOALS, f"objective.minimize={RATIO}"])) == [(RATIO, "minimize")]


@pytest.mark.parametrize(
    ("below", "above", "found"),
    [
        ("maximize: validation/during_accuracy", f"maximize: {ACCURACY}, minimize: {RATIO}", BOTH),
        ("minimize: validation/forgetting", f"maximize: {ACCURACY}, minimize: {RATIO}", BOTH),
        (f"maximize: {ACCURACY}, minimize: {RATIO}", "minimize: seconds", [("seconds", "minimize")]),
        (f"maximize: {ACCURACY}, minimize: {RATIO}", None, BOTH),
    ],
)
def test_including_files_state_what_they_seek_wholly(below: str, above: str | None, found: Any, tmp_path: Path) -> None:
    (tmp_path / "below.yaml").write_text(f"experiment: {{tasks: {{name: split_digits}}}}\nobjective: {{{below}}}\n")
    own = "" if above is None else f"objective: {{{above}}}\n"
    assert objective_of(loads(f"include: below.yaml\n{own}", str(tmp_path / "file.yaml"))) == found
