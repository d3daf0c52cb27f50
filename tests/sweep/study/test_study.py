"""The study: what was suggested, reported and decided survives everything."""

import math
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from hypercl.config import SweepFile
from hypercl.sweep.planner import planner_of
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.pruners import final_step, pruner_in_words
from hypercl.sweep.study.study import SweepStudy

Files = Callable[..., SweepFile]
Studies = Callable[[SweepFile], SweepStudy]


def test_the_first_trial_is_the_experiment_as_written(sweep_file: Files, open_study: Studies) -> None:
    first = open_study(sweep_file()).ask()
    assert first is not None
    assert (first.number, dict(first.params)) == (0, {"method.beta": 0.01, "hypernet.task_embedding": 8})


def test_without_include_base_it_is_not(sweep_file: Files, open_study: Studies) -> None:
    first = open_study(sweep_file("search.include_base=false")).ask()
    assert first is not None
    assert first.params["method.beta"] != 0.01


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("pruned", TrialState.PRUNED),
        ("infeasible", TrialState.PRUNED),
        ("diverged", TrialState.PRUNED),
        ("out_of_memory", TrialState.PRUNED),
        ("failed", TrialState.FAIL),
        ("complete", TrialState.COMPLETE),
    ],
)
def test_each_outcome_is_told_as_its_state_with_constraints(
    sweep_file: Files, open_study: Studies, kind: str, state: TrialState
) -> None:
    study = open_study(sweep_file())
    study.ask()
    study.decide(0, Outcome(kind, value=0.5 if kind == "complete" else None))
    study.settle(0)
    trial = study.trials()[0]
    assert trial.state == state
    fatal = {"diverged": float(kind == "diverged"), "out_of_memory": float(kind == "out_of_memory")}
    assert list(trial.constraints.items()) == [("valid", 0.0), ("compression_ratio", 0.0), *fatal.items()]
    assert study.record().counts()["trained"] == (kind not in ("infeasible", "failed"))


def test_a_trial_is_told_once_whatever_is_decided_later(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file())
    study.ask()
    study.decide(0, Outcome("pruned", "stopped"))
    study.decide(0, Outcome("complete", value=0.9))
    study.settle(0)
    study.settle(0)
    assert study.trials()[0].state == TrialState.PRUNED
    assert study.record().counts() == {"pruned": 1, "trained": 1}


def test_a_written_decision_is_carried_out_by_the_next_driver(sweep_file: Files, open_study: Studies) -> None:
    killed = open_study(sweep_file())
    killed.ask()
    killed.report(0, 8, 0.3)
    killed.decide(0, Outcome("pruned", "stopped at step 8"))
    study = open_study(sweep_file())
    assert study.trials()[0].state == TrialState.PRUNED
    assert study.leftovers() == []


def test_running_trials_of_a_dead_driver_keep_number_parameters_and_reports(
    sweep_file: Files, open_study: Studies
) -> None:
    killed = open_study(sweep_file())
    asked = [killed.ask(), killed.ask()]
    killed.report(1, 1, 0.1)
    study = open_study(sweep_file())
    assert study.leftovers() == asked
    assert study.reported(1) == {1: 0.1}
    study.report(1, 1, 0.2)
    assert study.reported(1) == {1: 0.1}


def test_a_trial_whose_driver_died_while_asking_gets_the_rest_of_its_parameters(
    sweep_file: Files, open_study: Studies, tmp_path: Path
) -> None:
    killed = open_study(sweep_file())
    killed.ask()
    killed.ask()
    journal = tmp_path / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert b'"op_code":5' in lines[-1]
    journal.write_bytes(b"".join(lines[:-1]))
    (_, half) = open_study(sweep_file()).leftovers()
    assert half.number == 1
    assert set(half.params) == {"method.beta", "hypernet.task_embedding"}
    (_, again) = open_study(sweep_file()).leftovers()
    assert again == half


def test_every_prefix_of_a_journal_can_be_taken_up(sweep_file: Files, open_study: Studies, tmp_path: Path) -> None:
    study = open_study(sweep_file("search.trials=2"))
    for number in range(2):
        study.ask()
        study.constrain(number, {"valid": 0.0, "compression_ratio": -0.2})
        study.report(number, 1, 0.2)
        study.decide(number, Outcome("complete", value=0.5))
        study.settle(number)
    journal = tmp_path / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    for length in range(len(lines) + 1):
        journal.write_bytes(b"".join(lines[:length]))
        study = open_study(sweep_file("search.trials=2"))
        for suggestion in study.leftovers():
            study.decide(suggestion.number, Outcome("complete", value=0.5))
            study.settle(suggestion.number)
        while study.trained < 2:
            suggestion = study.ask()
            assert suggestion is not None
            study.decide(suggestion.number, Outcome("complete", value=0.5))
            study.settle(suggestion.number)
        trials = open_study(sweep_file()).trials()
        assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
        assert trials[0].params["method.beta"] == 0.01


def test_a_resumed_sampler_does_not_repeat_its_first_suggestions(sweep_file: Files, open_study: Studies) -> None:
    seen = []
    for _ in range(2):
        study = open_study(sweep_file("search.startup_trials=100"))
        seen += [study.ask() for _ in range(4)]
    assert len({suggestion.params["method.beta"] for suggestion in seen if suggestion}) == 8


def test_nothing_is_stopped_at_the_final_step_nor_before_the_warm_up(sweep_file: Files, open_study: Studies) -> None:
    file = sweep_file()
    study = open_study(file)
    last = final_step(file)
    for number, value in enumerate((0.9, 0.8, 0.7)):
        study.ask()
        stops = [step for step in range(1, last + 1) if study.report(number, step, value)]
        if number:
            assert stops[0] == 8
            assert last not in stops
        else:
            assert stops == []


def test_the_rungs_survive_a_restart(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file())
    study.ask()
    assert not study.report(0, 8, 0.9)
    study = open_study(sweep_file())
    study.ask()
    assert study.report(1, 8, 0.1)


def test_a_value_that_is_not_a_number_is_not_reported(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file())
    study.ask()
    assert not study.report(0, 8, math.nan)
    assert study.reported(0) == {}


def test_a_minimised_objective_stops_the_trial_that_knows_less(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file("objective={minimize: validation/forgetting}"))
    study.ask()
    study.ask()
    assert not study.report(0, 8, 0.9)
    assert study.report(1, 8, 0.1)
    for number, value in enumerate((0.2, 0.1)):
        study.decide(number, Outcome("complete", value=value))
        study.settle(number)
    best = study.record().best()
    assert best is not None
    assert best.number == 1


def test_the_thread_count_of_the_first_driver_holds(sweep_file: Files, tmp_path: Path) -> None:
    assert SweepStudy(tmp_path / "j", "a", sweep_file(), threads=3).threads == 3
    again = SweepStudy(tmp_path / "j", "another name", sweep_file(), threads=8)
    assert (again.threads, again.optuna.study_name) == (3, "a")


def test_a_grid_trains_every_cell_once_and_ends(sweep_file: Files, open_study: Studies) -> None:
    overrides = (
        "search.sampler=grid",
        "space={hypernet.task_embedding: {choice: [4, 8, 16]}, method.lookahead: {choice: [true, false]}}",
    )
    cells = []
    while True:
        file = sweep_file(*overrides)
        study = open_study(file)
        suggestion = planner_of(file).next(study)
        if suggestion is None:
            break
        cells.append(tuple(suggestion.params.values()))
        study.decide(suggestion.number, Outcome("complete", value=0.5))
        study.settle(suggestion.number)
    assert cells[0] == (8, True)
    assert sorted(cells) == [(size, ahead) for size in (4, 8, 16) for ahead in (False, True)]


def test_infeasible_settings_steer_the_sampler_away(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file("search.startup_trials=5", "search.include_base=false"))
    infeasible = 0
    for index in range(40):
        suggestion = study.ask()
        assert suggestion is not None
        bad = suggestion.params["method.beta"] > 0.01
        study.constrain(suggestion.number, {"valid": 0.0, "compression_ratio": 1.0 if bad else -1.0})
        study.decide(suggestion.number, Outcome("infeasible") if bad else Outcome("complete", value=0.5))
        study.settle(suggestion.number)
        infeasible += bad and index >= 20
    assert infeasible <= 8


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ((), "asha: keeps one in 2 after tasks 2 and 4"),
        (("pruner.warmup_tasks=5",), "never prunes"),
        (("pruner.name=median",), "median: from task 2 on"),
        (("pruner={name: none}",), "every trial is trained to its end"),
    ],
)
def test_the_pruner_is_described_in_tasks(sweep_file: Files, overrides: tuple[str, ...], words: str) -> None:
    assert words in pruner_in_words(sweep_file(*overrides))


def test_the_median_pruner_waits_for_complete_trials(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file("pruner={name: median, startup_trials: 2}"))
    for number in range(2):
        study.ask()
        assert not study.report(number, 8, 0.8)
        study.decide(number, Outcome("complete", value=0.8))
        study.settle(number)
    study.ask()
    assert not study.report(2, 7, 0.1)
    assert study.report(2, 8, 0.1)


def test_optuna_itself_opens_the_journal(sweep_file: Files, open_study: Studies, tmp_path: Path) -> None:
    open_study(sweep_file()).ask()
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    study = optuna.load_study(study_name="test", storage=optuna.storages.JournalStorage(backend))
    assert len(study.trials) == 1


def test_the_study_counts_how_often_a_setting_came_before(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file("space={method.beta: {choice: [0.01, 0.1]}}", "search.include_base=false"))
    asked = [study.ask() for _ in range(6)]
    params = [suggestion.params for suggestion in asked]
    counted = [study.trial(suggestion.number).user_attrs.get("repeat", 0) for suggestion in asked]
    assert counted == [params[:number].count(own) for number, own in enumerate(params)]
    assert max(counted) >= 2


def test_goals_have_their_names_in_the_study(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file("objective={minimize: validation/forgetting}"))
    assert study.optuna.metric_names == ["validation/forgetting"]


def test_how_a_trial_ended_is_readable_in_optuna_dashboard(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file())
    metrics = {"validation/forgetting": 0.25, "parameters": 7.0, "seconds": 1.5}
    study.decide(study.ask().number, Outcome("complete", value=0.5, metrics=metrics))
    study.decide(study.ask().number, Outcome("diverged", "the loss became nan at step 3"))
    complete, diverged = ({k: v for k, v in trial.user_attrs.items() if k != "outcome"} for trial in study.trials())
    assert complete.items() >= {"ending": "complete", "forgetting": 0.25, "parameters": 7.0, "seconds": 1.5}.items()
    assert diverged == {"ending": "diverged: the loss became nan at step 3"}
