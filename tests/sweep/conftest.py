"""What the tests of sweeps share: a small sweep file, and a study of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypercl.config import SweepFile, loads
from hypercl.sweep.study import SweepStudy

TEXT = """
experiment:
  tasks: {name: split_digits}
  hypernet: {name: chunked, task_embedding: 8}
  method: {name: hnet, beta: 0.01}
space:
  method.beta: {log_uniform: [1e-4, 10]}
  hypernet.task_embedding: {choice: [4, 8, 16]}
constraints: {compression_ratio: {max: 1.0}}
search: {trials: 6, startup_trials: 3}
"""


@pytest.fixture
def sweep_text() -> str:
    return TEXT


@pytest.fixture
def sweep_file() -> Callable[..., SweepFile]:
    def build(*overrides: str) -> SweepFile:
        return loads(TEXT, "test.yaml", overrides)

    return build


@pytest.fixture
def open_study(tmp_path: Path) -> Callable[[SweepFile], SweepStudy]:
    def build(file: SweepFile) -> SweepStudy:
        return SweepStudy(tmp_path / "study.journal", "test", file, threads=1)

    return build


@pytest.fixture
def reports() -> Callable[..., dict[str, Any]]:
    def build(step: int, value: float, history: tuple = ()) -> dict[str, Any]:
        return {"step": step, "value": value, "history": history, "seconds": 1.0, "accuracies": (value,)}

    return build
