"""What a worker is told about a trial, and the keys of what it tells back: all that crosses between processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hypercl.config.models import Imported


@dataclass(frozen=True)
class RunStore:
    """Where the folders of a sweep's runs are, if not in its results (`study.run_folders`)."""

    uri: str
    """Of a folder that stands for the results folder: runs have the same paths in both."""
    stop: str
    """A file there that appears when the sweep is to stop, for nodes that do not see the results."""


@dataclass(frozen=True)
class TrialJob:
    """One trial as its worker gets it: plain data, pickled by Ray."""

    number: int | None
    """The trial's number in the study; None of a run that is no trial of it (final step, race)."""
    name: str
    """The name under which its config.yaml can be trained again; Ray knows the trial by it, too."""
    experiment: dict[str, Any]
    """The resolved experiment."""
    folder: Path
    """The run's own: `trials/<number>/` of the sweep for a trial."""
    stop_file: Path
    """A file that appears when the sweep is to stop: the trial then checkpoints and ends."""
    data_dir: Path
    offline: bool
    import_paths: tuple[Path, ...]
    reports_per_task: int
    takes: Mapping[str, float]
    """CPUs, its share of GPUs and what else it takes of its node, as Ray names it."""
    loggers: Any
    """A `hypercl.loggers.LoggerSpec`; None for metrics.jsonl alone."""
    data: Literal["tune", "report", "leak"] = "tune"
    """No test data; test data at the end, for the final step; test data as validation data, for protocol test_leak."""
    metrics: tuple[Imported, ...] = ()
    """Metrics of the user's own."""
    until_task: int | None = None
    """The task, from 0, after which the trial ends; None trains the whole stream."""
    processes: int = 1
    """Runs that share the machine or the GPU, and so its memory."""
    stall_timeout: float | None = None
    """Seconds without progress after which the run is ended; None goes by its own pace."""
    fewer_at_once: bool = False
    """Whether memory did not suffice before: half as many replicas are computed at once."""
    cluster: bool = False
    """Whether it is trained on a node of a cluster: another may have the data that its own lacks."""
    parent: Path | None = None
    """The folder of the run from whose newest checkpoint the trial starts."""
    store: RunStore | None = None
    """Where its folder is at a URI; `folder` is then where the driver has a part of it."""
    beside: "tuple[TrialJob, ...]" = ()
    """Trials that are trained with it as one bundle."""

    @property
    def gpus(self) -> float:
        """Its share of GPUs; without one it may see none."""
        return self.takes.get("GPU", 0.0)

    @property
    def bundle(self) -> "tuple[TrialJob, ...]":
        """All trials that are trained together, itself first."""
        return (self, *self.beside)

    @property
    def pruned_file(self) -> Path:
        """A file that appears where a trial of a bundle is pruned: the others continue."""
        return self.folder / ".pruned"


STEP, VALUE, HISTORY = "step", "value", "history"
"""A report: its step, its value, and the (step, value) pairs of the reports before a restart."""
OUTCOME, WHY, METRICS = "outcome", "why", "metrics"
"""The last result: how the trial ended, a sentence, pairs of a metric's key and its value."""
MEMBERS = "members"
"""Of a bundle: pairs of a trial's number and its own result."""
NOTES = "notes"
"""Of any result: what a person should know, as sentences."""
SECONDS, FLOPS = "seconds", "flops"
"""Of any result: seconds of training and its floating-point operations so far; None where that is not known."""
GPU_NEED = "gpu_need"
"""Of the last result of a run that finished: the part of its GPU's memory that its process needs; else None."""

FINISHED, LEARNED, DIVERGED, OUT_OF_MEMORY, FAILED, INTERRUPTED, MACHINE, BLIND = (
    "finished",
    "learned",
    "diverged",
    "out_of_memory",
    "failed",
    "interrupted",
    "machine",
    "blind",
)
"""What stands under OUTCOME; `machine` where a device, a disk or data failed: that says nothing about the setting;
`learned` where the trial ended with `until_task`, before the end of the stream;
`blind` where its node does not see the results, or has no data and is one of several."""


def results_of(job: TrialJob, result: dict[str, Any]) -> tuple[tuple[Any, dict[str, Any]], ...]:
    """The result of each trial that a result is of, by number."""
    return result.get(MEMBERS, ()) if job.beside else ((job.number, result),)
