"""The seam of a method: how a learner meets a new task, takes a step, ends a task, and predicts."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from hypercl.config import Experiment
from hypercl.config.models import ALL, Training
from hypercl.hypernets import Hypernetwork, OwnWeights
from hypercl.regularizers import Rate
from hypercl.targets import GeneratedModel
from hypercl.tasks import Shape

State = dict[str, Any]
"""All that a learner is: nested dicts of tensors; a checkpoint holds nothing else.

With several replicas the first axis of each tensor is theirs.
"""

TaskContext = Any
"""What is constant while a task is learned and derived from the state: computed anew after a restart, never saved."""

Losses = dict[str, Tensor]
"""Losses by name, on the device: scalars, or (replicas,)."""

Batch = tuple[Tensor, Tensor]
"""Inputs (samples, *input_shape) and labels (samples,), int64, within the task; both after an axis of replicas, where
there are several."""


@dataclass(frozen=True)
class StepInfo:
    """Where in the stream a step is taken."""

    task: int
    step: int
    """Steps of this task already done."""
    lr: Rate
    """The scheduled learning rate, or that of each replica."""


@dataclass(frozen=True)
class Decision:
    """What some samples, whose task is not given, are taken for."""

    outputs: Tensor
    """The output of the target decided on: int64, (samples,), or (replicas, samples)."""
    tasks: Tensor | None = None
    """The task inferred, where a method infers one; as `outputs`."""
    entropy: Tensor | None = None
    """What a later pass has to be below to decide otherwise; as `outputs`."""


TaskInference = Callable[[Tensor, Decision | None], Decision]
"""Inputs (samples, *input_shape), and what the passes before decided on them, to a decision."""


class TaskData(Protocol):
    """A task's training data, as it is: not augmented, the same for all replicas."""

    def __len__(self) -> int: ...

    def __getitem__(self, samples: Tensor) -> Batch:
        """Inputs (n, *input_shape) and labels (n,) of some samples, by their places: int64, (n,)."""
        ...


class Learner(ABC):
    """A continual-learning method on one stream.

    A user's own says in class attributes what it claims (the built-in ones say it in `hypercl.config.models.method`).
    """

    scenarios: ClassVar[frozenset[str]] = ALL
    """Scenarios in which it can predict, of `task`, `domain` and `class`."""
    no_replicas: ClassVar[str] = ""
    """Why it cannot train several replicas at once; '' where it can."""

    @abstractmethod
    def init(self) -> State:
        """The state before any training."""

    @abstractmethod
    def start_task(self, state: State, task: int) -> State:
        """The state as a task begins: its optimiser, a snapshot of what is to be kept.

        Shares no tensor that a step changes with the state it is made from.
        """

    def task_context(self, state: State, task: int) -> TaskContext:
        """What the task's steps need beside the state; after `start_task` and after each restart."""
        del state, task

    def trains_on(self, task: int) -> Sequence[int]:
        """The tasks of which each step needs a batch."""
        return [task]

    @abstractmethod
    def step(
        self, state: State, context: TaskContext, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[State, Losses]:
        """One training step: the new state, and the losses (`task` always).

        The state given is used up: tensors are changed in place. A new copy of each would cost more than the step's
        arithmetic (two million parameters on two CPU cores: 60 ms against 3).
        """

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        """The state once a task is learned.

        Args:
            state: not changed.
            task: the task.
            data: its training data, for what a method keeps of it.
        """
        del task, data
        return state

    @abstractmethod
    def predictor(self, state: State, task: int) -> Callable[[Tensor], Tensor]:
        """Predictions with the task's identity given.

        Returns:
            A function from inputs (samples, *input_shape) to logits (samples, classes of the task), of each replica
            where there are several: (replicas, samples, classes).
        """

    def predictors(self, state: State, tasks: Sequence[int]) -> Iterator[Callable[[Tensor], Tensor]]:
        """The predictor of each of some tasks, in their order; to be used one after the other."""
        return (self.predictor(state, task) for task in tasks)

    def task_inferences(self, state: State, met: int) -> Iterator[TaskInference]:
        """Predictions without the task's identity: passes over the samples, one after the other; the last one decides.

        Args:
            state: the state, or its knowledge.
            met: tasks met so far, among which to decide.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot predict where the task is not given")

    def replayed(self, state: State, task: int, count: int) -> Tensor | None:
        """Inputs that a method would replay for a task, of the first replica: (count, *input_shape), in 0 .. 1.

        None where it generates none. One that draws from all tasks at once gives its samples for task 0 alone.
        """
        del state, task, count
        return None

    @abstractmethod
    def inference_state(self, state: State) -> State:
        """The part of the state that predictions need; its tensors are the state's own."""


AnyHypernetwork = Hypernetwork | OwnWeights


@dataclass(frozen=True)
class LearnerSpec:
    """The networks, the stream's shape, and the setting of each replica."""

    target: GeneratedModel
    hypernet: AnyHypernetwork
    shape: Shape
    """Of the stream: scenario, and the outputs of each task (`shape.heads`)."""
    device: torch.device
    variants: tuple[Experiment, ...]
    """The setting of each replica; they differ in scalars alone."""
    import_paths: Sequence[Path] = ()
    """Folders in which a user's own code is looked for, before what is installed."""

    @property
    def experiment(self) -> Experiment:
        """The setting of the first replica."""
        return self.variants[0]

    @property
    def training(self) -> Training:
        """How long, with what optimiser."""
        return self.experiment.training

    @property
    def heads(self) -> tuple[slice, ...]:
        """Outputs of each task."""
        return self.shape.heads

    @property
    def seeds(self) -> list[int]:
        """Of each replica."""
        return [variant.training.seed for variant in self.variants]
