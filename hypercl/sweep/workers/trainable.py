"""A trial's process: a run inside a Ray trainable. Imports nothing of the driver's."""

import os
import traceback
from collections.abc import Iterator
from typing import Any

from ray import tune

from hypercl.config import Experiment, UserError
from hypercl.sweep.workers import job
from hypercl.sweep.workers.job import TrialJob
from hypercl.sweep.workers.process import CleanProcess
from hypercl.sweep.workers.task_segment import TaskSegment, lost_in_words
from hypercl.training import Diverged, Finished, Progress, Report, Started, Tick

SECONDS_TO_DRAW = 60.0
"""Training time from which on a trial's matrix is drawn: that takes 0.3 s, and once a process 1.5 s of imports."""


class RunTrainable(tune.Trainable):
    """Advances a run to its next report with every step; the run writes its own checkpoints.

    Nothing escapes a step: an exception of the code is an outcome, so that Ray retries only what died.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self._clean = CleanProcess()
        self._take(config["job"])

    def _take(self, given: TrialJob) -> None:
        self._job, self._segment = given, TaskSegment(given)
        if not self._job.gpus:
            # Ray leaves a trial without a GPU share all GPUs of its node.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._run: Iterator[Progress] | None = None
        self._loggers: list[Any] = []
        self._history: tuple[tuple[int, float], ...] = ()
        self._seconds: float | None = None
        self._flops: int | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Another trial in the same process, whose imports are kept; one still open was stopped by the pruner."""
        self._close("stopped")
        self._clean.restore()
        self._take(new_config["job"])
        return True

    def cleanup(self) -> None:
        self._close("stopped")

    def step(self) -> dict[str, Any]:
        """The next report, or the end."""
        try:
            return self._advance()
        except Diverged as error:
            return self._end(job.DIVERGED, f"{error}", "failed")
        except UserError as error:
            return self._failed(str(error))
        except Exception as error:
            if _is_out_of_memory(error):
                first, *_ = str(error).strip().splitlines() or [type(error).__name__]
                return self._end(job.OUT_OF_MEMORY, first, "failed")
            return self._failed(traceback.format_exc())

    def start(self) -> Iterator[Progress]:
        """The run of this trial."""
        from hypercl.training import RunFolders, run

        own = self._job
        place = RunFolders(own.folder, own.data_dir, own.offline, own.import_paths, own.name)
        experiment = Experiment.model_validate(self._job.experiment)
        test, leak = own.data == "report", own.data == "leak"
        return run(experiment, place, test=test, leak=leak, reports_per_task=own.reports_per_task)

    def _advance(self) -> dict[str, Any]:
        if self._run is None:
            if self._job.stop_file.exists():
                return self._end(job.INTERRUPTED, "", "interrupted")
            self._segment.take_over()
            self._run = self.start()
            self._loggers = self._listeners()
        for item in () if self._segment.over else self._run:
            if isinstance(item, Started):
                self._history = tuple((report.step, report.value) for report in item.history)
                self._segment.started(item)
                for report in item.history[-1:]:
                    self._seconds, self._flops = self._segment.spent(report)
                self._tell("started", item)
                if self._segment.over:
                    break
            elif isinstance(item, Report):
                self._tell("report", item)
                return self._reported(item)
            elif isinstance(item, Finished):
                self._tell("finished", item)
                self._draw(item)
                metrics = item.summary.measures() | self._segment.metrics  # pairs, since Ray flattens mappings
                why = lost_in_words(item.summary.diverged)
                return self._end(job.FINISHED, why, "finished") | {job.METRICS: tuple(metrics.items())}
            elif isinstance(item, Tick):
                self._tell("tick", item)
                if self._job.stop_file.exists():
                    return self._end(job.INTERRUPTED, "", "interrupted")
        if self._segment.over:
            found = {job.METRICS: tuple(self._segment.metrics.items())}
            return self._end(job.LEARNED, self._segment.why, "finished") | found
        return self._failed("the run ended without a summary")

    def _reported(self, item: Report) -> dict[str, Any]:
        self._segment.reported(item)
        self._seconds, self._flops = self._segment.spent(item)
        history, self._history = self._history, ()
        return {
            job.STEP: item.step,
            job.VALUE: item.value,
            job.HISTORY: history,
            job.SECONDS: self._seconds,
            job.FLOPS: self._flops,
            "accuracies": item.accuracies,
            "task": item.task,
            "iteration": item.iteration,
        }

    def _listeners(self) -> list[Any]:
        from hypercl.loggers import build

        return list(build(self._job.loggers, self._job.folder))

    def _draw(self, item: Finished) -> None:
        """The accuracy matrix as a picture, as in a run's folder; a short trial is spared the time it takes."""
        if (self._seconds or 0.0) >= SECONDS_TO_DRAW:
            from hypercl.analysis import write_matrix_png

            write_matrix_png(self._job.folder, item.matrices)

    def _tell(self, event: str, item: Progress) -> None:
        for logger in self._loggers:
            getattr(logger, event)(item)

    def _end(self, outcome: str, why: str, closing: str) -> dict[str, Any]:
        self._close(closing)
        spent = {job.SECONDS: self._seconds, job.FLOPS: self._flops}
        result = {"done": True, job.OUTCOME: outcome, job.WHY: why, **spent}
        return result | ({job.HISTORY: self._history} if self._history else {})

    def _failed(self, text: str) -> dict[str, Any]:
        self._job.folder.mkdir(parents=True, exist_ok=True)
        (self._job.folder / "error.txt").write_text(text, encoding="utf-8")
        return self._end(job.FAILED, text, "failed")

    def _close(self, outcome: str) -> None:
        """Ends the run, which writes a checkpoint where one is due, and then the loggers."""
        run, self._run = self._run, None
        loggers, self._loggers = self._loggers, []
        if run is not None:
            close = getattr(run, "close", None)
            if close is not None:
                close()
        for logger in loggers:
            logger.close(outcome)


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in text
        or "CUDA out of memory" in text
    )


__all__ = ["RunTrainable"]
