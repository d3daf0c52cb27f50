"""Whole runs where the task is not given: what is measured, told, kept, and found again after an interruption."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypercl.config import Experiment, loads
from hypercl.training import Finished, Report, RunFolders, run

ITERATIONS = 40


def experiment(*overrides: str) -> Experiment:
    text = f"""
experiment:
  tasks: {{name: split_digits, num_tasks: 3, scenario: class}}
  target: {{name: mlp, hidden: [24]}}
  hypernet: {{name: chunked, hidden: [8], chunk_size: 300, task_embedding: 6, chunk_embedding: 4}}
  method: {{name: hnet_ent, beta: 0.5}}
  training: {{iterations: {ITERATIONS}, optimizer: {{name: adam, lr: 1e-2}}, threads: 1, device: cpu}}
"""
    return loads(text, "x", overrides).experiment


def plain(method: str, *overrides: str) -> Experiment:
    return experiment("hypernet={name: none}", f"method={{name: {method}}}", *overrides)


def summary_of(items: Iterator[Any]) -> dict[str, Any]:
    *_, last = items
    assert isinstance(last, Finished)
    return last.summary.plain()


@pytest.mark.parametrize("replicas", [1, 2])
def test_task_inference_is_measured_told_and_kept(tmp_path: Path, replicas: int) -> None:
    items = list(run(experiment(f"training.replicas={replicas}"), RunFolders(tmp_path, tmp_path), test=True))
    summary = summary_of(iter(items))
    last = [item for item in items if isinstance(item, Report)][-1]
    for split, end in (("validation", ""), ("test", "_test")):
        found = summary[split]["task_inference_accuracy"]
        assert 0 < found <= 1
        assert "task_inference_accuracy" not in summary[split]["why"]
        if replicas == 1:
            with (tmp_path / f"task_inference_matrix{end}.csv").open() as file:
                final = [float(cell) for cell in list(csv.reader(file))[-1][1:]]
            assert sum(final) / 3 == pytest.approx(found)
    assert last.rows[-1]["validation/task_inference"] == pytest.approx(summary["validation"]["task_inference_accuracy"])


def test_in_scenario_class_a_sample_of_another_task_is_wrong_whatever_its_place(tmp_path: Path) -> None:
    summary = summary_of(run(plain("finetune", "training.iterations=150"), RunFolders(tmp_path, tmp_path)))[
        "validation"
    ]
    assert summary["final_accuracy_per_task"]["task_3"] > 0.9
    assert summary["final_accuracy_per_task"]["task_1"] < 0.1
    assert 0.3 < summary["task_inference_accuracy"] < 0.4  # all are taken for the last of three tasks


def test_where_outputs_are_shared_and_no_task_is_inferred_the_summary_says_why(tmp_path: Path) -> None:
    setting = plain("finetune", "tasks.scenario=domain")
    summary = summary_of(run(setting, RunFolders(tmp_path, tmp_path)))["validation"]
    assert summary["task_inference_accuracy"] is None
    assert summary["why"]["task_inference_accuracy"] == "the method infers no task, and tasks share outputs"


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
def test_joint_training_on_own_weights_learns_all(tmp_path: Path, scenario: str) -> None:
    setting = plain("joint", f"tasks.scenario={scenario}", "training.iterations=150")
    assert summary_of(run(setting, RunFolders(tmp_path, tmp_path)))["validation"]["final_accuracy"] > 0.9


def test_tasks_of_one_class_are_learned_together(tmp_path: Path) -> None:
    setting = plain("joint", "tasks.num_tasks=4", "tasks.classes_per_task=1", "training.iterations=100")
    assert summary_of(run(setting, RunFolders(tmp_path, tmp_path)))["validation"]["final_accuracy"] > 0.9


@pytest.mark.parametrize("scenario", ["domain", "class"])
def test_tasks_of_unequal_numbers_of_classes(tmp_path: Path, scenario: str) -> None:
    unequal = ("tasks.num_tasks=3", "tasks.classes_per_task=[2, 3, 4]", f"tasks.scenario={scenario}")
    joint = summary_of(run(plain("joint", *unequal, "training.iterations=150"), RunFolders(tmp_path / "j", tmp_path)))
    assert joint["validation"]["final_accuracy"] > 0.85
    inferred = summary_of(run(experiment(*unequal), RunFolders(tmp_path / "e", tmp_path)))
    assert 0 < inferred["validation"]["task_inference_accuracy"] <= 1


@pytest.mark.parametrize("cut", [3, 5, 9])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, cut: int) -> None:
    expected = summary_of(run(experiment(), RunFolders(tmp_path / "whole", tmp_path), test=True))
    interrupted = run(experiment(), RunFolders(tmp_path / "cut", tmp_path), test=True)
    for _ in range(cut):
        next(interrupted)
    interrupted.close()
    resumed = summary_of(run(experiment(), RunFolders(tmp_path / "cut", tmp_path), test=True))
    assert {key: resumed[key] for key in ("validation", "test")} == {
        key: expected[key] for key in ("validation", "test")
    }
    for name in ("task_inference_matrix.csv", "task_inference_matrix_test.csv", "accuracy_matrix.csv"):
        assert (tmp_path / "cut" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_own_weights_have_one_set_of_running_statistics(tmp_path: Path) -> None:
    setting = plain("joint", "target.batch_norm=true", "training.iterations=100")
    assert summary_of(run(setting, RunFolders(tmp_path, tmp_path)))["validation"]["final_accuracy"] > 0.8


def test_own_weights_have_no_compression(tmp_path: Path) -> None:
    summary = summary_of(run(plain("finetune"), RunFolders(tmp_path, tmp_path)))
    assert summary["compression_ratio"] == 1.0
    assert summary["parameters"] == summary["target_parameters"] == 64 * 24 + 24 + 24 * 6 + 6
