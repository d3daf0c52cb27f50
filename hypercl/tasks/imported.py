"""A user's own stream: a callable by import path that returns one data set per task, checked before use."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypercl.config import UserError
from hypercl.config.models import ImportedStream, is_list
from hypercl.seeds import derive
from hypercl.tasks.inputs import AsTheyAre, Scaled
from hypercl.tasks.split_stream import ClassGroup, SplitStream, rows_of
from hypercl.tasks.stream import Shape, Source, Split
from hypercl.tensors import numbers, random_state_kept
from hypercl.user_code import user_code

_SHOWN = 10
_NO_MORE = object()


def open_imported(config: ImportedStream, data_dir: Path, import_paths: Sequence[Path], with_test: bool) -> SplitStream:
    """Calls `make(root, train=True, **kwargs)`, and with `train=False` only if test data is requested.

    It returns one item per task, as a sequence or, without `num_tasks`, as any iterable: a pair (images, labels) of
    tensors or arrays, or a map-style data set of (tensor, integer) items. Images are uint8, scaled to 0 .. 1, or
    floats, not scaled. The classes of a task are its sorted distinct training labels.

    Each call, and the reading of each task, begins at a fixed seed of torch, NumPy and `random`, the same for training
    and test data. Test data that repeats training data is warned of.

    Raises:
        UserError: the callable is not found or fails; its result contradicts `tasks`; or, if test data is requested, a
            second call returns other data.
    """
    train = _Tasks(config, data_dir, import_paths, train=True)
    test = _Tasks(config, data_dir, import_paths, train=False) if with_test else None
    if config.num_tasks is None:
        return GrowingStream(config, train, test)
    groups = [_group(train, test, task) for task in range(config.num_tasks)]
    if test is not None:
        _require_repeatable(train, _Tasks(config, data_dir, import_paths, train=True))
    _require_alike(config, groups)
    return SplitStream(config, groups, _inputs(groups[0]))


class GrowingStream(SplitStream):
    """A stream of unknown length: each task, and its test data, is read on request."""

    def __init__(self, config: ImportedStream, train: "_Tasks", test: "_Tasks | None") -> None:
        first = _group(train, None, 0)
        super().__init__(config, [first], _inputs(first))
        self._train_tasks, self._test_tasks = train, test

    @property
    def shape(self) -> Shape:
        """Of the tasks read so far."""
        first = super().shape
        return replace(first, classes=first.classes * len(self._groups))

    def test(self, index: int) -> Split:
        group = self._group(index)
        if self._test_tasks is None:
            return super().test(index)
        return rows_of(_test_source(*self._test_tasks[index], group.train), group.classes)

    def _group(self, index: int) -> ClassGroup:
        while index == len(self._groups):
            try:
                self._groups += (_group(self._train_tasks, None, index),)
            except IndexError:
                break
            _require_alike(self._train_tasks.config, self._groups)
        return super()._group(index)


def _group(train: "_Tasks", test: "_Tasks | None", task: int) -> ClassGroup:
    source = _train_source(*train[task])
    test_source = None if test is None else _test_source(*test[task], source)
    return ClassGroup(source, test_source, tuple(range(len(source.classes))))


def _require_repeatable(first: "_Tasks", second: "_Tasks") -> None:
    """Compares the first task of two calls, which differs where random numbers have no seed."""
    (_, *before), (_, *after) = first[0], second[0]
    if not all(map(torch.equal, before, after)):
        raise _wrong(
            first.config,
            "two calls with train=True returned different data, so training and test data may differ too\n"
            "    fix:     give each random generator a fixed seed; torch, NumPy and random themselves are seeded",
        )


def _require_alike(config: ImportedStream, groups: Sequence[ClassGroup]) -> None:
    if len({group.train.images.dtype for group in groups}) > 1:
        raise _wrong(config, "the images of some tasks are uint8 and those of others floats: use one type")


def _inputs(group: ClassGroup) -> Scaled | AsTheyAre:
    return Scaled(255) if group.train.images.dtype == torch.uint8 else AsTheyAre()


@dataclass(frozen=True)
class _Half:
    """Training or test data of one task, as the user's callable returned it."""

    config: ImportedStream
    task: int
    train: bool
    item: Any

    def arrays(self) -> tuple[Tensor, Tensor]:
        """Images (n, *input_shape), uint8 or float32, and labels (n,), int64."""
        images, labels = self._pair()
        if images.shape[1:] != self.config.input_shape:
            shape, expected = list(images.shape[1:]), list(self.config.input_shape)
            raise self.wrong(f"images of shape {shape}; tasks.input_shape is {expected}")
        if labels.shape != images.shape[:1]:
            raise self.wrong(f"{len(images)} images and labels of shape {list(labels.shape)}")
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise self.wrong(f"labels are {labels.dtype}, not integers")
        if images.is_floating_point():
            images = images.to(torch.float32)
            if not images.isfinite().all():
                raise self.wrong(f"{int((~images.isfinite()).sum()):,} values of images are NaN or infinite")
        elif images.dtype != torch.uint8:
            raise self.wrong(f"images are {images.dtype}, not uint8 (scaled by 1/255) or floats (not scaled)")
        return images, labels.to(torch.int64)

    def wrong(self, what: str) -> UserError:
        return _wrong(self.config, f"task {self.task + 1}, {'training' if self.train else 'test'} data: {what}")

    def _pair(self) -> tuple[Tensor, Tensor]:
        item = self.item
        if is_list(item) and len(item) == 2:
            return self._tensor(item[0]), self._tensor(item[1])
        if not hasattr(item, "__len__") or not hasattr(item, "__getitem__") or isinstance(item, Tensor | np.ndarray):
            raise self.wrong(f"a {type(item).__name__}, not a pair (images, labels) or a data set with a length")
        pairs = [self._sample(number) for number in range(len(item))]
        shapes = sorted({tuple(image.shape) for image, _ in pairs})
        if len(shapes) != 1:
            names = ", ".join(str(list(shape)) for shape in shapes[:_SHOWN])
            raise self.wrong(f"images of several shapes: {names}" if shapes else "no images")
        return torch.stack([image for image, _ in pairs]), torch.tensor([label for _, label in pairs])

    def _sample(self, number: int) -> tuple[Tensor, int]:
        """One item of a map-style data set."""
        sample = self.item[number]
        if not is_list(sample) or len(sample) != 2:
            raise self.wrong(f"item {number} is a {type(sample).__name__}, not a pair (tensor, label)")
        image, label = sample
        if not isinstance(image, Tensor | np.ndarray):
            kind = type(image).__name__
            raise self.wrong(f"item {number} contains a {kind}, not a tensor: use a transform")
        try:
            return torch.as_tensor(image), index(label)
        except TypeError:
            raise self.wrong(f"item {number} has the label {label!r}, not an integer") from None

    def _tensor(self, value: Any) -> Tensor:
        if isinstance(value, Tensor):
            return value.detach().cpu()
        try:
            return torch.as_tensor(np.array(value))
        except (TypeError, ValueError) as error:
            raise self.wrong(f"a {type(value).__name__} is not an array of numbers: {error}") from error


class _Tasks:
    """The callable's result for one half, read task by task while the user's code can still import."""

    def __init__(self, config: ImportedStream, data_dir: Path, import_paths: Sequence[Path], train: bool) -> None:
        self.config, self._train, self._import_paths = config, train, import_paths
        with user_code("tasks.path", config.path, import_paths) as make, random_state_kept(derive("stream")):
            result, count = make(data_dir, train=train, **config.kwargs), config.num_tasks
            kind = type(result).__name__
            if count is None:
                if not hasattr(result, "__iter__"):
                    raise _wrong(config, f"it returned a {kind}, not one data set per task")
                self._items: Iterator[Any] = iter(result)
            else:
                if not hasattr(result, "__len__") or not hasattr(result, "__getitem__"):
                    raise _wrong(config, f"it returned a {kind}, not a list with one data set per task")
                if len(result) != count:
                    half = f"with train={train} it returned {len(result)} tasks"
                    raise _wrong(config, f"{half}; tasks.num_tasks is {count}")
                self._items = map(result.__getitem__, range(count))
        self._read: list[tuple[_Half, Tensor, Tensor]] = []

    def __getitem__(self, task: int) -> "tuple[_Half, Tensor, Tensor]":
        """The half of a task, with its images and labels; an IndexError if there are fewer tasks."""
        while task >= len(self._read):
            seed = derive("stream", len(self._read))
            with user_code("tasks.path", self.config.path, self._import_paths), random_state_kept(seed):
                item = next(self._items, _NO_MORE)
                if item is not _NO_MORE:
                    half = _Half(self.config, len(self._read), self._train, item)
                    self._read.append((half, *half.arrays()))
            if item is _NO_MORE:
                raise IndexError(f"the stream has {len(self._read)} tasks")
        return self._read[task]


def _train_source(half: _Half, images: Tensor, labels: Tensor) -> Source:
    classes = sorted(set(numbers(labels)))
    expected = half.config.classes_per_task
    if not isinstance(expected, int):
        expected = expected[half.task]
    if len(classes) != expected:
        raise half.wrong(f"{len(classes)} classes ({_listed(classes)}); tasks.classes_per_task says {expected}")
    return Source(images, torch.searchsorted(torch.tensor(classes), labels), tuple(map(str, classes)))


def _test_source(half: _Half, images: Tensor, labels: Tensor, train: Source) -> Source:
    classes = [int(name) for name in train.classes]
    unknown = sorted(set(numbers(labels)) - set(classes))
    if unknown:
        raise half.wrong(f"labels {_listed(unknown)}; the training data of the task has {_listed(classes)}")
    if len(labels) == 0:
        raise half.wrong("no images")
    if images.dtype != train.images.dtype:
        raise half.wrong(f"images are {images.dtype}, but those of the training data {train.images.dtype}")
    known = {image.tobytes() for image in train.images.numpy()}
    repeated = sum(image.tobytes() in known for image in images.numpy())
    if 2 * repeated >= len(images):
        warnings.warn(
            f"{half.wrong(f'{repeated:,} of {len(images):,} images are training images too')}: their accuracy is that "
            "of training (random numbers of torch, NumPy and random are the same for both)",
            UserWarning,
            stacklevel=2,
        )
    return Source(images, torch.searchsorted(torch.tensor(classes), labels), train.classes)


def _listed(labels: Sequence[int]) -> str:
    shown = ", ".join(map(str, labels[:_SHOWN]))
    return f"{shown}, ..." if len(labels) > _SHOWN else shown


def _wrong(config: ImportedStream, what: str) -> UserError:
    return UserError(f"tasks.path: {config.path}: {what}")
