"""Ray reports, the study's pruner decides: intermediate values in, stops out."""

from typing import Any

from ray.exceptions import OutOfMemoryError
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from hypercl.config.sweep import SweepFile
from hypercl.sweep import job
from hypercl.sweep.control import Listener
from hypercl.sweep.outcome import Outcome
from hypercl.sweep.searcher import StudySearcher
from hypercl.sweep.study import SweepStudy


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

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:  # noqa: ARG002
        """Reports the result and, after a restart, what was reported before it and did not arrive."""
        number = trial.config["job"].number
        if job.STEP not in result:
            return TrialScheduler.CONTINUE
        new = (result[job.STEP], result[job.VALUE])
        for step, value in (*result.get(job.HISTORY, ()), new):
            if self._study.report(number, step, value):
                self._study.decide(number, Outcome("pruned", self._why(step), seconds=result.get(job.SECONDS)))
                return TrialScheduler.STOP
        self._listener.trial_reported(number, *new, tuple(result.get("accuracies", ())))
        return TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:  # noqa: ARG002
        """A process died: what Ray knows of it is kept for the case that it is not taken up again."""
        error = trial.get_pickled_error()
        lines = str(error).strip().splitlines()
        kind = "out_of_memory" if isinstance(error, OutOfMemoryError) else "failed"
        why = f"its process died: {lines[0] if lines else type(error).__name__}"
        self._searcher.deaths[trial.config["job"].number] = (kind, why)

    def _why(self, step: int) -> str:
        learned, extra = divmod(step, self._file.pruner.reports_per_task)
        return f"stopped at step {step} ({learned} tasks learned{', into the next' if extra else ''})"
