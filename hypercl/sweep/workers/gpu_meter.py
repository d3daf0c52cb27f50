"""Counts the GPU time of what runs, keeps it in the study, and stops a sweep that has used up what it may."""

import time
from pathlib import Path
from typing import Any

from hypercl.control import Control
from hypercl.sweep.study import (
    GPU_TIME,
    GPUS,
    GpuBudget,
    GpuTime,
    SweepStudy,
    gpu_seconds_of,
    run_key,
    runs_of_earlier,
)
from hypercl.sweep.workers import job
from hypercl.sweep.workers.job import TrialJob
from hypercl.training import RunSummary

SECONDS_BETWEEN_WRITES = 15.0


class _Clock:
    """The time of one run of this driver, known at its last report."""

    def __init__(self, given: TrialJob, kept: GpuTime) -> None:
        self.job, self.kept, self.seconds, self.heard = given, kept, kept.seconds, time.monotonic()


class GpuMeter:
    """The GPU time of the trials and runs of one driver: share of GPUs times seconds of training.

    Between two reports the clock goes on; the next report puts it right. Those of a bundle share their seconds.

    Args:
        study: keeps the time, with each trial and, of runs beside the study, by their folders.
        share: of GPUs, of a trial at the start; each is counted with its own.
        budget: what may be used.
        control: is told when it is.
    """

    def __init__(self, study: SweepStudy, share: float, budget: GpuBudget, control: Control) -> None:
        self._study, self._budget, self._control = study, budget, control
        study.gpus = share
        self._open: dict[str, dict[str, _Clock]] = {}
        """Ray's name of a trial -> the runs that it trains."""
        kept = study.optuna.user_attrs.get(GPU_TIME, {})
        self._runs: dict[str, GpuTime] = {key: GpuTime(*time) for key, time in kept.items()}
        self._gpus = float(study.optuna.user_attrs.get(GPUS, share))
        earlier = runs_of_earlier(study.folder, self._runs).values()
        self._earlier = self._gpus * sum(time.seconds for time in earlier)
        self._next_write = self._next_look = 0.0

    def started(self, ray_id: str, given: TrialJob) -> None:
        """Its process has begun with a run, or with those of a bundle."""
        if given.gpus:
            self._open[ray_id] = {self._key(one): _Clock(one, self._kept(one)) for one in given.bundle}
            self._study.shares |= {one.number: one.gpus for one in given.bundle if one.number is not None}

    def reported(self, ray_id: str, given: TrialJob, result: dict[str, Any]) -> None:
        """A report, or the end of one of several."""
        clocks = self._open.get(ray_id, {})
        own = dict(job.results_of(given, result))
        for key, clock in list(clocks.items()):
            told = own.get(clock.job.number, {})
            seconds = told.get(job.SECONDS)
            if seconds is not None and seconds != clock.seconds:  # an interrupted run says those of its last report
                clock.seconds, clock.heard = float(seconds), time.monotonic()
            if len(clocks) > 1 and (job.OUTCOME in told or self._is_over(clock.job)):
                self._keep(key, clock, 1)
                del clocks[key]

    def ended(self, ray_id: str) -> None:
        """What its process trained is over, or is resumed later."""
        clocks = self._open.pop(ray_id, {})
        for key, clock in clocks.items():
            self._keep(key, clock, len(clocks))
        self._write_runs(clocks)

    def tick(self) -> None:
        """Ten times a second: writes what is counted every now and then, and looks at the limit."""
        now = time.monotonic()
        if self._open and now >= self._next_write:
            self._next_write = now + SECONDS_BETWEEN_WRITES
            for clocks in self._open.values():
                for key, clock in clocks.items():
                    self._keep(key, clock, len(clocks))
            self._write_runs({key: clock for clocks in self._open.values() for key, clock in clocks.items()})
        if self._budget.limited and now >= self._next_look and self._control.reason is None:
            if reached := self._budget.used_up(self.hours()):
                self._control.used_up(reached)
            done = time.monotonic()
            self._next_look = done + max(1.0, 20 * (done - now))  # as `Heartbeat`: at most a twentieth of the time

    def hours(self) -> float:
        """GPU-hours of the whole sweep so far, those of other drivers too."""
        here = {
            key: self._now(clock, len(clocks)).gpu_seconds
            for clocks in self._open.values()
            for key, clock in clocks.items()
        }
        others = self._study.optuna.user_attrs.get(GPU_TIME, {})
        runs = {key: GpuTime(*kept) for key, kept in others.items()} | self._runs
        beside = sum(here.get(key, kept.gpu_seconds) for key, kept in runs.items())
        beside += sum(seconds for key, seconds in here.items() if not key.isdigit() and key not in runs)
        trials = sum(
            gpu_seconds_of(trial, self._gpus)
            if trial.state.is_finished()
            else here.get(str(trial.number), gpu_seconds_of(trial, self._gpus))
            for trial in self._study.trials()
        )
        return (trials + beside + self._earlier) / 3600

    def _now(self, clock: _Clock, together: int) -> GpuTime:
        since = (time.monotonic() - clock.heard) / together
        return clock.kept.at(clock.seconds + since, clock.job.gpus)

    def _keep(self, key: str, clock: _Clock, together: int) -> None:
        """Of a trial in the study at once, unless its outcome holds it; of a run here, to be written."""
        number, found = clock.job.number, self._now(clock, together)
        if number is not None:
            self._study.keep_gpu_time(number, found)
            return
        summary = RunSummary.read(clock.job.folder)
        seconds = None if summary is None else summary.seconds
        self._runs[key] = found if seconds is None else clock.kept.at(seconds, clock.job.gpus)

    def _write_runs(self, clocks: dict[str, _Clock]) -> None:
        if any(clock.job.number is None for clock in clocks.values()):
            plain = {key: kept.plain for key, kept in self._runs.items()}
            self._study.optuna.set_user_attr(GPU_TIME, plain)

    def _kept(self, given: TrialJob) -> GpuTime:
        if given.number is None:
            return self._runs.get(self._key(given), GpuTime())
        return GpuTime.of(self._study.trial(given.number).user_attrs)

    def _is_over(self, given: TrialJob) -> bool:
        return given.number is not None and self._study.trial(given.number).state.is_finished()

    def _key(self, given: TrialJob) -> str:
        return str(given.number) if given.number is not None else run_key(Path(self._study.folder), given.folder)
