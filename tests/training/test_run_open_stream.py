"""A stream whose length nobody knows: each task is learned as it comes, until there is none."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypercl.config import ConfigError, Experiment, loads
from hypercl.config.checks.check import sweep_problems
from hypercl.training import Finished, Report, RunFolders, Started, run

OWN = """
import torch

ASKED = []


def tasks(root, train, count):
    for task in range(count):
        ASKED.append((task, train))
        random = torch.Generator().manual_seed(10 * task + train)
        labels = torch.arange(60) % 2
        images = torch.eye(4)[labels + task % 3] + 0.1 * torch.randn(60, 4, generator=random)
        yield images, labels
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunFolders]:
    (tmp_path / "endless.py").write_text(OWN)
    yield RunFolders(tmp_path / "run", tmp_path / "data", import_paths=(tmp_path,))
    sys.modules.pop("endless", None)


def experiment(count: int = 3, *overrides: str) -> Experiment:
    return loads(text(count), "x", overrides).experiment


def text(count: int = 3) -> str:
    return f"""
experiment:
  tasks:
    {{name: import, path: 'endless:tasks', heads: shared, classes_per_task: 2, input_shape: [4],
      kwargs: {{count: {count}}}}}
  target: {{name: mlp, hidden: [8]}}
  hypernet: {{name: chunked, hidden: [8], chunk_size: 30, task_embedding: 4, chunk_embedding: 4}}
  method: {{name: hnet, beta: 1}}
  training: {{iterations: 30, batch_size: 16, optimizer: {{name: adam, lr: 1e-2}}, threads: 1, device: cpu}}
"""


def summary_of(items: Iterator[Any]) -> dict[str, Any]:
    *_, last = items
    assert isinstance(last, Finished)
    return last.summary.plain()


def test_tasks_are_learned_as_they_come(place: RunFolders) -> None:
    items = list(run(experiment(), place, test=True))
    started, reports = items[0], [item for item in items if isinstance(item, Report)]
    assert isinstance(started, Started)
    assert started.num_tasks is None
    assert [len(report.accuracies) for report in reports if report.learned] == [1, 2, 3]
    summary = items[-1].summary.plain()
    assert summary["iterations_per_task"] == [30, 30, 30]
    assert summary["test"]["final_accuracy"] > 0.8
    assert len(summary["test"]["final_accuracy_per_task"]) == 3


def test_no_task_is_read_before_the_one_before_is_learned(place: RunFolders) -> None:
    import importlib

    met = []
    for item in run(experiment(), place):
        if isinstance(item, Report):
            met.append(item.task)
            asked = importlib.import_module("endless")
            assert max(task for task, _ in asked.ASKED) == item.task
            assert all(train for _, train in asked.ASKED)
    assert sorted(set(met)) == [0, 1, 2]


def test_embeddings_grow_with_the_tasks(place: RunFolders) -> None:
    short, long = (
        summary_of(
            run(
                experiment(count),
                RunFolders(place.folder / str(count), place.data_dir, import_paths=place.import_paths),
            )
        )
        for count in (2, 4)
    )
    assert long["parameters"] - short["parameters"] == 2 * 4


@pytest.mark.parametrize("method", ["hnet", "ewc", "er", "hnet_ent"])
def test_a_resumed_run_equals_an_uninterrupted_one(place: RunFolders, method: str) -> None:
    unknown = ("tasks.heads=own", "tasks.scenario=domain")
    own = ("hypernet={name: none}",) if method in ("ewc", "er") else ()
    setting = experiment(3, f"method={{name: {method}}}", *own, *(unknown if method == "hnet_ent" else ()))
    expected = summary_of(run(setting, place, test=True))
    folder = RunFolders(place.folder.parent / "cut", place.data_dir, import_paths=place.import_paths)
    for cut in (6, 4, 2):
        running = run(setting, folder, test=True)
        for _ in range(cut):
            next(running)
        running.close()
    found = summary_of(run(setting, folder, test=True))
    assert (found["validation"], found["test"]) == (expected["validation"], expected["test"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tasks.heads=own"], "scenario domain, or heads shared"),
        (
            ["tasks.heads=own", "tasks.scenario=domain", "method={name: hnet_tir}"],
            "hnet_tir has an output for each task",
        ),
        (["hypernet.chunk_size=auto", "hypernet.compression_ratio=0.9"], "counts the embeddings of all tasks"),
        (["hypernet={name: none}", "method={name: hnet_replay}"], "one_hot has a place for each task"),
        (
            ["hypernet={name: none}", "method={name: hnet_replay, generator: {embedding: class, condition: gaussian}}"],
            "an embedding for each class of the stream",
        ),
    ],
)
def test_what_needs_the_number_of_tasks_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loads(text(), "x", overrides)


def test_a_sweep_needs_the_number_of_tasks() -> None:
    file = loads(text() + "space: {method.beta: {uniform: [0, 1]}}\n", "x")
    (problem,) = sweep_problems(file)
    assert problem.fix == "add num_tasks to experiment.tasks"
