"""Runs beside the study: what becomes of one that is done, fails, dies or diverges; the queue without Ray."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hypercl.config import Experiment, SweepFile
from hypercl.control import Control
from hypercl.sweep.listener import Silent
from hypercl.sweep.study.protocols import final_config
from hypercl.sweep.workers import job
from hypercl.sweep.workers.deaths import Death
from hypercl.sweep.workers.planned_run import LOST, PlannedRun
from hypercl.sweep.workers.resources import Slots
from hypercl.sweep.workers.runs import RunQueue

BROKEN = "Traceback (most recent call last):\n  ...\nRuntimeError: broken on purpose"
Files = Callable[..., SweepFile]


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, text: str) -> None:
        self.lines.append(text)


class Session:
    """As `RunSession`, without Ray."""

    what, retries, max_failed = "final step", 3, 2

    def __init__(self, folder: Path) -> None:
        self.control, self.listener = Control(folder / ".stop"), Heard()
        self.slots = Slots(1.0, 0.0, 2)

    def job_of(self, run: PlannedRun) -> PlannedRun:
        return run

    def bring(self, folder: Path) -> None: ...


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


@pytest.fixture
def bundle(sweep_file: Files, tmp_path: Path) -> PlannedRun:
    """Three seeds of the base."""
    return planned(final_config(sweep_file(), {}, count=3), tmp_path)


@pytest.fixture
def single(sweep_file: Files, tmp_path: Path) -> PlannedRun:
    return planned(final_config(sweep_file(), {"method.beta": 1.0}), tmp_path, "trial-7")


def planned(experiment: Experiment, folder: Path, label: str = "base") -> PlannedRun:
    return PlannedRun.of(label, experiment, folder / "final", "report")


def queue_of(session: Any, *runs: PlannedRun) -> RunQueue:
    return RunQueue(runs, session)


def finish(run: PlannedRun, **content: Any) -> dict[str, Any]:
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "summary.json").write_text(json.dumps({"validation": {}, **content}))
    return {"outcome": job.FINISHED}


def started(queue: RunQueue, trial: str) -> PlannedRun:
    found = queue.suggest(trial)
    assert isinstance(found, dict)
    return found["job"]


def test_a_run_is_named_by_its_setting_and_seeds(bundle: PlannedRun, single: PlannedRun, tmp_path: Path) -> None:
    assert (bundle.name, single.name) == ("base, seeds 2000001-2000003", "trial-7, seed 2000001")
    assert bundle.folder == tmp_path / "final" / "base" / "seeds-2000001-2000003"
    assert [each.folder.name for each in bundle.singles()] == ["seed-2000001", "seed-2000002", "seed-2000003"]
    assert [each.experiment.training.seed for each in bundle.singles()] == list(bundle.seeds)


def test_what_is_done_is_not_trained_again(session: Session, bundle: PlannedRun, single: PlannedRun) -> None:
    finish(bundle)
    queue = queue_of(session, bundle, single)
    assert started(queue, "a") == single
    assert queue.suggest("b") is None
    queue.on_trial_complete("a", finish(single))
    assert queue.suggest("b") == "FINISHED"
    assert session.listener.lines == ["final step: trial-7, seed 2000001: 2 of 2 runs done"]


def test_a_run_without_memory_on_a_part_of_a_gpu_gets_more_of_it_before_it_has_failed(
    session: Session, single: PlannedRun
) -> None:
    session.slots = Slots(1.0, 0.5, 2, there={"CPU": 4.0, "GPU": 1.0})
    queue = queue_of(session, single)
    for trial, share in (("a", 0.5), ("b", 1.0)):
        assert (started(queue, trial), session.slots.gpus) == (single, share)
        queue.on_trial_complete(trial, {"outcome": job.OUT_OF_MEMORY, "why": "CUDA out of memory"})
    first, second = session.listener.lines
    assert "out of memory: CUDA out of memory with 0.5 of a GPU; runs get more from now on" in first
    assert "failed: out of memory: CUDA out of memory; tried once more" in second


def test_a_bundle_that_fails_is_split_and_a_seed_that_fails_alone_is_lost(
    session: Session, bundle: PlannedRun, single: PlannedRun
) -> None:
    finish(single)
    queue = queue_of(session, bundle, single)
    started(queue, "a")
    queue.on_trial_complete("a", {"outcome": job.FAILED, "why": BROKEN})
    seeds = [started(queue, name) for name in "bcd"]
    assert seeds == list(bundle.singles())
    queue.on_trial_complete("b", finish(seeds[0]))
    queue.on_trial_complete("c", {"outcome": job.FAILED, "why": BROKEN})
    queue.on_trial_complete("d", finish(seeds[2]))
    assert queue.suggest("e") == "FINISHED"
    queue.settle()
    assert [run.lost for run in queue.runs] == ["", "RuntimeError: broken on purpose", "", ""]
    assert queue.runs == [*seeds, single]
    again = queue_of(session, bundle, single)
    assert again.runs == queue.runs
    assert again.suggest("f") == "FINISHED"


def test_a_single_seed_that_fails_is_tried_once_more(session: Session, bundle: PlannedRun, single: PlannedRun) -> None:
    finish(bundle)
    queue = queue_of(session, bundle, single)
    for trial in "ab":
        assert started(queue, trial) == single
        queue.on_trial_complete(trial, {"outcome": job.OUT_OF_MEMORY, "why": "cannot allocate"})
    assert queue.suggest("c") == "FINISHED"
    assert not (single.folder / LOST).exists()
    queue.settle()
    assert single.lost == "out of memory: cannot allocate"


def test_a_process_that_died_for_good_is_a_failure_with_its_reason(session: Session, single: PlannedRun) -> None:
    session.max_failed = 5
    queue = queue_of(session, single)
    for trial in "abcde":
        assert started(queue, trial) == single
        queue.deaths[single.folder] = Death("process", "its process died: SIGKILL")
        queue.on_trial_complete(trial, error=True)
    assert queue.suggest("f") == "FINISHED"
    queue.settle()
    assert single.lost == "its process died: SIGKILL"


def test_a_fault_of_the_machine_loses_no_run(session: Session, single: PlannedRun) -> None:
    queue = queue_of(session, single)
    started(queue, "a")
    queue.on_trial_complete("a", {"outcome": job.MACHINE, "why": "the disk is full"})
    assert (session.control.reason, session.control.machine) == ("machine", "the disk is full")
    queue.settle()
    assert not single.lost


def test_a_run_that_diverged_is_lost_at_once(session: Session, bundle: PlannedRun) -> None:
    queue = queue_of(session, bundle)
    started(queue, "a")
    queue.on_trial_complete("a", {"outcome": job.DIVERGED, "why": "after step 9 the loss is nan"})
    assert queue.suggest("b") == "FINISHED"
    assert queue_of(session, bundle).runs == [bundle]
    assert bundle.lost == "diverged: after step 9 the loss is nan"


def test_failures_before_anything_is_done_stop_the_session_and_lose_nothing(
    session: Session, bundle: PlannedRun
) -> None:
    queue = queue_of(session, bundle)
    started(queue, "a")
    queue.on_trial_complete("a", {"outcome": job.FAILED, "why": BROKEN})
    assert session.control.reason is None
    started(queue, "b")
    queue.on_trial_complete("b", {"outcome": job.FAILED, "why": BROKEN})
    assert (session.control.reason, queue.suggest("c")) == ("failed", "FINISHED")
    queue.settle()
    assert "RuntimeError" in session.control.first_failure
    assert not any(run.lost for run in queue.runs)


def test_a_mistake_that_a_person_mends_stops_the_session_and_loses_nothing(
    session: Session, bundle: PlannedRun, single: PlannedRun
) -> None:
    finish(bundle)
    queue = queue_of(session, bundle, single)
    started(queue, "a")
    queue.on_trial_complete("a", {"outcome": job.FAILED, "why": "there is no device cuda\n    fix:     --device cpu"})
    assert session.control.reason == "failed"
    queue.settle()
    assert not single.lost
    assert started(queue_of(Session(bundle.folder), bundle, single), "b") == single


def test_an_interrupted_run_waits_for_the_same_command(session: Session, single: PlannedRun) -> None:
    queue = queue_of(session, single)
    started(queue, "a")
    session.control.stop("sigint")
    queue.on_trial_complete("a", {"outcome": job.INTERRUPTED})
    assert queue.suggest("b") == "FINISHED"
    queue.settle()
    assert (single.summary, single.lost) == (None, "")
    assert session.listener.lines == []


def test_a_run_without_a_summary_is_not_done(session: Session, single: PlannedRun) -> None:
    session.max_failed = 5
    queue = queue_of(session, single)
    for trial in "ab":
        started(queue, trial)
        queue.on_trial_complete(trial, {"outcome": job.FINISHED})
    queue.settle()
    assert single.lost == "it left no summary.json"


def test_what_a_run_reports_is_heard(session: Session, single: PlannedRun) -> None:
    from hypercl.sweep.workers.runs import RunScheduler

    heard: list[Any] = []
    listener = SimpleNamespace(run_reported=lambda *given: heard.append(given))
    queue = queue_of(session, single)
    started(queue, "a")
    scheduler = RunScheduler(queue, listener)  # pyright: ignore[reportArgumentType]
    trial: Any = SimpleNamespace(trial_id="a")
    assert scheduler.on_trial_result(None, trial, {"step": 3, "accuracies": (0.5, 0.7)}) == "CONTINUE"
    assert heard == [(single.name, 3, (0.5, 0.7))]
