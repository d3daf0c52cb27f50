"""Searcher and scheduler over a study, driven by a test in Ray's place."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fake_training import FakeSizes

from hypercl.config import Experiment, SweepFile, resolved
from hypercl.control import Control
from hypercl.sweep.listener import Silent
from hypercl.sweep.planner import planner_of
from hypercl.sweep.study.constraints import Bounds
from hypercl.sweep.study.study import SweepStudy
from hypercl.sweep.workers.job import TrialJob
from hypercl.sweep.workers.resources import Slots
from hypercl.sweep.workers.scheduler import StudyScheduler
from hypercl.sweep.workers.searcher import StudySearcher


def fake_sizes(experiment: Experiment, _paths: Any) -> FakeSizes:
    return FakeSizes(experiment)


class Bridge:
    def __init__(self, file: SweepFile, folder: Path, sizes: Any = fake_sizes) -> None:
        self.control = Control(folder / ".stop")
        self.study = SweepStudy(folder / "study.journal", "test", file, threads=1)
        file, listener = self.study.file, Silent()
        bounds = Bounds(file, sizes)
        self.slots = Slots(1.0, 0.0, 2)
        self.searcher = StudySearcher(
            file, self.study, planner_of(file), bounds, self.control, listener, self.job, enlarge=self.slots.enlarge
        )
        self.scheduler = StudyScheduler(file, self.study, self.searcher, listener)
        self.folder = folder

    def job(self, number: int, experiment: Experiment) -> TrialJob:
        return TrialJob(
            number=number,
            name=f"test-{number}",
            experiment=resolved(experiment),
            folder=self.folder / str(number),
            stop_file=self.control.stop_file,
            data_dir=self.folder,
            offline=True,
            import_paths=(),
            reports_per_task=4,
            takes=self.slots.of_ray,
            processes=2,
            loggers=None,
        )

    def start(self, ray_id: str) -> Any:
        return self.searcher.suggest(ray_id)

    def result(self, config: dict[str, Any], result: dict[str, Any]) -> str:
        trial = SimpleNamespace(config=config, error_file=None)
        return self.scheduler.on_trial_result(None, trial, result)  # pyright: ignore[reportArgumentType]

    def end(self, ray_id: str, outcome: str, metrics: Any = (("validation/final_accuracy", 0.5),), **more: Any) -> None:
        self.searcher.on_trial_complete(ray_id, {"outcome": outcome, "metrics": metrics, "seconds": 1.0, **more})
