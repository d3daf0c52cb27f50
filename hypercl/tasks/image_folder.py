"""Folders of images: one folder a class, `half/CLASS/*.png`."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hypercl.config import UserError
from hypercl.tasks.image_cache import cached
from hypercl.tasks.source import Source

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_CHUNK = 500


def read_image_folder(data_dir: Path, half: str, classes: int, size: tuple[int, int]) -> Source:
    """The images below a folder, through the cache.

    Args:
        data_dir: the folder of all data; the cache is kept there.
        half: the folder below it that holds one folder a class, such as `cifar10/train`.
        classes: how many class folders there must be; their sorted names are the classes 0, 1, ...
        size: height and width of every image.

    Returns:
        Images uint8, (n, 3, height, width), in the order of class and file name.

    Raises:
        UserError: the class folders are not as many as they should be, one is empty, an image cannot be read or has
            another size.
    """
    folder = data_dir / half
    names = sorted(entry.name for entry in _scan(folder) if entry.is_dir() and not entry.name.startswith("."))
    if len(names) != classes:
        raise UserError(f"{folder} should hold {classes} class folders and holds {len(names)}")
    listing: list[tuple[str, int, int]] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = _images_of(folder, name)
        if not found:
            raise UserError(f"{folder / name} holds no images ({', '.join(_SUFFIXES)})")
        listing += found
        labels += [label] * len(found)

    def decode() -> Source:
        images = _decode([folder / name for name, _, _ in listing], size)
        return Source(images, torch.tensor(labels), tuple(names))

    return cached(data_dir, half.replace("/", "-"), listing, decode)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error}") from None


def _images_of(folder: Path, name: str) -> list[tuple[str, int, int]]:
    files = [entry for entry in _scan(folder / name) if entry.name.lower().endswith(_SUFFIXES)]
    states = ((f"{name}/{entry.name}", entry.stat()) for entry in files if not entry.name.startswith("."))
    return sorted((path, state.st_size, state.st_mtime_ns) for path, state in states)


def _decode(paths: Sequence[Path], size: tuple[int, int]) -> torch.Tensor:
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        images = chain.from_iterable(pool.map(lambda chunk: [_pixels(path, size) for path in chunk], chunks))
        return torch.from_numpy(np.stack(list(images)).transpose(0, 3, 1, 2).copy())


def _pixels(path: Path, size: tuple[int, int]) -> np.ndarray:
    """One image, uint8, (height, width, 3)."""
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow raises many kinds for broken files, SyntaxError among them
        raise UserError(f"{path} cannot be read as an image: {error}") from error
    if pixels.shape[:2] != size:
        raise UserError(f"{path} is {pixels.shape[0]} x {pixels.shape[1]} pixels and should be {size[0]} x {size[1]}")
    return pixels
