"""A stream of tasks, which a learner trains on one after another."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from hypercl.config.models import (
    ClassTasks,
    CopyTasks,
    GaussianBumps,
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
    TorchvisionSplit,
    ToyRegression,
)


class NoTestData(RuntimeError):
    """Test data was requested from a stream without any: while tuning, nothing reads a test set."""


BYTES_SHARED = 2**28
"""Images of up to so many bytes (MNIST, CIFAR) go to a device as a whole: a hundred permutations have one copy."""
_THERE: Any = WeakIdKeyDictionary()
"""Copies on devices, for as long as the images are there."""


@dataclass(frozen=True)
class Split:
    """Labelled images. Several splits may share one array of images and differ in rows."""

    images: Tensor
    """uint8, (n, channels, height, width); may be memory-mapped and shared by processes. A user's own stream may have
    float32 and other shapes."""
    rows: Tensor
    """int64, (samples,): which images belong to this split."""
    labels: Tensor
    """int64, (samples,): class within the task, 0 .. classes - 1; (samples, steps) where the last steps of an
    input have classes. Of a regression the numbers to predict: float32, (samples, outputs of the task)."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels of samples, by their index in the split."""
        return self.images[self.rows[samples]], self.labels[samples]

    def first(self, samples: int, seed: int) -> "Split":
        """A fixed random subset of at most `samples` samples."""
        if len(self) <= samples:
            return self
        subset = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))[:samples].sort().values
        subset = subset.to(self.rows.device)
        return replace(self, rows=self.rows[subset], labels=self.labels[subset])

    def to(self, device: torch.device) -> "Split":
        """The split on a device: all images that splits share once, unless they are too many; else its own images."""
        if device.type == self.images.device.type:
            return self
        if self.images.nbytes <= BYTES_SHARED:
            if self.images not in _THERE:
                _THERE[self.images] = dict[torch.device, Tensor]()
            there: dict[torch.device, Tensor] = _THERE[self.images]
            if device not in there:
                there[device] = self.images.to(device)
            return Split(there[device], self.rows.to(device), self.labels.to(device))
        images = self.images[self.rows].to(device)
        return Split(images, torch.arange(len(self), device=device), self.labels.to(device))


@dataclass(frozen=True)
class Task:
    """One task of a stream: its training and validation data, and the transforms of its images."""

    index: int
    classes: tuple[str, ...]
    """Names of the classes, in the order of the labels; of a regression those of the task's outputs."""
    head: slice
    """Outputs of the target that belong to this task."""
    train: Split
    validation: Split
    inputs: Callable[[Tensor], Tensor]
    """Images of a split (n, ...) -> float32 inputs (n, *input_shape), on the images' device."""
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
    """uint8 images -> uint8 images, for training batches; random only by the generator."""

    def to(self, device: torch.device) -> "Task":
        return replace(self, train=self.train.to(device), validation=self.validation.to(device))


@dataclass(frozen=True)
class Shape:
    """What is known of a stream before any data is read."""

    input_shape: tuple[int, ...]
    """Of one input: (channels, height, width)."""
    classes: tuple[int, ...]
    """Number of classes of each task, which is the width of its head; of a regression its outputs."""
    scenario: str = "task"
    """`task` and `class`: per-task heads; `domain`: all tasks share the outputs."""
    heads_shared: bool = False
    """With `task`: all tasks share the outputs."""

    steps: int = 0
    """Last steps of a sequence that have a class each; 0 where an input as a whole has one, or numbers."""
    regression: bool = False
    """Whether the outputs are numbers to predict, and not classes."""

    def labelled(self, outputs: Tensor) -> Tensor:
        """The outputs of the steps that have classes: (..., all steps, outputs) -> (..., steps, outputs)."""
        return outputs[..., -self.steps :, :] if self.steps else outputs

    @property
    def num_tasks(self) -> int:
        return len(self.classes)

    @property
    def num_outputs(self) -> int:
        """Outputs of the target: all heads together."""
        return max(head.stop for head in self.heads)

    @property
    def heads(self) -> tuple[slice, ...]:
        """Outputs of each task: consecutive, or, if shared, the first ones, as many as the task has classes."""
        if self.scenario == "domain" or self.heads_shared:
            return tuple(slice(0, width) for width in self.classes)
        ends = accumulate(self.classes)
        return tuple(slice(end - width, end) for end, width in zip(ends, self.classes, strict=True))


class TaskStream(ABC):
    """Tasks in order; without test data while tuning."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """What is known before any data is read."""

    @abstractmethod
    def task(self, index: int) -> Task:
        """A task of the stream, its data on the CPU; raises an IndexError beyond the end of the stream."""

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
    """The folder of the data sets, and whether missing ones may be downloaded."""

    path: Path
    download: bool = False
    """The file says `download: true`."""
    offline: bool = False
    """No network access: `--offline` or HYPERCL_OFFLINE."""


def shape_of(config: Stream) -> Shape:
    """The shape of a section `tasks`; no data is read.

    For a stream of unknown length it has a single task; `TaskStream.shape` covers all tasks read so far.
    """
    steps = config.length if isinstance(config, CopyTasks) else 0
    shared = config.heads == "shared"
    return Shape(_input_shape(config), _classes(config), config.scenario, shared, steps, config.regression)


def _classes(config: Stream) -> tuple[int, ...]:
    match config:
        case ClassTasks():
            return config.classes
        case PermutedTasks() | SplitCIFAR():
            return (10,) * config.num_tasks
        case ToyRegression() | GaussianBumps():
            return (1,) * config.num_tasks
        case CopyTasks():
            return (config.symbols,) * config.num_tasks
        case _:
            raise TypeError(f"unknown stream {type(config).__name__}")


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
        case ToyRegression():
            return (1,)
        case GaussianBumps():
            return (2,)
        case CopyTasks(symbols=symbols, length=length):
            return 2 * length + 1, symbols + 1
        case ImageFolder(size=size, mode=mode) | TorchvisionSplit(size=size, mode=mode):
            return (3 if mode == "rgb" else 1), size, size
        case ImportedStream(input_shape=shape):
            return shape
        case _:
            raise TypeError(f"unknown stream {type(config).__name__}")
