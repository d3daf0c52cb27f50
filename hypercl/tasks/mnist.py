"""MNIST and Fashion-MNIST: the same kind of files, in tasks of some classes or with their pixels permuted."""

from dataclasses import dataclass

import torch

from hypercl.config import UserError
from hypercl.config.models.tasks import PermutedTasks, SplitTasks
from hypercl.tasks.download import DataSet, require
from hypercl.tasks.idx import find_idx, read_idx
from hypercl.tasks.inputs import Scaled
from hypercl.tasks.permuted_stream import PermutedStream
from hypercl.tasks.source import DataFolder, Source
from hypercl.tasks.split_stream import SplitStream, class_groups
from hypercl.tasks.stream import TaskStream

TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Variant:
    """MNIST, or a data set in its form."""

    files: DataSet
    classes: tuple[str, ...]
    """Names of the classes, in the order of the labels."""


def _variant(name: str, classes: tuple[str, ...]) -> Variant:
    layout = f"{', '.join((*TRAIN, *TEST))}, plain or packed (.gz), as torchvision.datasets.{name} lays them out"
    return Variant(DataSet(name, f"{name}/raw", (*TRAIN, *TEST), layout, forms=("", ".gz")), classes)


MNIST = _variant("MNIST", tuple(str(digit) for digit in range(10)))
FASHION_MNIST = _variant(
    "FashionMNIST",
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def open_split_idx(config: SplitTasks, variant: Variant, folder: DataFolder, with_test: bool) -> TaskStream:
    """Tasks of some classes each."""
    return SplitStream(config, class_groups(config, *_load(variant, folder, with_test)), Scaled(255))


def open_permuted_idx(config: PermutedTasks, variant: Variant, folder: DataFolder, with_test: bool) -> TaskStream:
    """All ten classes in each task; the first task keeps the order of the pixels."""
    return PermutedStream(config, *_load(variant, folder, with_test))


def _load(variant: Variant, folder: DataFolder, with_test: bool) -> tuple[Source, Source | None]:
    require(variant.files, folder, (*TRAIN, *TEST) if with_test else TRAIN)
    return _half(variant, folder, TRAIN), _half(variant, folder, TEST) if with_test else None


def _half(variant: Variant, folder: DataFolder, names: tuple[str, str]) -> Source:
    images_file, labels_file = (find_idx(folder.path / variant.files.folder, name) for name in names)
    images = torch.from_numpy(read_idx(images_file, 3)).unsqueeze(1)
    labels = torch.from_numpy(read_idx(labels_file, 1)).to(torch.int64)
    if images.shape[2:] != (28, 28):
        found = tuple(images.shape[2:])
        raise UserError(f"{images_file} is not {variant.files.name}: its images are {found}, not (28, 28)")
    if len(images) != len(labels):
        raise UserError(f"{images_file} holds {len(images):,} images and {labels_file} {len(labels):,} labels")
    if len(labels) and labels.max() > 9:
        raise UserError(f"{labels_file} is broken: it holds the label {int(labels.max())}, and classes are 0 .. 9")
    return Source(images, labels, variant.classes)
