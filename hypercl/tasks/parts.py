"""Streams made of another: a part of it, or one that is judged by its test data."""

from dataclasses import replace

from hypercl.tasks.stream import Shape, Split, Task, TaskStream


class PartOfStream(TaskStream):
    """The tasks of a stream from one of them on. What a task holds does not depend on whether others are left out."""

    def __init__(self, whole: TaskStream, skip: int) -> None:
        self._whole, self._skip = whole, skip

    @property
    def shape(self) -> Shape:
        return replace(self._whole.shape, classes=self._whole.shape.classes[self._skip :])

    def task(self, index: int) -> Task:
        found = self._whole.task(self._place(index))
        return replace(found, index=index, head=self.shape.heads[index])

    def test(self, index: int) -> Split:
        return self._whole.test(self._place(index))

    def _place(self, index: int) -> int:
        if index < 0:
            raise IndexError(f"the stream has no task {index}")
        return self._skip + index


class LeakingStream(TaskStream):
    """A stream whose validation data is its test data: what tuning on the test set would see."""

    def __init__(self, whole: TaskStream) -> None:
        self._whole = whole

    @property
    def shape(self) -> Shape:
        return self._whole.shape

    def task(self, index: int) -> Task:
        return replace(self._whole.task(index), validation=self._whole.test(index))
