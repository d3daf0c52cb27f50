"""GPU time as it is counted while trials run, on a clock that is turned by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bridge import Bridge

from hypercl.config import SweepFile
from hypercl.sweep.study.gpu_budget import GpuBudget
from hypercl.sweep.study.gpu_time import GPU_TIME, used_gpu_hours
from hypercl.sweep.study.outcome import outcome_of
from hypercl.sweep.workers import gpu_meter
from hypercl.sweep.workers.gpu_meter import GpuMeter

Files = Callable[..., SweepFile]


class Metered:
    """A bridge, its meter, and the clock."""

    def __init__(
        self, file: SweepFile, folder: Path, patch: pytest.MonkeyPatch, share: float = 0.25, **budget: float
    ) -> None:
        self.now = 1000.0
        patch.setattr(gpu_meter, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.bridge = Bridge(file, folder)
        self.bridge.slots.gpus = share
        self.meter = GpuMeter(self.bridge.study, share, GpuBudget(**budget), self.bridge.control)

    def start(self, name: str) -> dict[str, Any]:
        config = self.bridge.start(name)
        self.meter.started(name, config["job"])
        return config

    def report(self, name: str, config: dict[str, Any], step: int, seconds: float) -> None:
        told = {"step": step, "value": 0.3, "history": (), "seconds": seconds}
        self.bridge.result(config, told)
        self.meter.reported(name, config["job"], told)

    def end(self, name: str, outcome: str, seconds: float) -> None:
        self.bridge.end(name, outcome, seconds=seconds)
        self.meter.ended(name)

    @property
    def seconds(self) -> float:
        return round(self.meter.hours() * 3600, 6)

    @property
    def written(self) -> float:
        """As another process reads it."""
        study = self.bridge.study
        return round(used_gpu_hours(study.folder, study.trials(), study.optuna.user_attrs) * 3600, 6)


def test_a_running_trial_counts_with_the_time_since_its_last_report(
    sweep_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metered = Metered(sweep_file(), tmp_path, monkeypatch)
    config = metered.start("a")
    metered.now += 40.0
    assert metered.seconds == 10.0
    metered.report("a", config, 1, seconds=36.0)
    assert metered.seconds == 9.0
    metered.now += 8.0
    assert (metered.seconds, metered.written) == (11.0, 0.0)
    metered.meter.tick()
    assert metered.written == 11.0
    metered.now += 8.0
    metered.meter.tick()
    assert metered.written == 11.0, "not with every turn"
    metered.end("a", "finished", seconds=48.0)
    assert (metered.seconds, metered.written) == (12.0, 12.0)
    assert outcome_of(metered.bridge.study.trial(0)).gpu_seconds == 12.0


def test_an_interrupted_trial_keeps_its_time_and_counts_on_with_another_share(
    sweep_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Metered(sweep_file(), tmp_path, monkeypatch)
    config = first.start("a")
    first.report("a", config, 1, seconds=40.0)
    first.now += 4.0
    first.meter.reported("a", config["job"], {"outcome": "interrupted", "seconds": 40.0})
    first.end("a", "interrupted", seconds=40.0)
    assert first.written == 11.0
    second = Metered(sweep_file(), tmp_path, monkeypatch, share=1.0)
    assert second.seconds == 11.0
    config = second.start("b")
    assert config["job"].number == 0
    second.report("b", config, 2, seconds=60.0)
    second.end("b", "finished", seconds=60.0)
    assert (second.seconds, second.written) == (11.0 + 16.0, 11.0 + 16.0)


def test_the_trials_of_a_bundle_share_a_gpu(sweep_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metered = Metered(sweep_file("constraints={}"), tmp_path, monkeypatch, share=1.0)
    first = metered.bridge.start("a")["job"]
    other = metered.bridge.start("b")["job"]
    bundle = replace(first, beside=(other,))
    metered.meter.started("a", bundle)
    metered.now += 10.0
    assert metered.seconds == 10.0
    members = ((0, {"step": 1, "seconds": 6.0}), (1, {"outcome": "finished", "seconds": 4.0}))
    metered.bridge.end("b", "finished", seconds=4.0)
    metered.meter.reported("a", bundle, {"members": members})
    assert metered.seconds == 10.0
    metered.now += 5.0
    assert metered.seconds == 15.0, "the one that is left has the GPU for itself"
    metered.meter.ended("a")
    assert metered.written == 15.0


def test_runs_beside_the_study_are_kept_by_their_folders(
    sweep_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metered = Metered(sweep_file(), tmp_path, monkeypatch, share=0.5)
    run = replace(metered.bridge.start("t")["job"], number=None, folder=tmp_path / "race" / "trial-1" / "seed-1")
    metered.meter.started("a", run)
    metered.now += 20.0
    metered.meter.ended("a")
    assert metered.bridge.study.optuna.user_attrs[GPU_TIME] == {"race/trial-1/seed-1": [20.0, 10.0]}
    again = Metered(sweep_file(), tmp_path, monkeypatch, share=0.5)
    again.meter.started("b", run)
    again.now += 2.0
    assert again.seconds == 11.0
    again.meter.reported("b", run, {"step": 3, "seconds": 24.0})
    run.folder.mkdir(parents=True)
    (run.folder / "summary.json").write_text('{"validation": {}, "seconds": 30.0}')
    again.meter.ended("b")
    assert (again.seconds, again.written) == (15.0, 15.0)


def test_a_limit_stops_the_sweep_once_with_what_was_used(
    sweep_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metered = Metered(sweep_file(), tmp_path, monkeypatch, share=1.0, hours=0.01)
    metered.start("a")
    metered.now += 35.0
    metered.meter.tick()
    assert metered.bridge.control.reason is None
    metered.now += 2.0
    metered.meter.tick()
    assert metered.bridge.control.reason == "budget"
    assert metered.bridge.control.limit == "GPU-hours used up: 0.01028 of 0.01 (--max-gpu-hours)"
    assert metered.bridge.control.stop_file.exists()
    assert metered.bridge.control.exit_code == 75
    assert metered.bridge.start("b") == "FINISHED"


def test_without_a_share_nothing_is_counted_or_written(
    sweep_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metered = Metered(sweep_file(), tmp_path, monkeypatch, share=0.0)
    metered.start("a")
    size = (tmp_path / "study.journal").stat().st_size
    metered.now += 100.0
    metered.meter.tick()
    metered.meter.ended("a")
    assert metered.seconds == 0.0
    assert (tmp_path / "study.journal").stat().st_size == size
