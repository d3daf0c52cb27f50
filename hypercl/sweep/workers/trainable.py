"""A trial's process: a run inside a Ray trainable. Imports nothing of the driver's."""

import logging
import os
import socket
import traceback
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any

import torch
from ray import tune

from hypercl.config import Experiment, UserError
from hypercl.control import Control
from hypercl.folder_lock import Superseded
from hypercl.loggers import Ending, build, ending_of, reports_of
from hypercl.machine import MachineError, machine_fault
from hypercl.sweep.workers import job
from hypercl.sweep.workers.job import TrialJob
from hypercl.sweep.workers.process import CleanProcess
from hypercl.sweep.workers.stall import StallWatch
from hypercl.sweep.workers.task_segment import TaskSegment, lost_in_words
from hypercl.training import Progress, Report, Started

SECONDS_TO_DRAW = 60.0
"""Training time from which on a trial's matrix is drawn: that takes 0.3 s, and once a process 1.5 s of imports."""


class RunTrainable(tune.Trainable):
    """Advances a run to its next report with every step; the run writes its own checkpoints.

    Nothing escapes a step: an exception of the code is an outcome, so that Ray retries only what died.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self._clean, self._notes = CleanProcess(), _Notes()
        self._take(config["job"])

    def _take(self, given: TrialJob) -> None:
        self._job, self._segment = given, TaskSegment(given)
        self._stall = StallWatch(given.folder, given.stall_timeout)
        self._control = Control(requested=self._asked_to_stop)
        if not self._job.gpus:
            # Ray leaves a trial without a GPU share all GPUs of its node.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._reports: Generator[Started | Report, None, Ending] | None = None
        self._history: tuple[tuple[int, float], ...] = ()
        self._seconds: float | None = None
        self._flops: int | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Another trial in the same process, whose imports are kept; one still open was stopped by the pruner."""
        self.cleanup()
        self._clean.restore()
        self._take(new_config["job"])
        return True

    def cleanup(self) -> None:
        """Ends a run that the pruner stopped, which writes a checkpoint, and its loggers."""
        reports, self._reports = self._reports, None
        if reports is not None:
            with suppress(Superseded):
                reports.close()
        self._stall.close()

    def step(self) -> dict[str, Any]:
        """The next report, or the end, with what was logged as a warning since the one before."""
        result = self._step()
        return result | ({job.NOTES: notes} if (notes := self._notes.taken()) else {})

    def _step(self) -> dict[str, Any]:
        try:
            return self._advance()
        except Superseded:
            return self._end(job.INTERRUPTED)
        except Exception as error:
            fault = machine_fault(error)
            if fault is not None:
                return self._end(job.MACHINE, f"{socket.gethostname()}: {fault}")
            if isinstance(error, UserError):
                return self._failed(str(error))
            ending = ending_of(error)
            return self._failed(traceback.format_exc()) if ending is None else self._end(ending.how, ending.why)
        finally:
            self._stall.pause()

    def _asked_to_stop(self) -> bool:
        if self._reports is not None:
            self._stall.alive()
        return self._job.stop_file.exists()

    def start(self) -> Iterator[Progress]:
        """The run of this trial."""
        from hypercl.training import RunFolders, run

        own = self._job
        folders = RunFolders(own.folder, own.data_dir, own.offline, own.import_paths, own.name)
        experiment = Experiment.model_validate(own.experiment)
        if own.gpus and experiment.training.device == "auto" and not torch.cuda.is_available():
            raise MachineError(
                f"the trial has a share of a GPU, and PyTorch finds none: {_why_no_gpu()}\n"
                "    fix:     mend that node, or train on CPUs: --set resources.gpus=0"
            )
        return run(
            experiment,
            folders,
            test=own.data == "report",
            leak=own.data == "leak",
            reports_per_task=own.reports_per_task,
            processes=own.processes,
            fewer_at_once=own.fewer_at_once,
            metrics=own.metrics,
        )

    def _advance(self) -> dict[str, Any]:
        if self._reports is None:
            sweep = self._job.stop_file.parent
            if not sweep.is_dir():
                return self._end(job.BLIND, f"{socket.gethostname()} does not see {sweep}")
            if self._control.stopping:
                return self._end(job.INTERRUPTED)
            self._segment.take_over()
            loggers = build(self._job.loggers, self._job.folder)
            self._reports = reports_of(self.start(), loggers, self._control, lambda: self._segment.over)
        self._stall.alive()
        while True:
            try:
                item = next(self._reports)
            except StopIteration as end:
                return self._ended(end.value)
            if isinstance(item, Report):
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
        return self._end(job.FINISHED, lost_in_words(summary.diverged)) | {job.METRICS: tuple(metrics.items())}

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
        self._stall.close()
        spent = {job.SECONDS: self._seconds, job.FLOPS: self._flops}
        result = {"done": True, job.OUTCOME: outcome, job.WHY: why, **spent}
        return result | ({job.HISTORY: self._history} if self._history else {})

    def _failed(self, text: str) -> dict[str, Any]:
        self._job.folder.mkdir(parents=True, exist_ok=True)
        (self._job.folder / "error.txt").write_text(text, encoding="utf-8")
        return self._end(job.FAILED, text)


def _why_no_gpu() -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.version.cuda is None and torch.version.hip is None:
        return f"PyTorch {torch.__version__} is built for CPUs only"
    if visible is not None and not visible.strip():
        return "CUDA_VISIBLE_DEVICES is empty"
    seen = "" if visible is None else f", or CUDA_VISIBLE_DEVICES={visible} names none"
    return f"NVIDIA's driver is missing or older than CUDA {torch.version.cuda} needs{seen} (nvidia-smi)"


class _Notes(logging.Handler):
    """The warnings of the package's own loggers, for the driver: what a worker prints nobody reads."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._texts: list[str] = []
        logging.getLogger("hypercl").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._texts.append(record.getMessage())

    def taken(self) -> tuple[str, ...]:
        texts, self._texts = tuple(self._texts), []
        return texts


__all__ = ["RunTrainable"]
