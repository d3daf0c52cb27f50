"""Runs with LwF, experience replay and stored real data, from beginning to end."""

from pathlib import Path

import pytest
from interrupted import assert_interruptions_change_nothing
from test_run import experiment, summary_of

from hypercl.training import Report, RunFolders, run

FINETUNE = "method={name: finetune}"
ER = "method={name: er, budget: 60}"
STORED = "method={name: stored_real}"
LWF = "method={name: lwf}"


def final_accuracy(folder: Path, *overrides: str) -> float:
    setting = experiment("hypernet={name: none}", "target.hidden=[50]", "training.iterations=120", *overrides)
    summary = summary_of(run(setting, RunFolders(folder, folder), reports_per_task=1))
    return summary["validation"]["final_accuracy"]


def test_er_and_stored_data_keep_the_classes_that_finetuning_loses(tmp_path: Path) -> None:
    common = ("tasks.scenario=class", "training.iterations=60")
    found = {
        name: final_accuracy(tmp_path / name, method, *common)
        for name, method in {"finetune": FINETUNE, "er": ER, "stored": STORED}.items()
    }
    assert found["finetune"] < 0.5
    assert found["er"] > 0.85
    assert found["stored"] > 0.9


def test_lwf_forgets_less_than_finetuning(tmp_path: Path) -> None:
    """In a network so small that five tasks need the same units."""
    common = ("training.replicas=3", "training.iterations=60", "tasks.num_tasks=5", "target.hidden=[6]")
    finetuned = final_accuracy(tmp_path / "finetune", FINETUNE, *common, "training.optimizer.lr=5e-2")
    kept = final_accuracy(tmp_path / "lwf", LWF, *common, "training.optimizer.lr=5e-2")
    assert kept > finetuned + 0.1


@pytest.mark.parametrize("method", [LWF, ER, STORED])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, method: str) -> None:
    setting = experiment("hypernet={name: none}", "tasks.scenario=class", method, "training.iterations=12")
    assert_interruptions_change_nothing(setting, tmp_path)


def test_the_losses_of_the_batch_and_of_the_replay_are_told_apart(tmp_path: Path) -> None:
    setting = experiment("hypernet={name: none}", ER, "training.iterations=6", "training.replicas=2")
    rows = [
        row for item in run(setting, RunFolders(tmp_path, tmp_path)) if isinstance(item, Report) for row in item.rows
    ]
    losses = [(row["task"], "loss/replay" in row, "replica_1/loss/replay" in row) for row in rows if "loss/task" in row]
    assert set(losses) == {(1, False, False), (2, True, True), (3, True, True)}


def test_stored_data_is_checked_on_all_tasks_that_it_trains(tmp_path: Path) -> None:
    """Their data is at hand, so early stopping looks at them all."""
    stop = "training.early_stopping={patience: 4, checks: 6}"
    setting = experiment("hypernet={name: none}", "tasks.scenario=class", STORED, "training.iterations=24", stop)
    items = [
        item for item in run(setting, RunFolders(tmp_path, tmp_path), reports_per_task=6) if isinstance(item, Report)
    ]
    last = [item for item in items if not item.learned and item.task == 2][-1]
    (checked,) = [row["check/accuracy"] for row in last.rows if "check/accuracy" in row]
    assert checked == pytest.approx(sum(last.accuracies) / 3)
