"""A trial of the quick training, as the driver gives it to a process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hypercl.config import SweepFile, resolved
from hypercl.sweep.workers.job import TrialJob


@pytest.fixture
def job(tmp_path: Path, sweep_file: Callable[..., SweepFile], monkeypatch: pytest.MonkeyPatch) -> TrialJob:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return TrialJob(
        number=3,
        name="test-3",
        experiment=resolved(sweep_file().experiment),
        folder=tmp_path / "trials" / "3",
        stop_file=tmp_path / ".stop",
        data_dir=tmp_path,
        offline=True,
        import_paths=(),
        reports_per_task=2,
        takes={"CPU": 1.0},
        loggers=None,
    )
