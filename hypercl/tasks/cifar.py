"""CIFAR-10, then CIFAR-100 ten classes at a time: the stream of von Oswald et al. (2020), section 4."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypercl.config import UserError
from hypercl.config.tasks import SplitCIFAR
from hypercl.tasks.augment import FlipAndCrop
from hypercl.tasks.download import DataSet, require
from hypercl.tasks.image_cache import cached
from hypercl.tasks.image_folder import read_image_folder
from hypercl.tasks.inputs import Normalized
from hypercl.tasks.source import DataFolder, Source
from hypercl.tasks.split_stream import ClassGroup, SplitStream

CLASSES_PER_TASK = 10
SIZE = (32, 32)
NORMALIZED = Normalized(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""The statistics of ImageNet: what the paper's code uses for CIFAR, in training and in testing."""


@dataclass(frozen=True)
class Variant:
    """CIFAR-10 or CIFAR-100, in the two forms in which it may lie on disk."""

    classes: int
    images: str
    """Image folders: `images/{train,test}/CLASS/*.png`."""
    pickles: DataSet
    """torchvision's files."""
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    """The file that names the classes."""
    label_key: str
    """Of the labels in the files."""


def _layout(images: str, pickles: str) -> str:
    return (
        f"image folders {images}/train/CLASS/*.png and {images}/test/CLASS/*.png below the data folder, "
        f"or torchvision's {pickles}/"
    )


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
CIFAR10 = Variant(
    classes=10,
    images="cifar10",
    pickles=DataSet(
        name="CIFAR10",
        folder="cifar-10-batches-py",
        files=(*_BATCHES, "test_batch", "batches.meta"),
        layout=_layout("cifar10", "cifar-10-batches-py"),
        elsewhere="cifar10/train",
    ),
    train=_BATCHES,
    test=("test_batch",),
    meta="batches.meta",
    label_key="labels",
)
CIFAR100 = Variant(
    classes=100,
    images="cifar100",
    pickles=DataSet(
        name="CIFAR100",
        folder="cifar-100-python",
        files=("train", "test", "meta"),
        layout=_layout("cifar100", "cifar-100-python"),
        elsewhere="cifar100/train",
    ),
    train=("train",),
    test=("test",),
    meta="meta",
    label_key="fine_labels",
)


def open_split_cifar(config: SplitCIFAR, folder: DataFolder, with_test: bool) -> SplitStream:
    """The first task is all of CIFAR-10, task t the classes 10 (t - 1) ... 10 t - 1 of CIFAR-100."""
    groups = [ClassGroup(*_load(CIFAR10, folder, with_test), tuple(range(CLASSES_PER_TASK)))]
    if config.num_tasks > 1:
        halves = _load(CIFAR100, folder, with_test)
        starts = range(0, (config.num_tasks - 1) * CLASSES_PER_TASK, CLASSES_PER_TASK)
        groups += [ClassGroup(*halves, tuple(range(start, start + CLASSES_PER_TASK))) for start in starts]
    return SplitStream(config, groups, NORMALIZED, FlipAndCrop() if config.augment else None)


def _load(variant: Variant, folder: DataFolder, with_test: bool) -> tuple[Source, Source | None]:
    halves = ("train", "test") if with_test else ("train",)
    # Training images decide the form: a test set in another form (recompressed, say) is not the same data.
    if (folder.path / variant.images / "train").is_dir():
        sources = [read_image_folder(folder.path, f"{variant.images}/{half}", variant.classes, SIZE) for half in halves]
    else:
        wanted = (*variant.train, variant.meta, *(variant.test if with_test else ()))
        require(variant.pickles, folder, wanted)
        sources = [_read_pickles(variant, folder.path, half) for half in halves]
    return sources[0], sources[1] if with_test else None


def _read_pickles(variant: Variant, data_dir: Path, half: str) -> Source:
    folder = data_dir / variant.pickles.folder
    files = variant.train if half == "train" else variant.test
    states = [(name, (folder / name).stat()) for name in (*files, variant.meta)]
    listing = [(name, state.st_size, state.st_mtime_ns) for name, state in states]

    def decode() -> Source:
        parts = [_unpickle(variant, folder / name) for name in files]
        names = _unpickle(variant, folder / variant.meta)[variant.label_key.removesuffix("s") + "_names"]
        images = np.concatenate([part["data"] for part in parts]).reshape(-1, 3, *SIZE)
        labels = [label for part in parts for label in part[variant.label_key]]
        return Source(torch.from_numpy(images), torch.tensor(labels), tuple(names))

    return cached(data_dir, f"{variant.pickles.folder}-{half}", listing, decode)


def _unpickle(variant: Variant, path: Path) -> dict[str, Any]:
    """The content of a file of torchvision's; nothing is unpickled whose sum is not the published one."""
    from torchvision import datasets
    from torchvision.datasets.utils import check_integrity

    dataset = getattr(datasets, variant.pickles.name)
    sums = dict([*dataset.train_list, *dataset.test_list, (dataset.meta["filename"], dataset.meta["md5"])])
    if not check_integrity(str(path), sums[path.name]):
        raise UserError(
            f"{path} is broken: its MD5 sum is not that of {variant.pickles.name}.\n"
            "    fix: remove it and put the original there, or fetch it again"
        )
    with path.open("rb") as file:
        return pickle.load(file, encoding="latin1")
