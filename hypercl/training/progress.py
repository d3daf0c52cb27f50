"""What a run reports while it trains: the items of `hypercl.training.loop`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hypercl.config import Experiment
from hypercl.training.accuracy_matrix import AccuracyMatrix
from hypercl.training.run_summary import RunSummary

Row = dict[str, float | int]
"""One line of metrics.jsonl: `iteration` (over the whole run), `task`, `task_iteration`, and what was measured."""


@dataclass(frozen=True)
class Started:
    """The first item: what is about to be trained, and from where."""

    experiment: Experiment
    folder: Path
    num_tasks: int | None
    """None where the length of the stream is unknown."""
    iterations: tuple[int, ...]
    """Steps of each task that has come."""
    parameters: int
    """Hypernetwork parameters, task embeddings included."""
    target_parameters: int
    device: str
    threads: int
    history: tuple["Report", ...] = ()
    """Reports of an earlier, interrupted part of this run, oldest first: a listener that was there has seen them."""
    chunk_size: int | None = None
    """Weights a chunk, solved where the file says `auto`."""
    groups: tuple[int, ...] = (1,)
    """Replicas that are computed at once; several groups where memory has no room for all."""
    check_owner: Callable[[], None] = lambda: None
    """Raises `Superseded` once another process has begun in the folder: called before anything is written there."""


@dataclass(frozen=True)
class Tick:
    """The run is alive: sent about once a second, never logged."""

    task: int
    task_iteration: int
    iteration: int


@dataclass(frozen=True)
class Report:
    """Accuracies on the tasks met so far. The checkpoint that covers it is on disk."""

    step: int
    """Reports so far on the one scale of progress: R x tasks learned + the report's index within the task."""
    value: float
    """Sum of the validation accuracies of the tasks met, divided by the number of tasks of the stream (of those seen
    so far where its length is unknown). Of replicas the mean, one that diverged counting 0."""
    task: int
    """The task being learned."""
    iteration: int
    """Steps over the whole run."""
    accuracies: tuple[float, ...]
    """Validation accuracy of the tasks 0 .. task; of replicas the mean, one that diverged counting 0."""
    learned: bool
    """Whether the task is learned: all its steps are done and all its validation data was read."""
    seconds: float
    """Training time so far, over all restarts."""
    rows: tuple[Row, ...] = field(default=(), repr=False)
    """Losses since the report before, then this report's own row."""
    replicas: tuple[tuple[float, ...], ...] = ()
    """The accuracies of each replica, nan once it diverged; empty where there is one."""
    diverged: tuple[str, ...] = ()
    """A sentence on each replica that diverged so far."""
    flops: int | None = None
    """Floating-point operations of the training steps so far, of all replicas; None where they are not counted."""


@dataclass(frozen=True)
class Finished:
    """The last item: what the run measured."""

    summary: RunSummary
    matrices: Mapping[str, AccuracyMatrix] = field(default_factory=dict[str, AccuracyMatrix])
    """By data set; the mean of several replicas."""


Progress = Started | Tick | Report | Finished


@dataclass(frozen=True)
class Divergence:
    """When a loss or a weight of a replica was no longer finite."""

    replica: int
    """Its place in the bundle, from 0."""
    iteration: int
    value: float
    task: int

    def __str__(self) -> str:
        return f"the loss became {self.value} at step {self.iteration} (task {self.task + 1})"


class Diverged(Exception):
    """A loss or a weight is no longer finite: of all replicas, where there are several."""

    def __init__(self, iteration: int, value: float, task: int, replicas: int = 1) -> None:
        text = str(Divergence(0, iteration, value, task))
        super().__init__(text if replicas == 1 else f"all {replicas} replicas diverged; in the last one {text}")
        self.iteration = iteration
        self.value = value
        self.task = task
