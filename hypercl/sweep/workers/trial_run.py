"""One trial in its process: a run whose every end is an outcome."""

import logging
import socket
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

from hypercl.config import UserError
from hypercl.control import Control
from hypercl.folder_lock import Superseded
from hypercl.formatting import first_line
from hypercl.loggers import Ending, build, ending_of, reports_of
from hypercl.machine import DataError, MachineError, machine_fault
from hypercl.sweep.workers import job
from hypercl.sweep.workers.job import TrialJob
from hypercl.sweep.workers.remote_run import RemoteRun
from hypercl.sweep.workers.stall import StallWatch
from hypercl.sweep.workers.task_segment import TaskSegment, lost_in_words
from hypercl.training import Progress, Report, Started, gpu_need

LOG = logging.getLogger(__name__)
_OVER = (job.FINISHED, job.LEARNED, job.DIVERGED)
"""Outcomes after which a trial is not trained again."""
SECONDS_TO_DRAW = 60.0
"""Training time from which on a trial's matrix is drawn: that takes 0.3 s, and once a process 1.5 s of imports."""


class TrialRun:
    """Advances a trial's run from report to report; the run writes its own checkpoints.

    Nothing escapes a step: an exception of the code is an outcome, so that Ray retries only what died.

    Args:
        given: the trial.
        start: begins or resumes its run.
        stall: is told that it is alive.
        alone: whether it is trained by itself; what fails in a bundle may be another's fault.
        remote: its folder at a URI, if it has one.
    """

    def __init__(
        self,
        given: TrialJob,
        start: Callable[[], Iterator[Progress]],
        stall: StallWatch,
        alone: bool = True,
        remote: RemoteRun | None = None,
    ) -> None:
        self._job, self._start, self._stall, self._alone, self._remote = given, start, stall, alone, remote
        self._segment = TaskSegment(given)
        self._control = Control(requested=self._asked_to_stop)
        self._reports: Generator[Started | Report, None, Ending] | None = None
        self._history: tuple[tuple[int, float], ...] = ()
        self._seconds: float | None = None
        self._flops: int | None = None

    def close(self) -> None:
        """Ends a run that the pruner stopped, which writes a checkpoint, and its loggers."""
        reports, self._reports = self._reports, None
        if reports is not None:
            with suppress(Superseded):
                reports.close()
                self._leave_pruned()

    def was_pruned(self) -> bool:
        """Whether the driver has pruned it, of a bundle; says so once."""
        if self._remote is not None:
            return self._remote.was_pruned()
        there = self._job.pruned_file.exists()
        self._job.pruned_file.unlink(missing_ok=True)
        return there

    def step(self) -> dict[str, Any]:
        """The next report, or the end."""
        result = self._step()
        if self._remote is None or job.OUTCOME not in result:
            return result
        ended = result[job.OUTCOME]
        try:
            self._leave(over=ended in _OVER or (ended == job.FAILED and self._alone))
        except Superseded:
            return self._end(job.INTERRUPTED)
        except MachineError as error:
            return self._end(job.MACHINE, f"{socket.gethostname()}: {error}")
        return result

    def _leave_pruned(self) -> None:
        try:
            self._leave(over=True)
        except MachineError as error:  # it is told already: only its last rows are missing
            LOG.warning("%s", error)

    def _leave(self, over: bool) -> None:
        """Copies what is left of the run to where its folder is, and removes it here."""
        if self._remote is not None:
            self._remote.end() if over else self._remote.copy(last=True)
            self._remote.clear()

    def _step(self) -> dict[str, Any]:
        try:
            return self._advance()
        except Superseded:
            return self._end(job.INTERRUPTED)
        except Exception as error:
            if self._job.cluster and isinstance(error, DataError):
                return self._end(job.BLIND, f"no data on {socket.gethostname()}: {first_line(error)}")
            fault = machine_fault(error)
            if fault is not None:
                return self._end(job.MACHINE, f"{socket.gethostname()}: {fault}")
            if isinstance(error, UserError):
                return self._failed(str(error))
            ending = ending_of(error)
            return self._failed(traceback.format_exc()) if ending is None else self._end(ending.how, ending.why)

    def _asked_to_stop(self) -> bool:
        if self._reports is not None:
            self._stall.alive()
            if self._remote is not None:
                self._remote.copy_checkpoint()
        return self._job.stop_file.exists() or (self._remote is not None and self._remote.stopping)

    def _advance(self) -> dict[str, Any]:
        if self._reports is None:
            sweep = self._job.stop_file.parent
            if self._remote is None and not sweep.is_dir():
                return self._end(job.BLIND, f"{socket.gethostname()} does not see {sweep}")
            if self._control.stopping:
                return self._end(job.INTERRUPTED)
            if self._remote is not None:
                self._remote.fetch()
            self._segment.take_over()
            loggers = build(self._job.loggers, self._job.folder)
            self._reports = reports_of(self._start(), loggers, self._control, lambda: self._segment.over)
        self._stall.alive()
        while True:
            try:
                item = next(self._reports)
            except StopIteration as end:
                return self._ended(end.value)
            if isinstance(item, Report):
                if self._remote is not None:
                    self._remote.copy()
                return self._reported(item)
            self._history = tuple((report.step, report.value) for report in item.history)
            self._segment.started(item)
            for report in item.history[-1:]:
                self._seconds, self._flops = self._segment.spent(report)

    def _ended(self, ending: Ending) -> dict[str, Any]:
        if ending.how != "finished":
            return self._end(ending.how, ending.why)
        if ending.finished is None:
            return self._end(job.LEARNED, self._segment.why) | {job.METRICS: tuple(self._segment.metrics.items())}
        summary = ending.finished.summary
        if (self._seconds or 0.0) >= SECONDS_TO_DRAW:
            from hypercl.analysis import write_matrix_png

            write_matrix_png(self._job.folder, ending.finished.matrices)
        metrics = summary.measures() | self._segment.metrics  # pairs, since Ray flattens mappings
        ended = self._end(job.FINISHED, lost_in_words(summary.diverged)) | {job.METRICS: tuple(metrics.items())}
        return ended | {job.GPU_NEED: gpu_need()}

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

    def _end(self, outcome: str, why: str = "") -> dict[str, Any]:
        self._reports = None
        spent = {job.SECONDS: self._seconds, job.FLOPS: self._flops}
        result = {"done": True, job.OUTCOME: outcome, job.WHY: why, **spent}
        return result | ({job.HISTORY: self._history} if self._history else {})

    def _failed(self, text: str) -> dict[str, Any]:
        if self._alone:
            self._job.folder.mkdir(parents=True, exist_ok=True)
            (self._job.folder / "error.txt").write_text(text, encoding="utf-8")
        return self._end(job.FAILED, text)
