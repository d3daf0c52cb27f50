"""Ray reports, the study's pruner decides: intermediate values in, stops out."""

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from hypercl.config.models import SweepFile
from hypercl.sweep.listener import Listener
from hypercl.sweep.study import Outcome, SweepStudy
from hypercl.sweep.workers import job
from hypercl.sweep.workers.deaths import death_of
from hypercl.sweep.workers.job import TrialJob
from hypercl.sweep.workers.remote_run import mark_pruned
from hypercl.sweep.workers.searcher import StudySearcher

_FAULTS = (job.FAILED, job.OUT_OF_MEMORY, job.MACHINE, job.BLIND)
"""Outcomes after which a process may hold broken state or memory."""


class StudyScheduler(FIFOScheduler):
    """Hands every report to the study and stops a trial when the study's pruner says so.

    The decision stands in the journal before Ray hears of it, so a driver killed in between cannot lose it.
    """

    def __init__(self, file: SweepFile, study: SweepStudy, searcher: StudySearcher, listener: Listener) -> None:
        super().__init__()
        self._file, self._study, self._searcher, self._listener = file, study, searcher, listener

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles schedulers into snapshots that are never read."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Reports the result and, after a restart, what was reported before it and did not arrive."""
        given: TrialJob = trial.config["job"]
        if not given.beside:
            return TrialScheduler.STOP if self._pruned(given.number, result) else TrialScheduler.CONTINUE
        jobs = {one.number: one for one in given.bundle}
        for number, own in job.results_of(given, result):
            if job.OUTCOME in own:
                self._searcher.member_ended(trial.trial_id, number, own)
            elif self._pruned(number, own):
                mark_pruned(jobs[number])
                self._searcher.member_ended(trial.trial_id, number, own)
        return TrialScheduler.CONTINUE if self._searcher.runs(trial.trial_id) else TrialScheduler.STOP

    def _pruned(self, number: Any, result: dict[str, Any]) -> bool:
        """Whether a trial is pruned after a result; that is then decided."""
        if job.STEP not in result:
            return False
        self._searcher.spent[number] = (result.get(job.SECONDS), result.get(job.FLOPS))
        new = (result[job.STEP], result[job.VALUE])
        for step, value in (*result.get(job.HISTORY, ()), new):
            if self._study.report(number, step, value):
                self._study.decide(number, Outcome("pruned", self._why(step), None, {}, *self._searcher.spent[number]))
                return True
        self._listener.trial_reported(number, *new, tuple(result.get("accuracies", ())))
        return False

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Lets the process of a trial that ended by a fault go: the next trial gets a new one."""
        let_go_after_fault(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A process died: the searcher, which Ray tells next, gets to know how."""
        self._searcher.deaths |= dict.fromkeys((one.number for one in trial.config["job"].bundle), death_of(trial))

    def _why(self, step: int) -> str:
        learned, extra = divmod(step, self._file.pruner.reports_per_task)
        return f"pruned at step {step} ({learned} tasks learned{', into the next' if extra else ''})"


def let_go_after_fault(tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
    """Lets the process of a trial that ended by a fault go: the next trial gets a new one."""
    if any(own.get(job.OUTCOME) in _FAULTS for _, own in job.results_of(trial.config["job"], result)):
        # Ray keeps a process for reuse only if it knows that it has started (read in Ray 2.60; a test watches it).
        tune_controller._started_actors.discard(tune_controller._trial_to_actor[trial])
