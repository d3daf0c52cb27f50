"""The interface of a method: how a learner starts a task, takes a step, ends a task and predicts."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import Tensor

from hypercl.config import Experiment
from hypercl.config.models import ALL, Training
from hypercl.hypernets import CompositeHypernetwork, Hypernetwork, OwnWeights, SelfAttentionHypernetwork
from hypercl.regularizers import Rate
from hypercl.targets import GeneratedModel
from hypercl.tasks import Shape
from hypercl.tensors import Tensors

State = dict[str, Any]
"""The whole state of a learner: nested dicts of tensors, which is all that a checkpoint saves.

With several replicas the first axis of each tensor is the replica.
"""

TaskContext = Any
"""Constants of a task, derived from the state: recomputed after a restart, never saved."""

Losses = dict[str, Tensor]
"""Losses by name, on the device: scalars, or (replicas,)."""

Batch = tuple[Tensor, Tensor]
"""Inputs (samples, *input_shape) and labels (samples,), int64, within the task, or of a regression the numbers to
predict, float32, (samples, outputs of the task); both have a leading replica axis if there are several."""


Drawn = TypeVar("Drawn", Tensor, Tensors)


@dataclass(frozen=True)
class StepInfo:
    """The position of a step in the stream."""

    task: int
    step: int
    """Steps already taken on this task."""
    lr: Rate
    """The scheduled learning rate, or one per replica."""

    def drawn(self, draw: Callable[["StepInfo"], Drawn]) -> Drawn:
        """What a step draws at random, on its device: all such draws are made here, from the position given.

        A step that is recorded once and replayed (`training.capture`) finds the draws of each later step in the same
        memory.
        """
        return draw(self)


@dataclass(frozen=True)
class Decision:
    """Predictions for samples whose task is not given."""

    outputs: Tensor
    """The predicted output of the target: int64, (samples,), or (replicas, samples); of a regression the numbers
    predicted, floats, (samples, outputs of the task), or (replicas, samples, outputs)."""
    tasks: Tensor | None = None
    """The inferred task, if the method infers one: (samples,), or (replicas, samples)."""
    entropy: Tensor | None = None
    """Entropy of the prediction; a later pass overrides it only with a lower one. Shaped as `tasks`."""
    confidence: Tensor | None = None
    """Probability that the network gives the predicted output; None where it is not known. Shaped as `tasks`."""


def confidence_of(logits: Tensor) -> Tensor:
    """The largest probability of the softmax: (..., classes) -> (...)."""
    return logits.softmax(-1).amax(-1)


TaskInference = Callable[[Tensor, Decision | None], Decision]
"""Maps inputs (samples, *input_shape) and the previous pass's decision on them to a decision."""


def last_decision(passes: Iterable[TaskInference], inputs: Tensor) -> Decision:
    """The decision of the last of some passes over inputs (samples, *input_shape)."""
    decision: Decision | None = None
    for infer in passes:
        decision = infer(inputs, decision)
    assert decision is not None, "task_inferences yields no pass; at least one is required, since the last one decides"
    return decision


class TaskData(Protocol):
    """A task's training data, not augmented and the same for all replicas."""

    def __len__(self) -> int: ...

    def __getitem__(self, samples: Tensor) -> Batch:
        """Inputs (n, *input_shape) and labels (n,) of the samples with these indices: int64, (n,)."""
        ...


class Learner(ABC):
    """A continual-learning method on one stream.

    A user's class declares what it supports in class attributes (the built-in ones in `hypercl.config.models.method`).
    """

    scenarios: ClassVar[frozenset[str]] = ALL
    """Scenarios in which it can predict: a subset of `task`, `domain` and `class`."""
    no_replicas: ClassVar[str] = ""
    """Why it cannot train several replicas together; '' if it can."""

    @abstractmethod
    def init(self) -> State:
        """The state before any training."""

    @abstractmethod
    def start_task(self, state: State, task: int) -> State:
        """The state at the start of a task: a fresh optimiser, a snapshot of whatever is protected.

        Must not share tensors that `step` modifies with the input state.
        """

    def task_context(self, state: State, task: int) -> TaskContext:
        """Constants that the task's steps need; computed after `start_task` and after each restart."""
        return None

    def trains_on(self, task: int) -> Sequence[int]:
        """The tasks that each step needs a batch of."""
        return [task]

    @abstractmethod
    def step(
        self, state: State, context: TaskContext, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[State, Losses]:
        """One training step: the new state, and the losses (`task` always).

        The input state is consumed: its tensors are modified in place. Copying them would cost more than the step's
        arithmetic (two million parameters on two CPU cores: 60 ms against 3).
        """

    def not_recordable(self, context: TaskContext, task: int) -> str:
        """Why the task's steps after the first cannot be recorded once and replayed (`training.capture`); '' if they
        can.

        They can if a step calls the same operations on tensors of the same shapes whatever their values, its position
        and its rate, and draws through `StepInfo.drawn` alone.
        """
        return "its class does not say that a step can be recorded"

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        """The state after a task is learned; `state` is not modified, and `data` is readable only during this call."""
        return state

    @abstractmethod
    def predictor(self, state: State, task: int) -> Callable[[Tensor], Tensor]:
        """Predictions when the task's identity is given.

        Maps inputs (samples, *input_shape) to logits (samples, classes of the task), or (replicas, samples, classes).
        """

    def predictors(self, state: State, tasks: Sequence[int]) -> Iterator[Callable[[Tensor], Tensor]]:
        """The predictors of some tasks, in order; use each before requesting the next."""
        return (self.predictor(state, task) for task in tasks)

    def task_inferences(self, state: State, met: int) -> Iterator[TaskInference]:
        """Predictions without the task's identity: successive passes over the samples, of which the last one decides.

        Args:
            state: the state, or its `inference_state`.
            met: number of tasks seen so far.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot predict without the task's identity")

    def replayed(self, state: State, task: int, count: int) -> Tensor | None:
        """Inputs that the first replica would replay for a task: (count, *input_shape), as the stream has them.

        None if the method generates none. One that samples all tasks jointly returns its samples for task 0 only.
        """
        return None

    @abstractmethod
    def inference_state(self, state: State) -> State:
        """The part of the state that predictions need; tensors are shared with the state."""


AnyHypernetwork = Hypernetwork | CompositeHypernetwork | SelfAttentionHypernetwork | OwnWeights


@dataclass(frozen=True)
class LearnerSpec:
    """What a learner is built from: networks, the stream's shape, and the config of each replica."""

    target: GeneratedModel
    hypernet: AnyHypernetwork
    shape: Shape
    """Of the stream: scenario and the outputs of each task (`shape.heads`)."""
    device: torch.device
    variants: tuple[Experiment, ...]
    """The config of each replica; they differ in scalars only."""
    import_paths: Sequence[Path] = ()
    """Folders searched for user code, before installed packages."""

    @property
    def experiment(self) -> Experiment:
        """The config of the first replica."""
        return self.variants[0]

    @property
    def training(self) -> Training:
        """The section `training`, the same for all replicas but for the seed and the rate."""
        return self.experiment.training

    @property
    def heads(self) -> tuple[slice, ...]:
        return self.shape.heads

    @property
    def seeds(self) -> list[int]:
        """One per replica."""
        return [variant.training.seed for variant in self.variants]
