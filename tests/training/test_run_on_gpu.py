"""A run on a CUDA device: pytest -m gpu."""

from contextlib import closing
from pathlib import Path

import pytest
import torch

from hypercl.config import assign, loads
from hypercl.training import Finished, Report, RunFolders, run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

EXPERIMENT = loads(
    """
experiment:
  tasks: {name: split_digits, num_tasks: 3}
  target: {name: mlp, hidden: [32]}
  hypernet: {hidden: [10], chunk_size: 400, task_embedding: 8, chunk_embedding: 8}
  training: {iterations: 100, batch_size: 32, device: cuda}
""",
    "gpu.yaml",
).experiment


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    *_, whole = run(EXPERIMENT, RunFolders(tmp_path / "whole", tmp_path), test=True)
    with closing(run(EXPERIMENT, RunFolders(tmp_path / "cut", tmp_path), test=True)) as progress:
        next(item for item in progress if isinstance(item, Report) and item.step == 6)
    *_, cut = run(EXPERIMENT, RunFolders(tmp_path / "cut", tmp_path), test=True)
    assert isinstance(whole, Finished)
    assert isinstance(cut, Finished)
    assert cut.summary.plain()["test"] == whole.summary.plain()["test"]
    assert whole.summary.plain()["test"]["final_accuracy"] > 0.9
    assert whole.summary.plain()["device"] == "cuda"


def test_tf32_and_bf16_round_the_numbers_and_learn(tmp_path: Path) -> None:
    losses = {}
    for precision in ("fp32", "tf32", "bf16"):
        experiment = assign(EXPERIMENT, {"training.precision": precision})
        items = list(run(experiment, RunFolders(tmp_path / precision, tmp_path)))
        losses[precision] = [row["loss/task"] for item in items if isinstance(item, Report) for row in item.rows]
        assert isinstance(items[-1], Finished)
        assert items[-1].summary.plain()["validation"]["final_accuracy"] > 0.8
    assert losses["fp32"] != losses["tf32"]
    assert losses["fp32"] != losses["bf16"]


def test_dropout_is_the_same_for_the_same_seed_and_leaves_the_devices_state(tmp_path: Path) -> None:
    experiment = assign(EXPERIMENT, {"target.dropout": 0.3})
    *_, first = run(experiment, RunFolders(tmp_path / "first", tmp_path))
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    *_, second = run(experiment, RunFolders(tmp_path / "second", tmp_path))
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert isinstance(first, Finished)
    assert isinstance(second, Finished)
    assert first.summary.plain()["validation"] == second.summary.plain()["validation"]
