"""A trial's process: its run, or those of a bundle, inside a Ray trainable. Imports nothing of the driver's."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from ray import tune

from hypercl.config import Experiment
from hypercl.machine import MachineError
from hypercl.sweep.workers import job
from hypercl.sweep.workers.job import TrialJob
from hypercl.sweep.workers.process import CleanProcess
from hypercl.sweep.workers.remote_run import RemoteRun
from hypercl.sweep.workers.stall import StallWatch
from hypercl.sweep.workers.trial_run import TrialRun
from hypercl.training import Progress, RunFolders


class RunTrainable(tune.Trainable):
    """Advances a run, or all runs of a bundle, to the next report with every step."""

    def setup(self, config: dict[str, Any]) -> None:
        self._clean, self._notes = CleanProcess(), _Notes()
        self._take(config["job"])

    def _take(self, given: TrialJob) -> None:
        remotes = [None if one.store is None else RemoteRun(one, one.store) for one in given.bundle]
        jobs = [one if at is None else at.job for one, at in zip(given.bundle, remotes, strict=True)]
        here = jobs[0].folder if given.cluster else given.folder  # where the driver looks for stacks
        self._job = given = replace(jobs[0], beside=tuple(jobs[1:]))
        self._stall = StallWatch(here, given.stall_timeout)
        if not self._job.gpus:
            # Ray leaves a trial without a GPU share all GPUs of its node.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        alone = not given.beside
        starts = [self.start] if alone else [partial(self._start_of, place) for place in range(len(given.bundle))]
        parts = zip(given.bundle, starts, remotes, strict=True)
        runs = [TrialRun(one, start, self._stall, alone, at) for one, start, at in parts]
        self._open = list(zip(given.bundle, runs, strict=True))
        self._started: Sequence[Iterator[Progress]] = ()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Another trial in the same process, whose imports are kept; one still open was stopped by the pruner."""
        self.cleanup()
        self._clean.restore()
        self._take(new_config["job"])
        return True

    def cleanup(self) -> None:
        """Ends runs that the pruner stopped."""
        for _, run in self._open:
            run.close()
        self._started = ()
        self._stall.close()

    def step(self) -> dict[str, Any]:
        """The next report, or the end, with what was logged as a warning since the one before."""
        try:
            result = self._step_of_bundle() if self._job.beside else self._open[0][1].step()
        finally:
            self._stall.pause()
        if result.get("done"):
            self._stall.close()
        return result | ({job.NOTES: notes} if (notes := self._notes.taken()) else {})

    def _step_of_bundle(self) -> dict[str, Any]:
        """The results of all trials that are still trained."""
        for given, run in [one for one in self._open if one[1].was_pruned()]:
            run.close()
            self._open.remove((given, run))
        results = [(given.number, run.step()) for given, run in self._open]
        self._open = [one for one, (_, own) in zip(self._open, results, strict=True) if job.OUTCOME not in own]
        return {job.MEMBERS: tuple(results), "done": not self._open}

    def start(self) -> Iterator[Progress]:
        """The run of a trial that is trained by itself."""
        from hypercl.training import run

        return run(
            _experiment(self._job),
            _folders(self._job),
            test=self._job.data == "report",
            fewer_at_once=self._job.fewer_at_once,
            **_options(self._job),
        )

    def start_bundle(self) -> Sequence[Iterator[Progress]]:
        """The runs of all trials of a bundle."""
        from hypercl.training import run_together

        bundle = self._job.bundle
        return run_together(
            [_experiment(one) for one in bundle], [_folders(one) for one in bundle], **_options(self._job)
        )

    def _start_of(self, place: int) -> Iterator[Progress]:
        self._started = self._started or self.start_bundle()
        return self._started[place]


def _folders(given: TrialJob) -> RunFolders:
    return RunFolders(given.folder, given.data_dir, given.offline, given.import_paths, given.name)


def _options(given: TrialJob) -> dict[str, Any]:
    """What is the same for all trials of a sweep."""
    return {
        "leak": given.data == "leak",
        "reports_per_task": given.reports_per_task,
        "processes": given.processes,
        "metrics": given.metrics,
    }


def _experiment(given: TrialJob) -> Experiment:
    experiment = Experiment.model_validate(given.experiment)
    if given.gpus and experiment.training.device == "auto" and not torch.cuda.is_available():
        raise MachineError(
            f"the trial has a share of a GPU, and PyTorch finds none: {_why_no_gpu()}\n"
            "    fix:     mend that node, or train on CPUs: --set resources.gpus=0"
        )
    return experiment


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
