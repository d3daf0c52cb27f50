"""Streams whose tasks are groups of classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from hypercl.config import UserError
from hypercl.config.models import PermutedTasks, SplitTasks, Stream
from hypercl.seeds import derive, generator
from hypercl.tasks.inputs import Permuted
from hypercl.tasks.stream import Shape, Source, Split, Task, TaskStream, shape_of
from hypercl.tensors import numbers


def hold_out(labels: Tensor, classes: Sequence[str], share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Splits samples at random within each class.

    Args:
        labels: int64, (samples,): 0 .. len(classes) - 1.
        classes: names of the classes.
        share: part of each class to hold out; at least one sample of each class is held out, and at least one is kept.
        seed: of the split; it belongs to the stream, not to a run.

    Returns:
        Indices of the samples that are kept and of those held out, each ascending.

    Raises:
        UserError: a class has fewer than two samples.
    """
    held = torch.zeros(len(labels), dtype=torch.bool)
    random = torch.Generator().manual_seed(seed)
    for label, name in enumerate(classes):
        samples = (labels == label).nonzero().flatten()
        if len(samples) < 2:
            raise UserError(
                f"tasks: class '{name}' has {len(samples)} training samples; a validation split needs two per class\n"
                "    fix: add some, or remove the class"
            )
        count = min(max(1, round(share * len(samples))), len(samples) - 1)
        held[samples[torch.randperm(len(samples), generator=random)[:count]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


@dataclass(frozen=True)
class ClassGroup:
    """The classes of one task, and their data."""

    train: Source
    test: Source | None
    """None if the stream was opened for training and tuning."""
    classes: tuple[int, ...]
    """Classes of the sources, in the order of the task's labels."""


class SplitStream(TaskStream):
    """Each task classifies one group of classes."""

    def __init__(
        self,
        config: Stream,
        groups: Sequence[ClassGroup],
        inputs: Callable[[Tensor], Tensor],
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    ) -> None:
        self._config = config
        self._groups = tuple(groups)
        self._inputs = inputs
        self._augment = augment

    @property
    def shape(self) -> Shape:
        return shape_of(self._config)

    def task(self, index: int) -> Task:
        group = self._group(index)
        split = rows_of(group.train, group.classes)
        seed = derive(self._config.split_seed, "validation", index)
        classes = tuple(group.train.classes[label] for label in group.classes)
        kept, held = hold_out(split.labels, classes, self._config.validation, seed)
        train, validation = (Split(split.images, split.rows[part], split.labels[part]) for part in (kept, held))
        return Task(index, classes, self.shape.heads[index], train, validation, self._inputs, self._augment)

    def test(self, index: int) -> Split:
        group = self._group(index)
        if group.test is None:
            return super().test(index)
        return rows_of(group.test, group.classes)

    def _group(self, index: int) -> ClassGroup:
        _check_index(index, len(self._groups))
        return self._groups[index]


def _check_index(index: int, tasks: int) -> None:
    if not 0 <= index < tasks:
        raise IndexError(f"the stream has the tasks 0 .. {tasks - 1}, not {index}")


def class_groups(config: SplitTasks, train: Source, test: Source | None) -> list[ClassGroup]:
    """The classes of a data set, distributed to the tasks in order."""
    order = class_order(len(train.classes), config.order_seed)
    ends = accumulate(config.classes)
    return [ClassGroup(train, test, order[end - count : end]) for end, count in zip(ends, config.classes, strict=True)]


def class_order(classes: int, seed: int | None, *purpose: str) -> tuple[int, ...]:
    """The classes of a data set in the order of a seed; None keeps their order."""
    if seed is None:
        return tuple(range(classes))
    return tuple(numbers(torch.randperm(classes, generator=generator(seed, "class order", *purpose))))


def rows_of(source: Source, classes: Sequence[int]) -> Split:
    """The samples of some classes; a label is the index of its class in `classes`."""
    label_of = torch.full((len(source.classes),), -1)
    label_of[list(classes)] = torch.arange(len(classes))
    labels = label_of[source.labels]
    rows = (labels >= 0).nonzero().flatten()
    return Split(source.images, rows, labels[rows])


class PermutedStream(TaskStream):
    """Tasks that differ only in the order of their pixels: all share one array and one validation split."""

    def __init__(self, config: PermutedTasks, train: Source, test: Source | None) -> None:
        self._config = config
        self._train = train
        self._test = test

    @property
    def shape(self) -> Shape:
        return shape_of(self._config)

    def task(self, index: int) -> Task:
        _check_index(index, self._config.num_tasks)
        inputs = Permuted(index, self._config.padding, self._config.order_seed)
        return Task(index, self._train.classes, self.shape.heads[index], *self._splits, inputs)

    def test(self, index: int) -> Split:
        _check_index(index, self._config.num_tasks)
        if self._test is None:
            return super().test(index)
        return Split(self._test.images, torch.arange(len(self._test.labels)), self._test.labels)

    @cached_property
    def _splits(self) -> tuple[Split, Split]:
        labels, seed = self._train.labels, derive(self._config.split_seed, "validation")
        kept, held = hold_out(labels, self._train.classes, self._config.validation, seed)
        return Split(self._train.images, kept, labels[kept]), Split(self._train.images, held, labels[held])
