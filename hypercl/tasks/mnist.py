"""MNIST and Fashion-MNIST: the same kind of files, in tasks of some classes or with their pixels permuted."""

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hypercl.config import UserError
from hypercl.config.models import PermutedTasks, SplitDigits, SplitTasks
from hypercl.seeds import derive
from hypercl.tasks.download import DataSet, require
from hypercl.tasks.inputs import Scaled
from hypercl.tasks.split_stream import PermutedStream, SplitStream, class_groups, hold_out
from hypercl.tasks.stream import DataFolder, Source, TaskStream


def find_idx(folder: Path, name: str) -> Path:
    """The file of that name, or its .gz where only that is there."""
    plain, packed = folder / name, folder / f"{name}.gz"
    return packed if packed.is_file() and not plain.is_file() else plain


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The array of unsigned bytes in an idx file.

    Args:
        path: a file as it is, or ending in .gz.
        dimensions: 3 for images (count, height, width), 1 for labels.

    Returns:
        uint8; of a plain file its own pages, mapped copy-on-write, so that processes share them.

    Raises:
        UserError: the file is cut off, too long, or not of this format.
    """
    header = 4 + 4 * dimensions
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else None
        size = path.stat().st_size if content is None else len(content)
        start = _start(path, header) if content is None else content[:header]
    except (OSError, EOFError, zlib.error) as error:
        raise _broken(path, str(error)) from None
    if len(start) < header or start[:4] != bytes((0, 0, 8, dimensions)):
        raise _broken(path, f"it does not start as an idx file of bytes in {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", start[4:])
    wanted = header + int(np.prod(shape, dtype=np.int64))
    if size != wanted:
        raise _broken(path, f"its header promises {wanted:,} bytes and it holds {size:,}")
    if content is not None:
        return np.frombuffer(bytearray(content), np.uint8, offset=header).reshape(shape)
    return np.memmap(path, np.uint8, mode="c", offset=header, shape=shape)


def _start(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _broken(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is broken: {reason}.\n    fix: remove it and put the original there, or fetch it again")


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
    images = torch.as_tensor(read_idx(images_file, 3)).unsqueeze(1)
    labels = torch.as_tensor(read_idx(labels_file, 1)).to(torch.int64)
    if images.shape[2:] != (28, 28):
        found = tuple(images.shape[2:])
        raise UserError(f"{images_file} is not {variant.files.name}: its images are {found}, not (28, 28)")
    if len(images) != len(labels):
        raise UserError(f"{images_file} holds {len(images):,} images and {labels_file} {len(labels):,} labels")
    if len(labels) and labels.max() > 9:
        raise UserError(f"{labels_file} is broken: it holds the label {int(labels.max())}, and classes are 0 .. 9")
    return Source(images, labels, variant.classes)


TEST_SHARE = 0.2
HIGHEST_PIXEL = 16
DIGITS = tuple(str(digit) for digit in range(10))


def open_split_digits(config: SplitDigits, with_test: bool) -> SplitStream:
    """The test set is a fixed stratified fifth, independent of every seed of the settings."""
    train, test = _halves()
    return SplitStream(config, class_groups(config, train, test if with_test else None), Scaled(HIGHEST_PIXEL))


def _halves() -> tuple[Source, Source]:
    # Imported here: scikit-learn takes a second and 60 MB that a run on other data does not need.
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    images = torch.as_tensor(pixels).to(torch.uint8).reshape(-1, 1, 8, 8)
    labels = torch.as_tensor(digits).to(torch.int64)
    train, test = hold_out(labels, DIGITS, TEST_SHARE, derive("split_digits", "test"))
    # Indexing copies: the training half holds no test image, not even one that no row points at.
    return Source(images[train], labels[train], DIGITS), Source(images[test], labels[test], DIGITS)
