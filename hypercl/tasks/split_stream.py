"""Streams whose tasks are groups of classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hypercl.config.tasks import Stream
from hypercl.seeds import derive
from hypercl.tasks.shape import head_of, shape_of
from hypercl.tasks.source import Source
from hypercl.tasks.stream import Shape, Split, Task, TaskStream
from hypercl.tasks.validation import hold_out


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
            head=head_of(index, self.shape),
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


def rows_of(source: Source, classes: Sequence[int]) -> Split:
    """The samples of some classes; a label is the place of its class in `classes`."""
    place = torch.full((len(source.classes),), -1)
    place[list(classes)] = torch.arange(len(classes))
    labels = place[source.labels]
    rows = (labels >= 0).nonzero().flatten()
    return Split(source.images, rows, labels[rows])
