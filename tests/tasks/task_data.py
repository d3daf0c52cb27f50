"""Small data sets in the forms that users have on disk."""

import gzip
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PER_CLASS = {"train": 12, "test": 4}


def write_idx(path: Path, array: np.ndarray, packed: bool = False) -> None:
    """An array of bytes as an idx file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


def make_mnist(
    data_dir: Path, packed: bool = False, halves: tuple[str, ...] = ("train", "test"), name: str = "MNIST"
) -> Path:
    """MNIST with a few random images a digit; returns the folder of its files."""
    raw = data_dir / name / "raw"
    for half in halves:
        random = np.random.default_rng(len(half))
        count = 10 * PER_CLASS[half]
        prefix = {"train": "train", "test": "t10k"}[half]
        labels = random.permutation(np.arange(count, dtype=np.uint8) % 10)
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(raw / f"{prefix}-images-idx3-ubyte", images, packed)
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", labels, packed)
    return raw


def make_fashion_mnist(data_dir: Path) -> Path:
    """Fashion-MNIST in the same way."""
    return make_mnist(data_dir, name="FashionMNIST")


def make_image_folder(folder: Path, classes: int, per_class: int, seed: int = 0) -> None:
    """A folder a class with random 32 x 32 images."""
    random = np.random.default_rng(seed)
    for label in range(classes):
        (folder / f"class_{label:03d}").mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class_{label:03d}" / f"{number:04d}.png", compress_level=1)


def make_cifar_folders(data_dir: Path) -> None:
    """Both CIFARs as image folders."""
    for seed, (half, per_class) in enumerate(PER_CLASS.items()):
        make_image_folder(data_dir / "cifar10" / half, 10, per_class, seed)
        make_image_folder(data_dir / "cifar100" / half, 100, per_class, seed + 10)


def make_cifar_pickles(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both CIFARs as torchvision's files, their sums published as the true ones."""
    from torchvision import datasets

    for name, folder, classes, key in (
        ("CIFAR10", "cifar-10-batches-py", 10, "labels"),
        ("CIFAR100", "cifar-100-python", 100, "fine_labels"),
    ):
        dataset = getattr(datasets, name)
        place = data_dir / folder
        place.mkdir(parents=True)
        sums = {}
        for seed, file in enumerate([file for file, _ in (*dataset.train_list, *dataset.test_list)]):
            labels = [label % classes for label in range(3 * classes)]
            data = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
            sums[file] = _pickle(place / file, {"data": data, key: labels})
        names = {key.removesuffix("s") + "_names": [f"{name} {label}" for label in range(classes)]}
        meta_sum = _pickle(place / dataset.meta["filename"], names)
        monkeypatch.setattr(dataset, "train_list", [[file, sums[file]] for file, _ in dataset.train_list])
        monkeypatch.setattr(dataset, "test_list", [[file, sums[file]] for file, _ in dataset.test_list])
        monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": meta_sum})


def _pickle(path: Path, value: object) -> str:
    content = pickle.dumps(value)
    path.write_bytes(content)
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
