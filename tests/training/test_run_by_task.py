"""Runs whose settings change along the stream."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from interrupted import assert_interruptions_change_nothing
from test_run import equal, experiment, final_state, summary_of

from hypercl.config import Experiment
from hypercl.training import Report, RunFolders, run

PLAIN = "hypernet={name: none}"
CHANGES = ("by_task.method.beta=[0.5, 0, 3]", "by_task.training.optimizer.lr=[0.01, 0.003, 0.02]")
SHORT = ("training.iterations=12",)


def state_of(setting: Experiment, folder: Path) -> Any:
    summary_of(run(setting, RunFolders(folder, folder), reports_per_task=1))
    return final_state(folder)["state"]


def learn_one(setting: Experiment, folder: Path, task: int) -> None:
    """Stops once a task is learned."""
    with closing(run(setting, RunFolders(folder, folder))) as progress:
        for item in progress:
            if isinstance(item, Report) and item.learned and item.task == task:
                return


def test_the_same_value_for_each_task_is_the_run_without(tmp_path: Path) -> None:
    same = experiment(*SHORT, "by_task.method.beta=[0.3, 0.3, 0.3]")
    assert equal(state_of(same, tmp_path / "each"), state_of(experiment(*SHORT, "method.beta=0.3"), tmp_path / "one"))


@pytest.mark.parametrize("method", ["hnet", "ewc", "si"])
def test_tasks_learned_in_runs_of_their_own_end_where_one_run_does(tmp_path: Path, method: str) -> None:
    """Each run has the values found so far for the tasks before, and its own for all that come."""
    path = "method.beta" if method == "hnet" else "method.strength"
    common = [*SHORT, f"method={{name: {method}}}", *([] if method == "hnet" else [PLAIN])]
    values, rates = [50.0, 0.4, 7.0], [0.01, 0.02, 0.004]

    def attempt(count: int) -> Experiment:
        def padded(found: list[float]) -> str:
            return str(found[:count] + [found[count - 1]] * (3 - count))

        return experiment(*common, f"by_task.{path}={padded(values)}", f"by_task.training.optimizer.lr={padded(rates)}")

    whole = state_of(attempt(3), tmp_path / "whole")
    for task in range(3):
        folder = tmp_path / str(task)
        if task:
            shutil.copytree(tmp_path / str(task - 1) / "checkpoints", folder / "checkpoints")
        learn_one(attempt(task + 1), folder, task)
    assert equal(final_state(tmp_path / "2")["state"], whole)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    assert_interruptions_change_nothing(experiment(*SHORT, *CHANGES), tmp_path)


def test_a_replica_is_what_its_seed_alone_is(tmp_path: Path) -> None:
    together = state_of(experiment(*SHORT, *CHANGES, "training.replicas=2", "training.seed=4"), tmp_path / "two")
    alone = state_of(experiment(*SHORT, *CHANGES, "training.seed=5"), tmp_path / "one")
    for name, value in alone["theta"].items():
        torch.testing.assert_close(together["theta"][name][1], value, rtol=1e-4, atol=1e-6)


def test_the_learning_rate_is_that_of_the_task(tmp_path: Path) -> None:
    place = RunFolders(tmp_path / "run", tmp_path)
    rows = [row for item in run(experiment(*SHORT, *CHANGES), place) if isinstance(item, Report) for row in item.rows]
    assert [{row["lr"] for row in rows if row["task"] == task} for task in (1, 2, 3)] == [{0.01}, {0.003}, {0.02}]


def test_at_strength_0_a_task_is_plain_finetuning(tmp_path: Path) -> None:
    plain = state_of(experiment(*SHORT, "method.name=finetune"), tmp_path / "plain")
    free = state_of(experiment(*SHORT, "by_task.method.beta=[5, 0, 0]"), tmp_path / "free")
    held = state_of(experiment(*SHORT, "by_task.method.beta=[5, 0, 5]"), tmp_path / "held")
    assert equal(free["theta"], plain["theta"])
    assert not equal(held["theta"], plain["theta"])


@pytest.mark.parametrize("method", ["ewc", "online_ewc", "si"])
def test_what_is_learned_at_strength_0_is_held_by_the_strength_of_a_later_task(tmp_path: Path, method: str) -> None:
    """Over the first task no strength has anything to act on, so which it was cannot matter later."""
    common = [*SHORT, f"method={{name: {method}}}", PLAIN]
    first = state_of(experiment(*common, "by_task.method.strength=[0, 3, 3]"), tmp_path / "none")
    other = state_of(experiment(*common, "by_task.method.strength=[3, 3, 3]"), tmp_path / "some")
    assert equal(first, other)
