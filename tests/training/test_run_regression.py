"""Whole runs of a regression: what is measured, told, kept, and found again after an interruption."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from hypercl.config import ConfigError, Experiment, loads
from hypercl.training import Finished, Report, RunFolders, TrainedModel, run


def experiment(*overrides: str) -> Experiment:
    text = """
experiment:
  tasks: {name: toy_regression, samples: 40}
  target: {name: mlp, hidden: [6], activation: sigmoid}
  hypernet: {name: full, hidden: [6], activation: sigmoid, task_embedding: 2}
  method: {name: hnet, beta: 0.005}
  training: {iterations: 40, batch_size: 8, optimizer: {name: adam, lr: 1e-2}, threads: 1, device: cpu}
"""
    return loads(text, "x", overrides).experiment


def finished(folder: Path, *overrides: str, test: bool = True) -> tuple[list[Any], dict[str, Any]]:
    items = list(run(experiment(*overrides), RunFolders(folder, folder), test=test))
    assert isinstance(items[-1], Finished)
    return items, items[-1].summary.plain()


def cells(path: Path) -> list[float]:
    with path.open() as file:
        return [float(cell) for cell in list(csv.reader(file))[-1][1:]]


def test_the_squared_error_is_measured_told_and_kept_beside_r2(tmp_path: Path) -> None:
    items, summary = finished(tmp_path)
    last = [item for item in items if isinstance(item, Report)][-1]
    for split, end in (("validation", ""), ("test", "_test")):
        each = list(summary[split]["final_mse_per_task"].values())
        assert cells(tmp_path / f"mse_matrix{end}.csv") == pytest.approx(each, abs=1e-6)
        assert summary[split]["final_mse"] == pytest.approx(sum(each) / 3)
        assert summary[split]["during_mse"] > 0
        assert all(0 <= score <= 1 for score in summary[split]["final_accuracy_per_task"].values())
    assert last.rows[-1]["validation/mse_task_3"] == summary["validation"]["final_mse_per_task"]["task_3"]


def test_r2_is_one_less_the_error_over_the_variance_and_never_negative(tmp_path: Path) -> None:
    _, summary = finished(tmp_path, "method=joint", "training.iterations=300", "training.optimizer.lr=0.03")
    model = TrainedModel(tmp_path)
    x = torch.linspace(2, 4, 50).unsqueeze(1)
    error = float((model.predict(x, task=2) - (x - 3) ** 3).square().mean())
    test = summary["test"]
    assert test["final_mse_per_task"]["task_3"] == pytest.approx(error, rel=1e-4)
    variance = float(((x - 3) ** 3).var(correction=0))
    assert test["final_accuracy_per_task"]["task_3"] == pytest.approx(max(0.0, 1 - error / variance), abs=1e-5)
    assert test["final_accuracy_per_task"]["task_3"] > 0
    with (tmp_path / "accuracy_matrix.csv").open() as file:
        before = [float(cell) for cell in list(csv.reader(file))[1][1:]]
    assert min(before) == 0


def test_an_interrupted_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    _, whole = finished(tmp_path / "whole", test=False)
    stopped = run(experiment(), RunFolders(tmp_path / "cut", tmp_path))
    for item in stopped:
        if isinstance(item, Report) and item.task == 1:
            stopped.close()
            break
    _, again = finished(tmp_path / "cut", test=False)
    assert again["validation"] == whole["validation"]


def test_replicas_have_their_mean_and_spread(tmp_path: Path) -> None:
    _, summary = finished(tmp_path, "training.replicas=2", test=False)
    one = [replica["validation"]["final_mse"] for replica in summary["replicas"]]
    assert summary["validation"]["final_mse"] == pytest.approx(sum(one) / 2)
    assert summary["spread"]["validation"]["final_mse"] > 0
    _, summary = finished(tmp_path / "one", test=False)
    assert summary["validation"]["final_mse"] == pytest.approx(one[0], rel=1e-3)


def test_predictions_are_written_after_each_task(tmp_path: Path) -> None:
    finished(tmp_path, test=False)
    tables = [
        list(csv.DictReader((tmp_path / "functions" / f"after-task-{n}.csv").read_text().splitlines()))
        for n in (1, 2, 3)
    ]
    assert [len({row["task"] for row in table}) for table in tables] == [1, 2, 3]
    assert len(tables[-1]) == 3 * 20
    model, rows = TrainedModel(tmp_path), tables[-1][:20]
    x = torch.tensor([[float(row["x"])] for row in rows])
    predicted = model.predict(x, task=0).flatten().tolist()
    assert [float(row["prediction"]) for row in rows] == pytest.approx(predicted, abs=1e-4)


@pytest.mark.parametrize(
    "method",
    ["{name: ewc, strength: 1}", "{name: online_ewc, strength: 1}", "{name: si, strength: 0.1}", "finetune", "scratch"],
)
def test_baselines_learn_it_too(tmp_path: Path, method: str) -> None:
    steps = ("training.iterations=150", "training.optimizer.lr=0.03", "tasks.num_tasks=2")
    _, summary = finished(tmp_path, f"method={method}", "hypernet=none", *steps, test=False)
    assert summary["validation"]["during_mse"] < 0.25  # the targets' variances are 0.33 and 0.36


def test_a_density_in_the_plane_is_learned(tmp_path: Path) -> None:
    keys = ("tasks={name: gaussian_bumps, skip: 4, num_tasks: 1, samples: 400}", "method=finetune", "hypernet=none")
    steps = ("target={name: mlp, hidden: [16]}", "training.iterations=300", "training.optimizer.lr=0.03")
    _, summary = finished(tmp_path, *keys, *steps, test=False)
    assert summary["validation"]["during_accuracy"] > 0.3  # R²
    assert not (tmp_path / "functions").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("method={name: lwf}", "method lwf classifies"),
        ("training.label_smoothing=0.1", "a regression has none"),
        ("tasks.scenario=class", "task"),
    ],
)
def test_what_is_of_classes_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment(override, *(["hypernet=none"] if "lwf" in override else []))
