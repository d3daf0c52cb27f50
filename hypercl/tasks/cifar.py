"""CIFAR-10 and CIFAR-100, each alone, or one after the other: the stream of von Oswald et al. (2020), section 4."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypercl.config import UserError
from hypercl.config.models import SplitCIFAR, SplitCIFAR10, SplitCIFAR100
from hypercl.tasks.download import DataSet, require_all
from hypercl.tasks.image_files import cached, image_files, read_images
from hypercl.tasks.inputs import IMAGENET, FlipAndCrop, Form, Normalized
from hypercl.tasks.split_stream import ClassGroup, SplitStream, class_groups, class_order
from hypercl.tasks.stream import DataFolder, Source

CLASSES_PER_TASK = 10
SIZE = (32, 32)
RAW = Normalized(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""Pixels in 0 .. 1, in the same layout in memory as normalised ones."""


@dataclass(frozen=True)
class Variant:
    """CIFAR-10 or CIFAR-100, in either form on disk."""

    classes: int
    folder: str
    """Of torchvision's files."""
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    """The file that names the classes."""
    label_key: str
    """Of the labels in the files."""

    @property
    def images(self) -> str:
        """Image folders: `images/{train,test}/CLASS/*.png`."""
        return f"cifar{self.classes}"

    @property
    def pickles(self) -> DataSet:
        """torchvision's files."""
        images = self.images
        layout = (
            f"image folders {images}/train/CLASS/*.png and {images}/test/CLASS/*.png below the data folder, "
            f"or torchvision's {self.folder}/"
        )
        files = (*self.train, *self.test, self.meta)
        return DataSet(images.upper(), self.folder, files, layout, elsewhere=f"{images}/train")


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
CIFAR10 = Variant(10, "cifar-10-batches-py", _BATCHES, ("test_batch",), "batches.meta", "labels")
CIFAR100 = Variant(100, "cifar-100-python", ("train",), ("test",), "meta", "fine_labels")


def open_split_cifar(config: SplitCIFAR, folder: DataFolder, with_test: bool) -> SplitStream:
    """The first task is all of CIFAR-10, task t the classes 10 (t - 1) ... 10 t - 1 of CIFAR-100."""
    variants = (CIFAR10, CIFAR100)[: config.num_tasks]
    halves = _load(variants, folder, with_test)
    groups = [
        ClassGroup(*half, order[start : start + CLASSES_PER_TASK])
        for variant, half in zip(variants, halves, strict=True)
        for order in [class_order(variant.classes, config.order_seed, variant.pickles.name)]
        for start in range(0, variant.classes, CLASSES_PER_TASK)
    ]
    return _stream(config, groups[: config.num_tasks])


def open_split_cifar_set(
    config: SplitCIFAR10 | SplitCIFAR100, variant: Variant, folder: DataFolder, with_test: bool
) -> SplitStream:
    """One of the two data sets, split into tasks by classes."""
    (halves,) = _load([variant], folder, with_test)
    return _stream(config, class_groups(config, *halves))


def _stream(config: SplitCIFAR | SplitCIFAR10 | SplitCIFAR100, groups: Sequence[ClassGroup]) -> SplitStream:
    return SplitStream(config, groups, IMAGENET if config.normalize else RAW, FlipAndCrop() if config.augment else None)


def _load(variants: Sequence[Variant], folder: DataFolder, with_test: bool) -> list[tuple[Source, Source | None]]:
    """Training and test half of each; one error names everything that is missing."""
    # Training images decide the form: a test set in another form (recompressed, for example) is not the same data.
    pickled = [variant for variant in variants if not (folder.path / variant.images / "train").is_dir()]
    halves = {variant: (*variant.train, *(variant.test if with_test else ())) for variant in pickled}
    require_all({variant.pickles: (*files, variant.meta) for variant, files in halves.items()}, folder)
    readers = [_read_pickles if variant in pickled else _read_images for variant in variants]
    return [
        (read(variant, folder.path, "train"), read(variant, folder.path, "test") if with_test else None)
        for variant, read in zip(variants, readers, strict=True)
    ]


def _read_images(variant: Variant, data_dir: Path, half: str) -> Source:
    files = image_files(data_dir / variant.images / half)
    if len(files.classes) != variant.classes:
        raise UserError(f"{files.folder} should contain {variant.classes} class folders, not {len(files.classes)}")
    return read_images(files, Form(SIZE, "rgb", resized=False), data_dir, f"{variant.images}-{half}")


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
        return Source(torch.as_tensor(images), torch.tensor(labels), tuple(names))

    return cached(data_dir, f"{variant.pickles.folder}-{half}", listing, decode)


def _unpickle(variant: Variant, path: Path) -> dict[str, Any]:
    """The content of one of torchvision's files; only files with the published checksum are unpickled."""
    from torchvision import datasets
    from torchvision.datasets.utils import check_integrity

    dataset = getattr(datasets, variant.pickles.name)
    sums = dict([*dataset.train_list, *dataset.test_list, (dataset.meta["filename"], dataset.meta["md5"])])
    if not check_integrity(str(path), sums[path.name]):
        raise UserError(
            f"{path} is broken: its MD5 checksum is not that of {variant.pickles.name}.\n"
            "    fix: replace it with the original, or delete it and fetch it again"
        )
    with path.open("rb") as file:
        return pickle.load(file, encoding="latin1")
