"""Whole sweeps without Ray: sessions of Ray Tune that train one job after the other in the test's own process."""

import itertools
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from fake_training import SECONDS, fake_run

from hypercl.config import Experiment
from hypercl.sweep import driver
from hypercl.sweep.workers import runs, session
from hypercl.sweep.workers.job import TrialJob
from hypercl.training import Finished

Sessions = TypeVar("Sessions")


class _Sessions:
    def __init__(self) -> None:
        self.jobs: list[TrialJob] = []

    @property
    def experiments(self) -> list[Experiment]:
        """What each job trained."""
        return [Experiment.model_validate(own.experiment) for own in self.jobs]


class InThisProcess(_Sessions):
    """In the place of `tune_study`, with the fake training; what was trained, in order."""

    def __call__(self, trainable: Any, slots: Any, searcher: Any, scheduler: Any, beat: Any, storage: Any) -> None:
        for name in map(str, itertools.count()):
            given = searcher.suggest(name)
            if given is None:  # other drivers train the rest
                continue
            if given == "FINISHED":
                return
            own = given["job"]
            experiment, trial = Experiment.model_validate(own.experiment), SimpleNamespace(trial_id=name, config=given)
            beat.on_trial_start(0, [], trial)
            *_, last = fake_run(experiment, own.folder, own.reports_per_task, own.data == "report")
            self.jobs.append(own)
            assert isinstance(last, Finished)
            result = {"outcome": "finished", "metrics": tuple(last.summary.measures().items()), "seconds": 1.0}
            searcher.on_trial_complete(name, result)
            beat.on_trial_complete(0, [], trial)
            beat.on_step_begin(0, [])

    @property
    def trained(self) -> list[str]:
        """The last two parts of each job's folder."""
        return [f"{own.folder.parent.name}/{own.folder.name}" for own in self.jobs]


class TrainedHere(_Sessions):
    """In the place of `tune_study`, with the real training; what was trained, in order."""

    def __call__(self, trainable: Any, slots: Any, searcher: Any, scheduler: Any, beat: Any, storage: Any) -> None:
        for name in map(str, range(100)):
            config = searcher.suggest(name)
            if not isinstance(config, dict):
                return
            self.jobs.append(config["job"])
            trial, worker, stopped = (
                SimpleNamespace(config=config, error_file=None, trial_id=name),
                trainable(config),
                False,
            )
            while not stopped:
                result = worker.step()
                stopped = result.get("done", False) or scheduler.on_trial_result(None, trial, result) == "STOP"
            worker.cleanup()
            searcher.on_trial_complete(name, result)


class _NoRay:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def in_this_process(patch: pytest.MonkeyPatch) -> InThisProcess:
    """Puts the fake training in the place of Ray, for search, races and final step."""
    patch.setenv(SECONDS, "0")
    return without_ray(patch, InThisProcess())


def without_ray(patch: pytest.MonkeyPatch, sessions: Sessions) -> Sessions:
    # modules, not their names: one that were first imported in between would take the patched function for its own
    patch.setattr(session, "tune_study", sessions)
    patch.setattr(runs, "tune_study", sessions)
    patch.setattr(driver, "local_ray", lambda *_: _NoRay())
    return sessions
