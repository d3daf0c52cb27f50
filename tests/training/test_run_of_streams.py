"""Whole runs on tasks of unequal size and on a stream of a user's own."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hypercl.config import Experiment, UserError, loads
from hypercl.training import Finished, RunFolders, run, sizes
from hypercl.training.parts import build_learner

OWN = """
import torch


def make(root, train, noise):
    random = torch.Generator().manual_seed(int(train))
    tasks = []
    for task, classes in enumerate([2, 3]):
        labels = torch.arange(60) % classes
        images = torch.eye(4)[labels + task] + noise * torch.randn(60, 4, generator=random)
        tasks.append((images, labels))
    return tasks


def blind(root, train, noise):
    if not train:
        raise RuntimeError("the test data was asked for")
    return make(root, train, noise)
"""


def experiment(tasks: str, iterations: int = 60) -> Experiment:
    text = f"""
experiment:
  tasks: {{{tasks}}}
  target: {{name: mlp, hidden: [24]}}
  hypernet: {{name: chunked, hidden: [16], chunk_size: 400, task_embedding: 8, chunk_embedding: 8}}
  method: {{name: hnet, beta: 1}}
  training: {{iterations: {iterations}, batch_size: 32, optimizer: {{name: adam, lr: 1e-2}}, threads: 1, device: cpu}}
"""
    return loads(text, "x").experiment


def summary_of(items: Iterator[Any]) -> dict[str, Any]:
    *_, last = items
    assert isinstance(last, Finished)
    return last.summary.plain()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunFolders]:
    (tmp_path / "users_stream.py").write_text(OWN)
    yield RunFolders(tmp_path / "run", tmp_path / "data", import_paths=(tmp_path,))
    sys.modules.pop("users_stream", None)


def own(function: str) -> Experiment:
    tasks = f"name: import, path: 'users_stream:{function}', classes_per_task: [2, 3], input_shape: [4]"
    return experiment(f"{tasks}, kwargs: {{noise: 0.1}}")


def test_tasks_of_unequal_size_are_learned_each_with_a_head_of_its_width(place: RunFolders) -> None:
    unequal = experiment("name: split_digits, classes_per_task: [2, 3, 5]", iterations=150)
    learner = build_learner(unequal, torch.device("cpu"))
    assert [head.stop - head.start for head in learner.spec.heads] == [2, 3, 5]
    assert sizes(unequal).target_parameters == 64 * 24 + 24 + 24 * 10 + 10
    summary = summary_of(run(unequal, place, test=True))
    assert summary["test"]["final_accuracy"] > 0.95


def test_a_stream_of_a_users_own_is_trained_and_tested(place: RunFolders) -> None:
    assert summary_of(run(own("make"), place, test=True))["test"]["final_accuracy"] > 0.9


def test_a_run_for_tuning_never_asks_it_for_test_data(place: RunFolders) -> None:
    assert "test" not in summary_of(run(own("blind"), place))
    other = RunFolders(place.folder.with_name("final"), place.data_dir, import_paths=place.import_paths)
    with pytest.raises(UserError, match="RuntimeError: the test data was asked for"):
        list(run(own("blind"), other, test=True))
