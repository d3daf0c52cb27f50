"""A study and what a race or confirming stage trains, without training."""

from collections import Counter
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from hypercl.config import SweepFile
from hypercl.sweep.final.selection import best_first
from hypercl.sweep.listener import Silent
from hypercl.sweep.race.race import Racing
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.results.status import Status, status_rows
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.record import read_sweep
from hypercl.sweep.study.study import SweepStudy
from hypercl.sweep.workers import PlannedRun, RanRun
from hypercl.training import RunSummary, SeedResult

METRIC = "validation/final_accuracy"
RACE_TEXT = "search.race={settings: 3, seeds: 9, block: 3}"
Files = Callable[..., SweepFile]


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, text: str) -> None:
        self.lines.append(text)


class FakeRuns:
    """In the place of `train_all`: the value of a run is a function of its trial and seed."""

    def __init__(self, quality: Callable[[int, int], float | None], stop_after: int = 10**6) -> None:
        self.quality, self.stop_after, self.asked = quality, stop_after, []

    def __call__(self, runs: Sequence[PlannedRun], session: Any) -> list[RanRun]:
        self.asked.append(runs)
        return [self._ran(run, place < self.stop_after) for place, run in enumerate(runs)]

    def _ran(self, run: PlannedRun, done: bool) -> RanRun:
        training = run.experiment.training
        number = int(run.label.removeprefix("trial-"))
        values = [self.quality(number, seed) for seed in range(training.seed, training.seed + training.replicas)]
        if None in values:
            return RanRun(run, None, "its process died")
        seeds = tuple(SeedResult(seed, {"validation": {"final_accuracy": value}}) for seed, value in enumerate(values))
        return RanRun(run, RunSummary({}, seeds) if done else None)


def noisy(number: int, seed: int, best: int = 2) -> float:
    shared = (seed * 7919 % 13) / 100
    own = ((seed * 31 + number * 17) % 11) / 1000
    return 0.8 + shared + own + (0.05 if number == best else 0.0)


def told(study: SweepStudy, *values: float | None, violations: dict[str, float] | None = None) -> None:
    for value in values:
        suggestion = study.ask()
        assert suggestion is not None
        kind = "complete" if value is not None else "diverged"
        study.decide(suggestion.number, Outcome(kind, value=value, violations=violations or {}))
        study.settle(suggestion.number)


def as_of(file: SweepFile, study: SweepStudy) -> SweepStudy:
    """The study as a later command with this file has it."""
    return SweepStudy(study.folder / "study.journal", "test", file, 1)


def racing(file: SweepFile, study: SweepStudy) -> tuple[Racing, Heard]:
    listener = Heard()
    session: Any = SimpleNamespace(listener=listener, what="race")
    return Racing(as_of(file, study), session), listener


def raced(file: SweepFile, study: SweepStudy, patch: pytest.MonkeyPatch, runs: FakeRuns, point: int = 6) -> list[str]:
    patch.setattr("hypercl.sweep.race.race.train_all", runs)
    one, listener = racing(file, study)
    one.go(point)
    return listener.lines


def best_of(study: SweepStudy) -> tuple[list[int | None], list[str]]:
    """The best trial of best.yaml, of the report (from the folder) and of the final step, and the status' words."""
    write_sweep(study.folder, study.asked, "test")
    record, read = study.record(), read_sweep(study.folder)
    found = [record.best(), read.best(), best_first(record)[0]]
    rows = status_rows(Status(read, None, Counter(), [], None))
    return [trial.number if trial else None for trial in found], [text for name, text in rows if name == "best"]
