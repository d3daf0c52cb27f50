"""Streams whose tasks are one data set with its pixels in different orders."""

from functools import cached_property

import torch

from hypercl.config.models.tasks import PermutedTasks
from hypercl.seeds import derive
from hypercl.tasks.inputs import Permuted
from hypercl.tasks.shape import shape_of
from hypercl.tasks.source import Source
from hypercl.tasks.stream import Shape, Split, Task, TaskStream
from hypercl.tasks.validation import hold_out


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
