"""Whole runs of tasks with a class at each step: accuracy counts steps, methods, replicas, resumption."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hypercl.config import ConfigError, Experiment, loads
from hypercl.tasks import open_with_test
from hypercl.training import Finished, Report, RunFolders, TrainedModel, run


def experiment(*overrides: str) -> Experiment:
    text = """
experiment:
  tasks: {name: copy, num_tasks: 2, symbols: 8, length: 4, samples: 100}
  target: {name: lstm, hidden: [12], predicts: each_step}
  hypernet: {name: chunked, hidden: [8], chunk_size: 200, task_embedding: 4, chunk_embedding: 4}
  method: {name: hnet, beta: 0.1}
  training: {iterations: 10, batch_size: 16, optimizer: {lr: 2e-2}, threads: 1, device: cpu}
"""
    return loads(text, "x", overrides).experiment


def finished(folder: Path, *overrides: str, test: bool = False) -> dict[str, Any]:
    items = list(run(experiment(*overrides), RunFolders(folder, folder), test=test))
    assert isinstance(items[-1], Finished)
    return items[-1].summary.plain()


def test_accuracy_is_the_share_of_steps_that_are_right(tmp_path: Path) -> None:
    summary = finished(tmp_path, test=True)
    stream, model = open_with_test(experiment().tasks, tmp_path, offline=True), TrainedModel(tmp_path)
    for index in range(2):
        images, labels = stream.test(index)[torch.arange(500)]
        predicted = model.predict(images, task=index)
        assert predicted.shape == labels.shape == (500, 4)
        accuracy = float((predicted == labels).double().mean())
        assert summary["test"]["final_accuracy_per_task"][f"task_{index + 1}"] == pytest.approx(accuracy, abs=1e-6)
    assert 0 < summary["validation"]["calibration_error"] < 1


def test_an_lstm_learns_to_copy(tmp_path: Path) -> None:
    short = ("tasks.length=2", "tasks.symbols=50", "tasks.num_tasks=1", "training.iterations=120")
    summary = finished(tmp_path, *short, "method=finetune", "hypernet=none", "target.hidden=[32]")
    assert summary["validation"]["final_accuracy"] > 0.08  # by chance 1/50


def test_an_interrupted_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = finished(tmp_path / "whole")
    stopped = run(experiment(), RunFolders(tmp_path / "cut", tmp_path))
    for item in stopped:
        if isinstance(item, Report) and item.task == 1:
            stopped.close()
            break
    assert finished(tmp_path / "cut")["validation"] == whole["validation"]


def test_a_replica_equals_the_run_of_its_seed(tmp_path: Path) -> None:
    short = ("tasks.num_tasks=1", "training.iterations=5")
    both = finished(tmp_path / "both", *short, "training.replicas=2")
    alone = finished(tmp_path / "alone", *short, "training.seed=2")
    expected = alone["validation"]["final_accuracy"]
    assert both["replicas"][1]["validation"]["final_accuracy"] == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("method", ["{name: ewc, strength: 1}", "{name: si, strength: 0.1}", "scratch", "joint"])
def test_baselines_run_too(tmp_path: Path, method: str) -> None:
    summary = finished(tmp_path, f"method={method}", "hypernet=none")
    assert summary["validation"]["final_accuracy"] > 0.02


def test_each_task_may_have_outputs_of_its_own(tmp_path: Path) -> None:
    assert finished(tmp_path, "tasks.heads=own")["validation"]["final_accuracy"] > 0.02


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["target=mlp"], "target mlp predicts one for a whole sequence"),
        (["target.predicts=last"], "predicts: each_step"),
        (["tasks=split_digits"], "use last"),
        (["method=lwf", "hypernet=none"], "method lwf has one class for a whole input"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment(*overrides)
