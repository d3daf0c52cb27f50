"""Evaluations inside a task, with `training.evaluate_every`."""

import json
from pathlib import Path

import pytest
from interrupted import assert_interruptions_change_nothing
from test_run import experiment, place, summary_of

from hypercl.config.models import WITHIN_TASKS
from hypercl.training import RunFolders, run

__all__ = ["place"]
NAMES = {metric.removeprefix("validation/") for metric in WITHIN_TASKS}


def test_metrics_of_curves_are_there_where_the_tasks_are_evaluated_inside_a_task(place: RunFolders) -> None:
    summary = summary_of(run(experiment("training.evaluate_every=8"), place, test=True))
    assert all(0 <= summary["validation"][name] <= 1 for name in NAMES - {"zero_shot_transfer"})
    assert -1 <= summary["validation"]["zero_shot_transfer"] <= 1
    assert not NAMES & summary["test"].keys()
    assert 0 < summary["validation"]["calibration_error"] < 1
    assert 0 < summary["test"]["calibration_error"] < 1


def test_they_change_nothing_else_and_are_not_measured_unless_asked_for(tmp_path: Path) -> None:
    asked, plain = RunFolders(tmp_path / "asked", tmp_path), RunFolders(tmp_path / "plain", tmp_path)
    with_curves = summary_of(run(experiment("training.evaluate_every=8"), asked))["validation"]
    without = summary_of(run(experiment(), plain))["validation"]
    assert not NAMES & without.keys()
    assert {key: value for key, value in with_curves.items() if key not in NAMES} == without


def test_each_evaluation_is_a_row_of_the_metrics(place: RunFolders) -> None:
    rows = [row for item in run(experiment("training.evaluate_every=10"), place) for row in getattr(item, "rows", ())]
    found = [(row["task"], row["task_iteration"]) for row in rows if "within_task/task_1" in row]
    assert found == [(task, step) for task in (1, 2, 3) for step in (0, 10, 20, 24)]
    assert "within_task/task_3" in rows[-1]
    assert json.dumps(rows[-1])


@pytest.mark.parametrize("replicas", [1, 2])
def test_an_interrupted_run_has_the_same_points(replicas: int, tmp_path: Path) -> None:
    setting = experiment("training.evaluate_every=10", f"training.replicas={replicas}", "training.iterations=12")
    assert_interruptions_change_nothing(setting, tmp_path, ticks_each=9)


def test_early_stopping_ends_the_curve_with_the_state_that_is_put_back(place: RunFolders) -> None:
    stopping = experiment("training.evaluate_every=4", "training.early_stopping={patience: 2, checks: 8}")
    summary = summary_of(run(stopping, place))
    assert 0 < summary["validation"]["average_anytime_accuracy"] <= 1
