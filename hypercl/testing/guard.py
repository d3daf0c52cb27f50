"""Guards what a method reads during training, and compares states."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from hypercl.config.models import is_mapping
from hypercl.methods import Batch, TaskData

_ALLOWED = "during training, a method may only read the batches of its steps and the TaskData of end_task"


class ReadTooMuch(AssertionError):
    """A method read data that it may not read."""


@contextmanager
def no_stream_opened() -> Generator[None]:
    """No stream can be opened while active; raises ReadTooMuch if one was requested, even if the method caught that."""
    requests: list[ReadTooMuch] = []

    def refuse(*_: Any, with_test: bool) -> None:
        what = "with its test data (open_with_test)" if with_test else "itself (open_stream)"
        requests.append(ReadTooMuch(f"the method opened the stream {what}: {_ALLOWED}"))
        raise requests[0]

    with patch("hypercl.tasks.open_stream._open", refuse):
        yield
    if requests:
        raise requests[0]


def require_seen(tasks: Sequence[int], task: int) -> None:
    """Raises ReadTooMuch if `trains_on` names a future task."""
    future = [index for index in tasks if not 0 <= index <= task]
    if future:
        raise ReadTooMuch(f"trains_on({task}) names {future}: only tasks seen so far, 0 to {task}, have batches")


class OwnData:
    """A task's training data as passed to `end_task`, readable only until that returns; in float64 if `exact`."""

    def __init__(self, data: TaskData, task: int, exact: bool) -> None:
        self.__inner: TaskData | None = data
        self.__task, self.__exact = task, exact

    def close(self) -> None:
        """Makes the data unreadable."""
        self.__inner = None

    def __len__(self) -> int:
        return len(self._open())

    def __getitem__(self, samples: Tensor) -> Batch:
        inputs, labels = self._open()[samples]
        return (inputs.double() if self.__exact else inputs), labels

    def __getattr__(self, name: str) -> Any:
        raise ReadTooMuch(f"end_task read data.{name}: TaskData has a length and samples by index only; {_ALLOWED}")

    def _open(self) -> TaskData:
        if self.__inner is None:
            raise ReadTooMuch(
                f"the training data of task {self.__task} was read after its end_task: keep what you need as "
                "tensors in the state"
            )
        return self.__inner


def leaves(tree: Any, name: str = "state") -> Iterator[tuple[str, Any]]:
    """The leaves of nested dicts, each with its path: `state['theta']['head']`."""
    if is_mapping(tree):
        for key, value in tree.items():
            yield from leaves(value, f"{name}[{key!r}]")
    else:
        yield name, tree


def non_tensors(state: Any) -> str:
    """Describes leaves that are not tensors; '' if all are."""
    problems = [f"{name} is a {type(leaf).__name__}" for name, leaf in leaves(state) if not isinstance(leaf, Tensor)]
    problems += [] if isinstance(state, dict) else [f"the state is a {type(state).__name__}, not a dict"]
    return "; ".join(problems)


def is_exact(state: Any) -> bool:
    """Whether any tensor is in float64."""
    return any(isinstance(leaf, Tensor) and leaf.dtype == torch.float64 for _, leaf in leaves(state))


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with a function applied to each leaf."""
    if is_mapping(tree):
        return {key: mapped(function, value) for key, value in tree.items()}
    return function(tree)


def copied(tree: Any) -> Any:
    """A copy that in-place steps do not modify."""
    return mapped(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else deepcopy(leaf), tree)


def doubled(tree: Any) -> Any:
    """The tree in float64."""
    return mapped(lambda leaf: leaf.double() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf, tree)


def of_replica(tree: Any, index: int) -> Any:
    """A replica's part of a bundle's state; scalars, such as step counts, are shared."""
    return mapped(lambda leaf: leaf[index] if leaf.dim() else leaf, tree)


def part_like(tree: Any, part: Any) -> Any:
    """The tree restricted to the keys of a part of it."""
    if is_mapping(tree) and is_mapping(part):
        return {key: part_like(tree[key], part[key]) for key in part if key in tree}
    return tree


def difference(left: Any, right: Any, tolerance: float = 0.0, name: str = "state") -> str:
    """Describes the first difference; '' if equal, bit for bit unless a tolerance is given."""
    if is_mapping(left) and is_mapping(right):
        if left.keys() != right.keys():
            return f"{name} has the keys {sorted(left)} and {sorted(right)}"
        return next(filter(None, (difference(left[k], right[k], tolerance, f"{name}[{k!r}]") for k in left)), "")
    if not isinstance(left, Tensor) or not isinstance(right, Tensor):
        return "" if type(left) is type(right) and left == right else f"{name}: {left!r} and {right!r}"
    if left.shape != right.shape or left.dtype != right.dtype:
        return f"{name}: {left.dtype} {list(left.shape)} and {right.dtype} {list(right.shape)}"
    if torch.equal(left, right) or (tolerance and torch.allclose(left, right, rtol=tolerance, atol=tolerance)):
        return ""
    largest = (left.double() - right.double()).abs().max()
    return f"{name} differs by up to {float(largest):.3g}"
