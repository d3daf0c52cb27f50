"""Runs beside the study, trained by Ray: those of the final step and of a race.

A run is its folder: it is done once its summary.json is there, and lost once its lost.txt is. So whoever asks for the
same runs again returns what is done and continues with the rest.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from hypercl.control import Control
from hypercl.files import write_text
from hypercl.sweep.listener import Listener
from hypercl.sweep.workers import job
from hypercl.sweep.workers.deaths import Death, Deaths, death_of, in_short
from hypercl.sweep.workers.planned_run import LOST, PlannedRun, RanRun, as_begun
from hypercl.sweep.workers.resources import Slots
from hypercl.sweep.workers.scheduler import let_go_after_fault
from hypercl.sweep.workers.session import Heartbeat, Stateless, tune_study


@dataclass(frozen=True)
class RunSession:
    """What trains runs: the driver's Ray, slots and control."""

    what: str
    """Heads the lines that a person reads: `final step`, `race`."""
    trainable: type
    slots: Slots
    control: Control
    listener: Listener
    heartbeat: Heartbeat
    job_of: Callable[[PlannedRun], job.TrialJob]
    """Makes a worker's job from a run."""
    storage: Path
    """For what Ray insists on writing."""
    retries: int
    """Maximum restarts of a run whose process died."""
    max_failed: int
    """So many failures before any run is done stop the session: the reason is not in the settings."""
    bring: Callable[[Path], object] = lambda _: None
    """Brings a run's files into the results, where its folder is at a URI."""


def train_all(runs: Sequence[PlannedRun], session: RunSession) -> list[RanRun]:
    """Trains what of the runs is neither done nor lost, as Ray trials, each from its own last checkpoint.

    A run that fails is tried once more: a bundle as its single seeds, each by itself. What fails again is lost, as is
    a run of which every seed diverges. What a person has to mend (missing data, a device that is not there) loses
    nothing: it stops the session, as do failures while nothing is done at all. When the session is being stopped
    (`session.control.reason`), runs write their checkpoints, and the same call resumes later.

    Returns:
        One for each run, in their order; single seeds in the place of a bundle that was split.
    """
    queue = RunQueue(runs, session)
    if queue.waiting and session.control.reason is None:
        scheduler = RunScheduler(queue, session.listener)
        tune_study(session.trainable, session.slots, queue, scheduler, session.heartbeat, session.storage)
        queue.settle()
    return [RanRun(run, run.summary, run.lost) for run in queue.runs]


class RunQueue(Stateless):
    """Hands out runs in order, and decides what becomes of one that failed.

    Args:
        runs: all of them, those that are done too.
        session: what trains them.
    """

    def __init__(self, runs: Sequence[PlannedRun], session: RunSession) -> None:
        super().__init__()
        self.runs = as_begun(runs)
        self.waiting = deque(run for run in self.runs if run.summary is None and not run.lost)
        self.open: dict[str, PlannedRun] = {}
        """Ray's name of a trial -> its run."""
        self.deaths: dict[Path, Death] = {}
        """How the process of a run died, by its folder; written by the scheduler."""
        self._shares: dict[Path, float] = {}
        """What a run had of a GPU, by its folder."""
        self._session, self._control, self._listener = session, session.control, session.listener
        self._deaths = Deaths(session.retries, session.control)
        self._failed: dict[Path, str] = {}
        """Runs that failed for good; written down when the session ends."""
        self._again: set[Path] = set()
        self._failures = 0

    @property
    def done(self) -> int:
        """Runs with a summary."""
        return sum(run.summary is not None for run in self.runs)

    def suggest(self, trial_id: str) -> Any:
        """The next run as a worker's job; FINISHED once none is left and none runs that could fail."""
        if self._control.reason is not None:
            return Searcher.FINISHED
        if not self.waiting:
            return None if self.open else Searcher.FINISHED
        run = self.waiting.popleft()
        self.open[trial_id] = run
        self._listener.run_started(run.name, run.experiment.tasks.num_tasks or 0)
        self._shares[run.folder] = self._session.slots.gpus
        return {"job": self._session.job_of(run)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Says what is done; puts a failed run in line again, or gives it up."""
        run = self.open.pop(trial_id, None)
        if run is None:
            return
        self._listener.run_ended(run.name)
        self._session.bring(run.folder)
        told = result or {}
        ended, why = told.get(job.OUTCOME), str(told.get(job.WHY, ""))
        if error:
            self._died(run, self.deaths.pop(run.folder, Death("process", "its process died")))
        elif ended == job.MACHINE:
            self._deaths.then(run.folder, Death("machine", why))
        elif ended == job.BLIND:
            self._died(run, Death("node", why))
        elif ended == job.FINISHED and run.summary is not None:
            self._say(f"{run.name}: {self.done} of {len(self.runs)} runs done")
        elif ended == job.DIVERGED:
            self._lose(run, f"diverged: {in_short(why)}")
        elif ended == job.OUT_OF_MEMORY:
            self._without_memory(run, f"out of memory: {in_short(why)}")
        elif ended == job.FAILED:
            self._fail(run, in_short(why), whole=why)
        elif ended == job.FINISHED:
            self._fail(run, "it left no summary.json")

    def settle(self) -> None:
        """Writes down what failed for good, unless the session stopped because nothing can be trained at all."""
        if self._control.reason != "failed":
            for folder, why in self._failed.items():
                write_text(folder / LOST, why + "\n")

    def _died(self, run: PlannedRun, death: Death) -> None:
        if death.cause == "memory":
            self._without_memory(run, death.why)
            return
        then = self._deaths.then(run.folder, death)
        if then == "again":
            self.waiting.appendleft(run)
            self._say(f"{run.name}: {death.retried}")
        elif then == "over":
            self._fail(run, death.why)

    def _without_memory(self, run: PlannedRun, why: str) -> None:
        """A run gets more of its GPU; where it had all, it has failed: a bundle is tried as its single seeds."""
        share = self._shares.get(run.folder, 0.0)
        if self._control.reason is None and self._session.slots.enlarge(share):
            self.waiting.appendleft(run)
            self._say(f"{run.name}: {why} with {share:g} of a GPU; runs get more from now on")
        else:
            self._fail(run, why)

    def _fail(self, run: PlannedRun, why: str, whole: str = "") -> None:
        self._failures += 1
        theirs = whole and not whole.startswith("Traceback")
        if theirs or (not self.done and self._failures >= self._session.max_failed):
            self._control.first_failure = self._control.first_failure or f"{run.name}: {whole or why}"
            self._control.failed_in_row = self._failures
            self._control.stop("failed")
            return
        if run.folder in self._again:
            self._failed[run.folder] = why
            self._say(f"{run.name} is lost: {why}")
            return
        parts = run.singles()
        self._again |= {part.folder for part in parts}
        place = self.runs.index(run)
        self.runs[place : place + 1] = parts
        self.waiting.extend(parts)
        self._say(f"{run.name} failed: {why}; " + ("each seed is tried alone" if len(parts) > 1 else "tried once more"))

    def _lose(self, run: PlannedRun, why: str) -> None:
        write_text(run.folder / LOST, why + "\n")
        self._say(f"{run.name} is lost: {why}")

    def _say(self, text: str) -> None:
        self._listener.said(f"{self._session.what}: {text}")


class RunScheduler(FIFOScheduler):
    """Stops nothing; tells the listener what runs report."""

    def __init__(self, queue: RunQueue, listener: Listener) -> None:
        super().__init__()
        self._queue, self._listener = queue, listener

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles schedulers into snapshots that are never read."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        run = self._queue.open.get(trial.trial_id)
        if run is not None and job.STEP in result:
            self._listener.run_reported(run.name, result[job.STEP], tuple(result.get("accuracies", ())))
        return TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        let_go_after_fault(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._queue.deaths[trial.config["job"].folder] = death_of(trial)
