"""MNIST and Fashion-MNIST, which have the same file format; and scikit-learn's digits."""

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hypercl.config import UserError
from hypercl.seeds import derive
from hypercl.tasks.download import DataSet, require
from hypercl.tasks.split_stream import hold_out
from hypercl.tasks.stream import DataFolder, Source


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The uint8 array in an idx file: 3 dimensions for images (count, height, width), 1 for labels.

    A plain file is mapped copy-on-write, so that processes share its pages; a .gz is decompressed.

    Raises:
        UserError: the file is truncated, too long, or of another format.
    """
    header, packed = 4 + 4 * dimensions, path.suffix == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read() if packed else file.read(header)
        size = len(content) if packed else path.stat().st_size
    except (OSError, EOFError, zlib.error) as error:
        raise _broken(path, str(error)) from None
    if len(content) < header or content[:4] != bytes((0, 0, 8, dimensions)):
        raise _broken(path, f"it does not start as an idx file of bytes in {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected = header + int(np.prod(shape, dtype=np.int64))
    if size != expected:
        raise _broken(path, f"its header announces {expected:,} bytes, and it has {size:,}")
    if packed:
        return np.frombuffer(bytearray(content), np.uint8, offset=header).reshape(shape)
    return np.memmap(path, np.uint8, mode="c", offset=header, shape=shape)


def _broken(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is broken: {reason}.\n    fix: replace it with the original, or delete it and fetch it again"
    )


TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Variant:
    """MNIST, or a data set of the same format."""

    files: DataSet
    classes: tuple[str, ...]
    """Names of the classes, in the order of the labels."""


def _variant(name: str, classes: tuple[str, ...]) -> Variant:
    layout = f"{', '.join((*TRAIN, *TEST))}, plain or compressed (.gz), in torchvision.datasets.{name}'s layout"
    return Variant(DataSet(name, f"{name}/raw", (*TRAIN, *TEST), layout, suffixes=("", ".gz")), classes)


MNIST = _variant("MNIST", tuple(str(digit) for digit in range(10)))
FASHION_MNIST = _variant(
    "FashionMNIST",
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def load_idx(variant: Variant, folder: DataFolder, with_test: bool) -> tuple[Source, Source | None]:
    """Training and test half."""
    require(variant.files, folder, (*TRAIN, *TEST) if with_test else TRAIN)
    return _half(variant, folder, TRAIN), _half(variant, folder, TEST) if with_test else None


def _half(variant: Variant, folder: DataFolder, names: tuple[str, str]) -> Source:
    plain = [folder.path / variant.files.folder / name for name in names]
    images_file, labels_file = (path if path.is_file() else path.with_name(f"{path.name}.gz") for path in plain)
    images = torch.as_tensor(read_idx(images_file, 3)).unsqueeze(1)
    labels = torch.as_tensor(read_idx(labels_file, 1)).to(torch.int64)
    if images.shape[2:] != (28, 28):
        raise UserError(
            f"{images_file} is not {variant.files.name}: its images are {tuple(images.shape[2:])}, not (28, 28)"
        )
    if len(images) != len(labels):
        raise UserError(f"{images_file} has {len(images):,} images, but {labels_file} {len(labels):,} labels")
    if len(labels) and labels.max() > 9:
        raise UserError(f"{labels_file} is broken: it has the label {int(labels.max())}, and classes are 0 .. 9")
    return Source(images, labels, variant.classes)


TEST_SHARE = 0.2
HIGHEST_PIXEL = 16
DIGITS = tuple(str(digit) for digit in range(10))


def load_digits(with_test: bool) -> tuple[Source, Source | None]:
    """Training and test half; the test set is a fixed stratified fifth, independent of all seeds."""
    # Imported here: scikit-learn takes a second and 60 MB, which runs on other data save.
    from sklearn import datasets

    pixels, digits = datasets.load_digits(return_X_y=True)
    images = torch.as_tensor(pixels).to(torch.uint8).reshape(-1, 1, 8, 8)
    labels = torch.as_tensor(digits).to(torch.int64)
    train, test = hold_out(labels, DIGITS, TEST_SHARE, derive("split_digits", "test"))
    # Indexing copies: the training half contains no test image, not even an unreferenced one.
    test_half = Source(images[test], labels[test], DIGITS) if with_test else None
    return Source(images[train], labels[train], DIGITS), test_half
