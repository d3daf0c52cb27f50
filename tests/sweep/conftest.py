"""What the tests of sweeps share: a small sweep file, and a study of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_training import TEXT
from killed_sweeps import TRIALS, Sweeps

from hypercl.config import SweepFile, loads
from hypercl.sweep.study.study import SweepStudy


@pytest.fixture
def in_the_order_of_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search ranks by what it measured: expected values have tests of their own."""
    monkeypatch.setattr("hypercl.sweep.study.ranking.beliefs_of", lambda *_: {})


@pytest.fixture
def sweep_file() -> Callable[..., SweepFile]:
    def build(*overrides: str) -> SweepFile:
        return loads(TEXT, "test.yaml", overrides)

    return build


@pytest.fixture
def sweeps(tmp_path: Path) -> Sweeps:
    """A quick sweep that can be killed."""
    return Sweeps(tmp_path, TEXT.replace("trials: 6", f"trials: {TRIALS}"))


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
