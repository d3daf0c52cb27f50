"""The number format of a run."""

from pathlib import Path

import pytest
import torch

from hypercl.config import UserError, loads
from hypercl.config.models.training import Training
from hypercl.training import Finished, Report, RunFolders, run
from hypercl.training.device import computing, resolve

TEXT = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  target: {name: mlp, hidden: [12]}
  hypernet: {name: chunked, hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  training: {iterations: 60, batch_size: 16, optimizer: {name: adam, lr: 1e-2}, threads: 1, device: cpu}
"""

FIX = "--set training.precision=fp32"


def test_tf32_is_refused_where_there_is_none() -> None:
    with pytest.raises(UserError, match=r"the device is cpu[\s\S]*training.precision=fp32"):
        resolve(loads(TEXT, "x", ["training.precision=tf32"]).experiment)


@pytest.mark.parametrize("has", [True, False])
def test_bf16_is_warned_of_where_the_processor_imitates_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, has: bool
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has)
    for precision in ("bf16", "fp32"):
        resolve(loads(TEXT, "x", [f"training.precision={precision}"]).experiment)
    said = ["training.precision: this processor has no instructions for bf16 and is slower with it; " + FIX]
    assert [record.getMessage() for record in caplog.records] == ([] if has else said)


def test_tf32_is_refused_on_a_gpu_that_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla V100")
    experiment = loads(TEXT, "x", ["training.precision=tf32", "training.device=cuda"]).experiment
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))
    with pytest.raises(UserError, match="Tesla V100 is older"):
        resolve(experiment)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    assert resolve(experiment).training.precision == "tf32"


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("bf16", False), ("tf32", True)])
def test_tf32_is_allowed_inside_a_run_that_asks_for_it_and_nowhere_else(precision: str, allowed: bool) -> None:
    def now() -> tuple[bool, bool]:
        return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision() == "high"

    before = now()
    training = Training.model_validate({"precision": precision, "device": "cpu", "threads": 1})
    with computing(training):
        assert now() == (allowed, allowed)
    assert now() == before


def test_a_run_in_bf16_learns_with_other_numbers(tmp_path: Path) -> None:
    accuracy, losses = {}, {}
    for precision in ("fp32", "bf16"):
        experiment = loads(TEXT, "x", [f"training.precision={precision}"]).experiment
        items = list(run(experiment, RunFolders(tmp_path / precision, tmp_path), test=True))
        losses[precision] = [row["loss/task"] for item in items if isinstance(item, Report) for row in item.rows]
        assert isinstance(items[-1], Finished)
        accuracy[precision] = items[-1].summary.plain()["test"]["final_accuracy"]
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"][0] == pytest.approx(losses["fp32"][0], rel=0.05)
    assert accuracy["bf16"] > 0.85
