"""A run that is resumed has the data and the target that it was begun with, or says what changed."""

import pytest
import torch

from hypercl.config import UserError, loads
from hypercl.tasks import Split, Task
from hypercl.training import RunFolders, run
from hypercl.training.progress import Report
from hypercl.training.unchanged import digest

TEXT = """experiment:
  tasks: {name: split_digits, num_tasks: 2}
  target: {name: import, path: "MODULE:Net", outputs: num_classes}
  hypernet: {name: chunked, hidden: [10], chunk_size: 400, task_embedding: 8, chunk_embedding: 8}
  training: {iterations: 4, batch_size: 8, threads: 1}
"""
NET = """
import random
from pathlib import Path
import numpy as np, torch
from torch import nn
class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.constant = CONSTANT
        self.head = nn.Linear(64, num_classes)
    def forward(self, inputs):
        return self.head(torch.relu(inputs.flatten(1) @ self.constant))
"""


def interrupted(experiment, folders):
    progress = run(experiment, folders)
    for item in progress:
        if isinstance(item, Report) and item.learned:
            break
    progress.close()


def result(experiment, folders):
    *_, finished = run(experiment, folders)
    return finished.matrices["validation"].csv()


def written(tmp_path, module, constant):
    (tmp_path / f"{module}.py").write_text(NET.replace("CONSTANT", constant))
    return loads(TEXT.replace("MODULE", module), "x").experiment


@pytest.mark.parametrize(
    ("module", "constant"),
    [
        ("frozen_by_numpy", "nn.Parameter(torch.from_numpy(np.random.randn(64, 64)).float() / 8, requires_grad=False)"),
        ("plain_by_random", "torch.tensor([[random.gauss(0, 1) for _ in range(64)] for _ in range(64)]) / 8"),
    ],
)
def test_constants_from_any_global_generator_are_the_same_after_a_restart(tmp_path, module, constant):
    experiment = written(tmp_path, module, constant)
    stopped = RunFolders(tmp_path / "stopped", tmp_path, True, (tmp_path,))
    interrupted(experiment, stopped)
    whole = RunFolders(tmp_path / "whole", tmp_path, True, (tmp_path,))
    assert result(experiment, stopped) == result(experiment, whole)


def test_constants_without_a_seed_are_refused_before_anything_is_written(tmp_path):
    constant = "torch.from_numpy(np.random.default_rng().normal(size=(64, 64))).float()"
    experiment = written(tmp_path, "unseeded_net", constant)
    with pytest.raises(UserError, match="differs each time it is built"):
        next(run(experiment, RunFolders(tmp_path / "run", tmp_path, True, (tmp_path,))))
    assert not (tmp_path / "run").exists()


def test_a_constant_that_changed_since_the_run_was_begun_is_told(tmp_path):
    file = tmp_path / "constant.pt"
    torch.save(torch.eye(64), file)
    experiment = written(tmp_path, "reading_net", f"torch.load({str(file)!r})")
    folders = RunFolders(tmp_path / "run", tmp_path, True, (tmp_path,))
    interrupted(experiment, folders)
    torch.save(torch.eye(64).flip(0), file)
    with pytest.raises(UserError, match="computes something else than when this run was begun"):
        result(experiment, folders)
    torch.save(torch.eye(64), file)
    assert result(experiment, folders)


def test_data_that_changed_since_the_run_was_begun_is_told(tmp_path):
    (tmp_path / "users_stream.py").write_text(
        "import torch\n"
        "def make(root, train):\n"
        "    torch.manual_seed(0)\n"
        "    images = torch.rand(20, 1, 4, 4)\n"
        "    images[3] += torch.load(root / 'shift.pt')\n"
        "    return [(images, torch.arange(20) % 2), (images + 1, torch.arange(20) % 2)]\n"
    )
    torch.save(torch.tensor(0.0), tmp_path / "shift.pt")
    text = (
        "experiment:\n  tasks: {name: import, path: 'users_stream:make', num_tasks: 2, classes_per_task: 2, "
        "input_shape: [1, 4, 4]}\n  target: {name: mlp, hidden: [4]}\n"
        "  training: {iterations: 3, batch_size: 4, threads: 1}\n"
    )
    experiment = loads(text, "x").experiment
    folders = RunFolders(tmp_path / "run", tmp_path, True, (tmp_path,))
    interrupted(experiment, folders)
    torch.save(torch.tensor(1.0), tmp_path / "shift.pt")
    with pytest.raises(UserError, match="the data of task 1, 2 changed since this run was begun"):
        result(experiment, folders)


@pytest.mark.parametrize("count", [40, 40_000])
def test_a_digest_notices_each_changed_image_label_and_order(count):
    images = torch.zeros(count, 1, 24, 24, dtype=torch.uint8)
    images[:] = (torch.arange(count) % 251).to(torch.uint8)[:, None, None, None]
    rows, labels = torch.arange(count - 10), torch.zeros(count - 10, dtype=torch.int64)

    def of(images, rows, labels, classes=("a", "b")):
        held = Split(images, torch.arange(count - 10, count), torch.ones(10, dtype=torch.int64))
        return digest(Task(0, classes, slice(0, 2), Split(images, rows, labels), held, lambda images: images))

    first = of(images, rows, labels)
    assert of(images.clone(), rows.clone(), labels) == first
    replaced, relabelled = images.clone(), labels.clone()
    replaced[count // 2 + 3] = 252
    relabelled[5] = 1
    others = [
        of(replaced, rows, labels),
        of(images, rows, relabelled),
        of(images, rows.flip(0), labels),
        of(images, rows[:-1], labels[:-1]),
        of(images, rows, labels, ("a", "c")),
    ]
    assert first not in others
    assert len(set(others)) == len(others)
