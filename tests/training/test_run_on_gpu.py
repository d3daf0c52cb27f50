"""A run on a CUDA device: pytest -m gpu."""

from contextlib import closing
from pathlib import Path

import pytest
import torch

from hypercl.config import loads
from hypercl.training import Finished, Place, Report, run

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
    *_, whole = run(EXPERIMENT, Place(tmp_path / "whole", tmp_path), test=True)
    with closing(run(EXPERIMENT, Place(tmp_path / "cut", tmp_path), test=True)) as progress:
        next(item for item in progress if isinstance(item, Report) and item.step == 6)
    *_, cut = run(EXPERIMENT, Place(tmp_path / "cut", tmp_path), test=True)
    assert isinstance(whole, Finished)
    assert isinstance(cut, Finished)
    assert cut.summary["test"] == whole.summary["test"]
    assert whole.summary["test"]["final_accuracy"] > 0.9
    assert whole.summary["device"] == "cuda"
