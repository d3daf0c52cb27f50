"""What a method may read while it trains, and what is refused."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any
from unittest.mock import patch

import torch
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


def leaves(tree: Any, name: str = "state") -> Iterator[tuple[str, Any]]:
    """What the dicts hold, each under its name as one would write it: `state['theta']['head']`."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{name}[{key!r}]")
    else:
        yield name, tree


def strangers(state: Any) -> str:
    """What is no tensor, in words; '' where there is nothing else."""
    found = [f"{name} is a {type(value).__name__}" for name, value in leaves(state) if not isinstance(value, Tensor)]
    found += [] if isinstance(state, dict) else [f"the state is a {type(state).__name__}, not a dict"]
    return "; ".join(found)


def copied(tree: Any) -> Any:
    """A copy that steps, which work in place, leave alone."""
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    return tree.clone() if isinstance(tree, Tensor) else deepcopy(tree)


def doubled(tree: Any) -> Any:
    """All numbers in float64."""
    if isinstance(tree, dict):
        return {key: doubled(value) for key, value in tree.items()}
    return tree.double() if isinstance(tree, Tensor) and tree.is_floating_point() else tree


def of_replica(tree: Any, index: int) -> Any:
    """A replica's part of a bundle's state; a scalar is everyone's, such as the count of steps."""
    if isinstance(tree, dict):
        return {key: of_replica(value, index) for key, value in tree.items()}
    return tree[index] if tree.dim() else tree


def part_like(tree: Any, part: Any) -> Any:
    """What a tree has under the keys of a part of it; where it lacks one, nothing."""
    if isinstance(tree, dict) and isinstance(part, dict):
        return {key: part_like(tree[key], part[key]) for key in part if key in tree}
    return tree


def difference(left: Any, right: Any, tolerance: float = 0.0, name: str = "state") -> str:
    """The first place where two differ, in words; '' where they are equal, bit for bit without a tolerance."""
    if isinstance(left, dict) and isinstance(right, dict):
        if left.keys() != right.keys():
            return f"{name} has the keys {sorted(left)} and {sorted(right)}"
        found = (difference(left[key], right[key], tolerance, f"{name}[{key!r}]") for key in left)
        return next((each for each in found if each), "")
    if not isinstance(left, Tensor) or not isinstance(right, Tensor):
        return "" if type(left) is type(right) and left == right else f"{name}: {left!r} and {right!r}"
    if left.shape != right.shape or left.dtype != right.dtype:
        return f"{name}: {left.dtype} {list(left.shape)} and {right.dtype} {list(right.shape)}"
    if torch.equal(left, right) or (tolerance and torch.allclose(left, right, rtol=tolerance, atol=tolerance)):
        return ""
    largest = (left.double() - right.double()).abs().max()
    return f"{name} differs by up to {float(largest):.3g}"
