"""Whole runs of a regression: what is measured, told, kept, and found again after an interruption."""

import csv
from contextlib import closing
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
        ("method={name: dgr}", "method dgr classifies"),
    ],
)
def test_what_is_of_classes_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment(override, *(["hypernet=none"] if "name" in override else []))


UNKNOWN = (
    "tasks.scenario=domain",
    "method={name: hnet_tir, beta: 0.005, generator: {likelihood: gaussian, encoder: [8], decoder: [8], latent: 3, "
    "condition_size: 3, hypernet: {name: full, hidden: [6], task_embedding: 2}}}",
)
LEARNED = ("training.iterations=150", "training.optimizer.lr=0.03")


def cells_of(path: Path) -> list[list[str]]:
    with path.open() as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def inferring(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run of two replicas that infers the task, and its summary."""
    folder = tmp_path_factory.mktemp("inferring")
    return folder, finished(folder, *UNKNOWN, *LEARNED, "training.replicas=2")[1]


def test_the_task_of_an_input_is_inferred(inferring: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = inferring
    for data in ("validation", "test"):
        assert summary[data]["task_inference_accuracy"] > 0.9  # a guess is right in a third
        assert summary[data]["final_mse"] > 0
    assert "task_inference_accuracy" not in summary["validation"]["why"]
    for name in ("task_inference_matrix", "mse_matrix", "task_inference_matrix_test_replica_2"):
        assert len(cells_of(folder / f"{name}.csv")) == 5


def test_a_prediction_is_that_of_the_network_of_the_inferred_task(inferring: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = inferring
    x = [torch.linspace(low, high, 50).unsqueeze(1) for low, high in ((-4, -2), (-1, 1), (2, 4))]
    values = (x[0] + 3, 2 * x[1] ** 2 - 1, (x[2] - 3) ** 3)
    for place, seed in enumerate((1, 2)):
        model = TrainedModel(folder, seed)
        rates, errors = [], []
        for task, (inputs, targets) in enumerate(zip(x, values, strict=True)):
            tasks, predictions = model.infer_task(inputs), model.predict(inputs)
            assert predictions.shape == (50, 1)
            own = torch.stack([model.predict(inputs, task=each) for each in range(3)])
            torch.testing.assert_close(predictions, own[tasks, torch.arange(50)])
            rates.append(float((tasks == task).float().mean()))
            errors.append(float((predictions - targets).square().mean()))
        test = summary["replicas"][place]["test"]
        assert test["task_inference_accuracy"] == pytest.approx(sum(rates) / 3)
        assert list(test["final_mse_per_task"].values()) == pytest.approx(errors, rel=1e-4)


def test_functions_are_written_as_predicted_without_the_task(inferring: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = inferring
    model = TrainedModel(folder)
    rows = list(csv.DictReader((folder / "functions" / "after-task-3.csv").read_text().splitlines()))
    inputs = torch.tensor([[float(row["x"])] for row in rows])
    found = [float(row["prediction"]) for row in rows]
    assert found == pytest.approx(model.predict(inputs).flatten().tolist(), abs=1e-4)
    assert not (folder / "samples").exists()


def test_its_network_is_trained_as_where_the_task_is_given(tmp_path: Path) -> None:
    finished(tmp_path / "given", test=False)
    finished(tmp_path / "unknown", *UNKNOWN, test=False)
    given, unknown = TrainedModel(tmp_path / "given"), TrainedModel(tmp_path / "unknown")
    for task in range(3):
        for name, weights in given.weights(task).items():
            assert torch.equal(unknown.weights(task)[name], weights)


def test_a_run_that_infers_tasks_resumes_as_it_was(tmp_path: Path) -> None:
    _, whole = finished(tmp_path / "whole", *UNKNOWN, "training.replicas=2")
    for stop in (2, 5, 7):  # reports: amid the first task, at the second's first, amid it
        folders = RunFolders(tmp_path / "cut", tmp_path / "cut")
        with closing(run(experiment(*UNKNOWN, "training.replicas=2"), folders, test=True)) as progress:
            for item in progress:
                if isinstance(item, Report) and item.step >= stop:
                    break
    _, again = finished(tmp_path / "cut", *UNKNOWN, "training.replicas=2")
    assert again["test"] == whole["test"]
    assert again["replicas"] == whole["replicas"]


@pytest.mark.parametrize("method", ["finetune", "joint", "{name: ewc, strength: 1}", "{name: si, strength: 0.1}"])
def test_own_weights_predict_the_same_with_and_without_the_task(tmp_path: Path, method: str) -> None:
    keys = ("tasks={name: gaussian_bumps, scenario: domain, num_tasks: 2, samples: 60}", "hypernet=none")
    _, summary = finished(tmp_path, *keys, f"method={method}", test=False)
    model, inputs = TrainedModel(tmp_path), torch.randn(9, 2)
    assert torch.equal(model.predict(inputs), model.predict(inputs, task=1))
    predictions, probabilities, tasks = model.decide(inputs)
    assert torch.equal(predictions, model.predict(inputs))
    assert (probabilities, tasks) == (None, None)
    assert summary["validation"]["task_inference_accuracy"] is None
    assert summary["validation"]["final_mse"] > 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("tasks.scenario=domain",), "method hnet cannot predict in scenario domain, .*use hnet_tir, or a baseline"),
        (("tasks.scenario=domain", "method=hnet_ent"), "hnet_ent classifies, .*use hnet_tir, finetune, joint, ewc"),
        (("tasks.scenario=domain", "method=hnet_tir"), "set method.generator.likelihood to gaussian"),
        ((*UNKNOWN, "tasks.scenario=task"), "method hnet_tir cannot predict in scenario task"),
        ((*UNKNOWN, "tasks.heads=own"), "heads applies to scenario task only: in scenario domain all tasks share"),
    ],
)
def test_what_does_not_fit_an_unknown_task_is_refused(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment(*overrides)
