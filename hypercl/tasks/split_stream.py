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
        share: part of each class to hold out; at least one sample a class is, and at least one stays.
        seed: the same seed gives the same split; take it from the settings of the stream, not from a run's seed.

    Returns:
        Places of the samples that stay and of those held out, each in rising order.

    Raises:
        UserError: a class has fewer than two samples.
    """
    held = torch.zeros(len(labels), dtype=torch.bool)
    random = torch.Generator().manual_seed(seed)
    for label, name in enumerate(classes):
        places = (labels == label).nonzero().flatten()
        if len(places) < 2:
            raise UserError(
                f"tasks: class '{name}' has {len(places)} training samples, and a validation split needs two a class\n"
                "    fix: give it more, or leave the class out"
            )
        count = min(max(1, round(share * len(places))), len(places) - 1)
        held[places[torch.randperm(len(places), generator=random)[:count]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


@dataclass(frozen=True)
class ClassGroup:
    """The classes of one task, and the data they are taken from."""

    train: Source
    test: Source | None
    """None where the stream is opened for training and tuning."""
    classes: tuple[int, ...]
    """Classes of the sources, in the order of the task's labels."""


class SplitStream(TaskStream):
    """Each task tells the classes of one group apart."""

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
        everything = rows_of(group.train, group.classes)
        seed = derive(self._config.split_seed, "validation", index)
        classes = tuple(group.train.classes[label] for label in group.classes)
        kept, held = hold_out(everything.labels, classes, self._config.validation, seed)
        return Task(
            index=index,
            classes=classes,
            head=self.shape.heads[index],
            train=Split(everything.images, everything.rows[kept], everything.labels[kept]),
            validation=Split(everything.images, everything.rows[held], everything.labels[held]),
            inputs=self._inputs,
            augment=self._augment,
        )

    def test(self, index: int) -> Split:
        group = self._group(index)
        if group.test is None:
            return super().test(index)
        return rows_of(group.test, group.classes)

    def _group(self, index: int) -> ClassGroup:
        if not 0 <= index < len(self._groups):
            raise IndexError(f"the stream has the tasks 0 .. {len(self._groups) - 1}, not {index}")
        return self._groups[index]


def class_groups(config: SplitTasks, train: Source, test: Source | None) -> list[ClassGroup]:
    """The classes of a data set dealt to the tasks in their order."""
    order = class_order(len(train.classes), config.order_seed)
    ends = accumulate(config.classes)
    return [ClassGroup(train, test, order[end - count : end]) for end, count in zip(ends, config.classes, strict=True)]


def class_order(classes: int, seed: int | None, *purpose: str) -> tuple[int, ...]:
    """The classes of a data set in the order of a seed, or in their own where there is none."""
    if seed is None:
        return tuple(range(classes))
    return tuple(numbers(torch.randperm(classes, generator=generator(seed, "class order", *purpose))))


def rows_of(source: Source, classes: Sequence[int]) -> Split:
    """The samples of some classes; a label is the place of its class in `classes`."""
    place = torch.full((len(source.classes),), -1)
    place[list(classes)] = torch.arange(len(classes))
    labels = place[source.labels]
    rows = (labels >= 0).nonzero().flatten()
    return Split(source.images, rows, labels[rows])


class PermutedStream(TaskStream):
    """Tasks that differ in nothing but the order of their pixels: all share one array and one validation split."""

    def __init__(self, config: PermutedTasks, train: Source, test: Source | None) -> None:
        self._config = config
        self._train = train
        self._test = test

    @property
    def shape(self) -> Shape:
        return shape_of(self._config)

    def task(self, index: int) -> Task:
        self._check(index)
        train, validation = self._splits
        return Task(
            index=index,
            classes=self._train.classes,
            head=self.shape.heads[index],
            train=train,
            validation=validation,
            inputs=Permuted(index, self._config.padding, self._config.order_seed),
        )

    def test(self, index: int) -> Split:
        self._check(index)
        if self._test is None:
            return super().test(index)
        return Split(self._test.images, torch.arange(len(self._test.labels)), self._test.labels)

    @cached_property
    def _splits(self) -> tuple[Split, Split]:
        labels, seed = self._train.labels, derive(self._config.split_seed, "validation")
        kept, held = hold_out(labels, self._train.classes, self._config.validation, seed)
        return Split(self._train.images, kept, labels[kept]), Split(self._train.images, held, labels[held])

    def _check(self, index: int) -> None:
        if not 0 <= index < self._config.num_tasks:
            raise IndexError(f"the stream has the tasks 0 .. {self._config.num_tasks - 1}, not {index}")
