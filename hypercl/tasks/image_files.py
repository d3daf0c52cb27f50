"""Folders of image files, one folder a class: which there are, and their pixels through the cache."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hypercl.config import UserError
from hypercl.tasks.image_cache import Listing, cached
from hypercl.tasks.image_form import Form
from hypercl.tasks.source import Source

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_CHUNK = 500
_NAMED = 10
"""Files that cannot be used, named in a message."""


@dataclass(frozen=True)
class ImageFiles:
    """The image files below a folder."""

    folder: Path
    classes: tuple[str, ...]
    """Names of the class folders, sorted."""
    listing: Listing
    """The files, in the order of class and name."""
    labels: torch.Tensor
    """int64, (files,): the class of each."""

    def part(self, places: torch.Tensor) -> "ImageFiles":
        """Some of the files."""
        listing = [self.listing[place] for place in places.tolist()]
        return ImageFiles(self.folder, self.classes, listing, self.labels[places])


def image_files(folder: Path) -> ImageFiles:
    """The images below a folder that holds one folder a class, those in folders of a class's folder too.

    Hidden files and folders are not seen, nor what macOS leaves (`._*`, `.DS_Store`, `__MACOSX`).

    Raises:
        UserError: the folder cannot be read, it holds no class folders, or one of them holds no images.
    """
    classes = class_folders(folder)
    if not classes:
        raise UserError(f"{folder} holds no folders of classes\n    fix: have a folder of images for each class in it")
    listings = [_images_of(folder, name) for name in classes]
    empty = [name for name, found in zip(classes, listings, strict=True) if not found]
    if empty:
        names = ", ".join(empty[:_NAMED]) + (f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else "")
        whose = f"{folder / empty[0]} holds" if len(empty) == 1 else f"{folder}: the class folders {names} hold"
        raise UserError(f"{whose} no images ({', '.join(SUFFIXES)})\n    fix: put images there, or take it away")
    labels = [label for label, found in enumerate(listings) for _ in found]
    return ImageFiles(folder, classes, [file for found in listings for file in found], torch.tensor(labels))


def class_folders(folder: Path) -> tuple[str, ...]:
    """The sorted names of the folders in a folder.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted(entry.name for entry in entries if _seen(entry.name) and entry.is_dir()))
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error}") from None


def read_images(files: ImageFiles, form: Form, cache: Path, name: str) -> Source:
    """The pixels of image files, through the cache.

    Args:
        files: which.
        form: size and mode that every image gets.
        cache: the folder beside whose content the cache is kept.
        name: tells the caches there apart; another form needs another name.

    Raises:
        UserError: images cannot be read or have another size than they should: names the first ten.
    """
    return cached(cache, name, files.listing, lambda: Source(_decode(files, form), files.labels, files.classes))


def _seen(name: str) -> bool:
    return not name.startswith((".", "__MACOSX"))


def _images_of(folder: Path, name: str) -> list[tuple[str, int, int]]:
    found = []
    for place, folders, files in os.walk(folder / name):
        folders[:] = [inner for inner in folders if _seen(inner)]
        # Strings: every trial lists the files anew, and as paths the 100,000 of CIFAR-10 and CIFAR-100 took 2.2 s.
        below = Path(place).relative_to(folder).as_posix()
        found += [
            (f"{below}/{file}", *_state(os.path.join(place, file)))
            for file in files
            if _seen(file) and file.lower().endswith(SUFFIXES)
        ]
    return sorted(found)


def _state(path: str) -> tuple[int, int]:
    try:
        state = os.stat(path)
    except OSError:  # a link that leads nowhere: told with the other files that cannot be read
        return 0, 0
    return state.st_size, state.st_mtime_ns


def _decode(files: ImageFiles, form: Form) -> torch.Tensor:
    """All images, uint8, (files, channels, height, width)."""
    images = np.empty((len(files.listing), *form.shape), np.uint8)

    def fill(start: int) -> list[str]:
        problems = []
        for row, (name, _, _) in enumerate(files.listing[start : start + _CHUNK], start):
            try:
                images[row] = form.read(files.folder / name)
            except ValueError as error:
                problems.append(f"{files.folder / name} {error}")
        return problems

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        problems = [problem for found in pool.map(fill, range(0, len(images), _CHUNK)) for problem in found]
    if problems:
        raise UserError(_unusable(files.folder, problems, len(images)))
    return torch.from_numpy(images)


def _unusable(folder: Path, problems: Sequence[str], count: int) -> str:
    lines = [f"{len(problems):,} of {count:,} images in {folder} cannot be used:"]
    lines += [f"    {problem}" for problem in problems[:_NAMED]]
    lines += [f"    and {len(problems) - _NAMED:,} more"] if len(problems) > _NAMED else []
    return "\n".join([*lines, "    fix: remove them, or put whole ones there"])
