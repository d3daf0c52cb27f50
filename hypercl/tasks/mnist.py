"""MNIST in tasks of two digits, and MNIST with the pixels of each task in another order."""

from functools import cached_property

import torch

from hypercl.config import UserError
from hypercl.config.tasks import PermutedMNIST, SplitMNIST
from hypercl.seeds import derive
from hypercl.tasks.download import DataSet, require
from hypercl.tasks.idx import find_idx, read_idx
from hypercl.tasks.inputs import Permuted, Scaled
from hypercl.tasks.shape import head_of, shape_of
from hypercl.tasks.source import DataFolder, Source
from hypercl.tasks.split_stream import ClassGroup, SplitStream
from hypercl.tasks.stream import Shape, Split, Task, TaskStream
from hypercl.tasks.validation import hold_out

DIGITS = tuple(str(digit) for digit in range(10))
TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
MNIST = DataSet(
    name="MNIST",
    folder="MNIST/raw",
    files=(*TRAIN, *TEST),
    layout=f"{', '.join((*TRAIN, *TEST))}, plain or packed (.gz), as torchvision.datasets.MNIST lays them out",
    forms=("", ".gz"),
)


def open_split_mnist(config: SplitMNIST, folder: DataFolder, with_test: bool) -> TaskStream:
    """Tasks 0/1, 2/3, ..."""
    train, test = _load(folder, with_test)
    groups = [ClassGroup(train, test, (2 * task, 2 * task + 1)) for task in range(config.num_tasks)]
    return SplitStream(config, groups, Scaled(255))


def open_permuted_mnist(config: PermutedMNIST, folder: DataFolder, with_test: bool) -> TaskStream:
    """All ten digits in each task; the first task keeps the order of the pixels."""
    return PermutedStream(config, *_load(folder, with_test))


class PermutedStream(TaskStream):
    """Tasks that differ in nothing but the order of their pixels: all share one array and one validation split."""

    def __init__(self, config: PermutedMNIST, train: Source, test: Source | None) -> None:
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
            head=head_of(index, self.shape),
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


def _load(folder: DataFolder, with_test: bool) -> tuple[Source, Source | None]:
    require(MNIST, folder, (*TRAIN, *TEST) if with_test else TRAIN)
    return _half(folder, TRAIN), _half(folder, TEST) if with_test else None


def _half(folder: DataFolder, names: tuple[str, str]) -> Source:
    images_file, labels_file = (find_idx(folder.path / MNIST.folder, name) for name in names)
    images = torch.from_numpy(read_idx(images_file, 3)).unsqueeze(1)
    labels = torch.from_numpy(read_idx(labels_file, 1)).to(torch.int64)
    if images.shape[2:] != (28, 28):
        raise UserError(f"{images_file} is not MNIST: its images are {tuple(images.shape[2:])}, not (28, 28)")
    if len(images) != len(labels):
        raise UserError(f"{images_file} holds {len(images):,} images and {labels_file} {len(labels):,} labels")
    if len(labels) and labels.max() > 9:
        raise UserError(f"{labels_file} is broken: it holds the label {int(labels.max())}, and digits are 0 .. 9")
    return Source(images, labels, DIGITS)
