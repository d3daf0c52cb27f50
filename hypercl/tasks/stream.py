"""A stream of tasks: what a learner meets, one after the other."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from hypercl.config.models import (
    ClassTasks,
    ImageFolder,
    ImportedStream,
    PermutedTasks,
    SplitCIFAR,
    SplitCIFAR10,
    SplitCIFAR100,
    SplitDigits,
    SplitFashionMNIST,
    SplitMNIST,
    Stream,
)


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


@dataclass(frozen=True)
class Source:
    """One half (training or test) of a data set."""

    images: Tensor
    """uint8, (n, channels, height, width)."""
    labels: Tensor
    """int64, (n,): class within the data set."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the labels."""


@dataclass(frozen=True)
class DataFolder:
    """Where data sets lie, and whether what is missing may be fetched."""

    path: Path
    download: bool = False
    """The file says `download: true`."""
    offline: bool = False
    """The network is not to be touched: `--offline` or HYPERCL_OFFLINE."""


def shape_of(config: Stream) -> Shape:
    """Shape of a stream's inputs and outputs; no data is read.

    A task's head is as wide as the task has classes: `shape.heads`. For a stream of unknown length it is the
    shape with a single task; `TaskStream.shape` knows those that have come.

    Args:
        config: the section `tasks` of an experiment.
    """
    return Shape(_input_shape(config), _classes(config), config.scenario, config.heads == "shared")


def _classes(config: Stream) -> tuple[int, ...]:
    match config:
        case ClassTasks():
            return config.classes
        case PermutedTasks() | SplitCIFAR():
            return (10,) * config.num_tasks
        case _:
            raise _unknown(config)


def _input_shape(config: Stream) -> tuple[int, ...]:
    match config:
        case SplitDigits():
            return 1, 8, 8
        case SplitMNIST() | SplitFashionMNIST():
            return 1, 28, 28
        case PermutedTasks(padding=padding):
            return 1, 28 + 2 * padding, 28 + 2 * padding
        case SplitCIFAR() | SplitCIFAR10() | SplitCIFAR100():
            return 3, 32, 32
        case ImageFolder(size=size, mode=mode):
            return (3 if mode == "rgb" else 1), size, size
        case ImportedStream(input_shape=shape):
            return shape
        case _:
            raise _unknown(config)


def _unknown(config: Stream) -> TypeError:
    return TypeError(f"no stream is known for the settings {type(config).__name__}")
