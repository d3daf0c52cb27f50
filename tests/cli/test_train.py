import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hypercl.cli import main

SMALL = """
experiment:
  tasks:    {name: split_digits, classes_per_task: [2, 2], scenario: class}
  target:   {name: mlp, hidden: [8]}
  hypernet: {hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  method:   {name: hnet_ent}
  training: {iterations: 8, batch_size: 16, threads: 1, device: cpu}
"""
TIMES = ("seconds", "peak_memory_bytes")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path / "results" / "small" / "runs" / "seed-1"


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def test_train_measures_on_validation_data_alone_and_test_opens_test_data_later(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "small.yaml"]) == 0
    assert "--test opens it" in capsys.readouterr().out
    before = summary(run)
    assert "test" not in before
    assert not (run / "accuracy_matrix_test.csv").exists()
    assert main(["train", "small.yaml", "--test"]) == 0
    assert "--test opens it" not in capsys.readouterr().out
    later = summary(run)
    assert {key: value for key, value in later.items() if key != "test"} == before
    assert main(["train", "small.yaml", "--test", "--name", "at-once"]) == 0
    at_once = summary(run.parents[2] / "at-once" / "runs" / "seed-1")
    assert {key: later[key] for key in later if key not in TIMES} == {
        key: at_once[key] for key in at_once if key not in TIMES
    }
    assert main(["train", "small.yaml"]) == 0
    assert summary(run) == later, "what was measured on test data stays"
    assert not (run / "learned").exists()


def test_test_data_stays_closed_for_a_run_that_kept_too_little(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "small.yaml"]) == 0
    (run / "learned" / "task-1.pt").unlink()
    assert main(["train", "small.yaml", "--test"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "did not keep what was known after task 1" in said
    assert "under another --name" in said
    shutil.rmtree(run / "checkpoints")
    shutil.rmtree(run / "learned")
    assert main(["train", "small.yaml", "--test"]) == 2
    assert "did not keep the last checkpoint" in " ".join(capsys.readouterr().err.split())
    assert main(["train", "small.yaml"]) == 0
