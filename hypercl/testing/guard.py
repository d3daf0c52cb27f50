"""What a method may read while it trains, and what is refused."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from torch import Tensor

from hypercl.methods import Batch, TaskData

_ALLOWED = "while training, a method reads the batches of its steps and the TaskData of end_task, nothing else"


class ReadTooMuch(AssertionError):
    """A method read what it is not given."""


@contextmanager
def nothing_else_is_opened() -> Iterator[None]:
    """While it lasts no stream can be opened, with test data or without.

    Raises:
        ReadTooMuch: one was asked for, even if that was caught on the way.
    """
    asked: list[ReadTooMuch] = []

    def refuse(*_: Any, with_test: bool) -> None:
        what = "with its test data (open_with_test)" if with_test else "itself (open_stream)"
        asked.append(ReadTooMuch(f"the method opened the stream {what}: {_ALLOWED}"))
        raise asked[0]

    with patch("hypercl.tasks.open_stream._open", refuse):
        yield
    if asked:
        raise asked[0]


def require_met(tasks: Sequence[int], task: int) -> None:
    """Refuses batches of tasks to come.

    Raises:
        ReadTooMuch: `trains_on` names one.
    """
    ahead = [each for each in tasks if not 0 <= each <= task]
    if ahead:
        raise ReadTooMuch(f"trains_on({task}) names {ahead}: only tasks met so far, 0 to {task}, have batches")


class OwnData:
    """A task's training data as `end_task` gets it, and only until that returns."""

    def __init__(self, data: TaskData, task: int) -> None:
        self.__inner: TaskData | None = data
        self.__task = task

    def close(self) -> None:
        """From now on it cannot be read."""
        self.__inner = None

    def __len__(self) -> int:
        return len(self._open())

    def __getitem__(self, samples: Tensor) -> Batch:
        return self._open()[samples]

    def __getattr__(self, name: str) -> Any:
        raise ReadTooMuch(f"end_task read data.{name}: TaskData has a length and samples by their places; {_ALLOWED}")

    def _open(self) -> TaskData:
        if self.__inner is None:
            raise ReadTooMuch(
                f"the training data of task {self.__task} was read after its end_task: what is kept of it belongs into "
                "the state, as tensors"
            )
        return self.__inner
