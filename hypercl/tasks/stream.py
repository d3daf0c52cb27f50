"""A stream of tasks: what a learner meets, one after the other."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor


class NoTestData(RuntimeError):
    """Test data was asked of a stream that has none: while tuning, nothing reads a test set."""


@dataclass(frozen=True)
class Split:
    """Labelled images. Several splits may share one array of images; each names its rows."""

    images: Tensor
    """uint8, (n, channels, height, width); may be memory-mapped and shared by processes. A user's own stream may have
    float32 and other shapes."""
    rows: Tensor
    """int64, (samples,): which images belong to this split."""
    labels: Tensor
    """int64, (samples,): class within the task, 0 .. classes - 1."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels of some samples, by their place in the split."""
        return self.images[self.rows[samples]], self.labels[samples]

    def first(self, samples: int, seed: int) -> "Split":
        """A fixed random part of at most `samples` samples."""
        if len(self) <= samples:
            return self
        chosen = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))[:samples].sort().values
        chosen = chosen.to(self.rows.device)
        return replace(self, rows=self.rows[chosen], labels=self.labels[chosen])

    def to(self, device: torch.device) -> "Split":
        """The split on a device; on an accelerator only its own images travel."""
        if device.type == self.images.device.type:
            return self
        images = self.images[self.rows].to(device)
        return Split(images, torch.arange(len(self), device=device), self.labels.to(device))


@dataclass(frozen=True)
class Task:
    """One task of a stream: its training and validation data and how its images become inputs."""

    index: int
    classes: tuple[str, ...]
    """Names of the classes, in the order of the labels."""
    head: slice
    """Outputs of the target that belong to this task."""
    train: Split
    validation: Split
    inputs: Callable[[Tensor], Tensor]
    """Images of a split (n, ...) -> float32 inputs (n, *input_shape), on the images' device."""
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
    """uint8 images -> uint8 images, for training batches; randomness from the generator alone."""

    def to(self, device: torch.device) -> "Task":
        """The task with its data on a device."""
        return replace(self, train=self.train.to(device), validation=self.validation.to(device))


@dataclass(frozen=True)
class Shape:
    """What is known of a stream before any data is read."""

    input_shape: tuple[int, ...]
    """Of one input: (channels, height, width)."""
    classes: tuple[int, ...]
    """Number of classes of each task, which is the width of its head."""
    scenario: str = "task"
    """`task` and `class`: each task has a head of its own; `domain`: all share the outputs."""
    heads_shared: bool = False
    """With `task`: all tasks share the outputs."""

    @property
    def num_tasks(self) -> int:
        """Tasks of the stream."""
        return len(self.classes)

    @property
    def num_outputs(self) -> int:
        """Outputs of the target: all heads together."""
        return max(head.stop for head in self.heads)

    @property
    def heads(self) -> tuple[slice, ...]:
        """Outputs of the target that belong to each task: one head after the other, or the same for all.

        Where all share them, a task of fewer classes than another has the first ones.
        """
        if self.scenario == "domain" or self.heads_shared:
            return tuple(slice(0, width) for width in self.classes)
        ends = accumulate(self.classes)
        return tuple(slice(end - width, end) for end, width in zip(ends, self.classes, strict=True))


class TaskStream(ABC):
    """Tasks in their order. While tuning this is all there is: it has no test data."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """What is known before any data is read."""

    @abstractmethod
    def task(self, index: int) -> Task:
        """The task at a place in the stream, its data on the CPU.

        Raises:
            IndexError: the stream is shorter.
        """

    def test(self, index: int) -> Split:
        """The test data of a task.

        Raises:
            NoTestData: always, unless the stream was opened for a final report (`open_with_test`).
        """
        raise NoTestData(f"this stream has no test data for task {index}: it was opened for training and tuning only")
