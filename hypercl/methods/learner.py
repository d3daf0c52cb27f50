"""The seam of a method: how a learner meets a new task, takes a step, ends a task, and predicts."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

State = dict[str, Any]
"""All that a learner is: nested dicts of tensors. Steps return a new one; a checkpoint holds nothing else."""

Memory = Any
"""What is constant while a task is learned and derived from the state: computed anew after a restart, never saved."""

Losses = dict[str, Tensor]
"""Losses by name, scalars on the device."""

Batch = tuple[Tensor, Tensor]
"""Inputs (samples, *input_shape) and labels (samples,), int64, within the task."""


@dataclass(frozen=True)
class Moment:
    """Where in the stream a step is taken."""

    task: int
    step: int
    """Steps of this task already done."""
    lr: float
    """The scheduled learning rate."""


class Learner(ABC):
    """A continual-learning method on one stream."""

    @abstractmethod
    def init(self) -> State:
        """The state before any training."""

    @abstractmethod
    def start_task(self, state: State, task: int) -> State:
        """The state as a task begins: a new optimiser, a snapshot of what is to be kept."""

    def memory(self, state: State, task: int) -> Memory:
        """What the task's steps need beside the state; after `start_task` and after each restart."""
        del state, task

    def trains_on(self, task: int) -> Sequence[int]:
        """The tasks of which each step needs a batch."""
        return [task]

    @abstractmethod
    def step(self, state: State, memory: Memory, batches: Sequence[Batch], now: Moment) -> tuple[State, Losses]:
        """One training step: the new state, and the losses (`task` always)."""

    def end_task(self, state: State, task: int) -> State:
        """The state once a task is learned."""
        del task
        return state

    @abstractmethod
    def predictor(self, state: State, task: int) -> Callable[[Tensor], Tensor]:
        """Predictions with the task's identity given.

        Returns:
            A function from inputs (samples, *input_shape) to logits (samples, classes of the task).
        """

    @abstractmethod
    def knowledge(self, state: State) -> State:
        """The part of the state that predictions need."""
