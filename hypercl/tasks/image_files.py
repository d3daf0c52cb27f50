"""Folders of image files, one folder per class: their listing, and their pixels through a cache."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch

from hypercl.config import UserError
from hypercl.files import locked
from hypercl.tasks.inputs import Form
from hypercl.tasks.stream import Source
from hypercl.tensors import numbers

_FORMAT = 1
_FOLDER = ".hypercl-cache"
ANNOUNCED = 5000
"""Number of files above which decoding is announced: on two cores 50,000 images of CIFAR take half a minute."""

Listing = Sequence[tuple[str, int, int]]
"""Relative name, size in bytes and modification time in nanoseconds of every image file."""


def cached(data_dir: Path, name: str, listing: Listing, decode: Callable[[], Source]) -> Source:
    """The images of some files, from the cache, into which they are decoded first if necessary.

    The cache is `data_dir/.hypercl-cache/`, or, if that is not writable, a folder of `$XDG_CACHE_HOME/hypercl`
    (`~/.cache/hypercl`). A changed file changes the key; older keys of the same name are removed. Of several processes
    one decodes, the others wait.

    Args:
        data_dir: the folder of the data.
        name: distinguishes the sources of one folder, such as `cifar10-train`.
        listing: the files; they are the key.
        decode: reads them, if they are not cached.

    Returns:
        Images mapped copy-on-write: all processes share the pages and none can change the file.

    Raises:
        UserError: the cache cannot be written anywhere; and whatever `decode` raises.
    """
    key = f"{name}-{_digest(_FORMAT, *listing)}"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    roots = data_dir / _FOLDER, home / "hypercl" / _digest(str(data_dir.resolve()))
    for root in roots:
        if (source := _open(root / key)) is not None:
            return source
    problems: list[str] = []
    for root in roots:
        try:
            root.mkdir(parents=True, exist_ok=True)
            with locked(root / f"{name}.lock"):
                if (source := _open(root / key)) is not None:
                    return source
                if len(listing) > ANNOUNCED:
                    print(f"decoding {len(listing):,} images of {data_dir} once into {root / key}", file=sys.stderr)
                return _write(root, name, key, decode())
        except OSError as error:
            problems.append(f"    {root}: {error}")
    tried = "\n".join(problems)
    fix = "    fix: free some space, or set XDG_CACHE_HOME to a writable folder"
    raise UserError(f"the decoded images of {name} cannot be cached:\n{tried}\n{fix}")


def _digest(*parts: object) -> str:
    return blake2b(repr(parts).encode(), digest_size=10).hexdigest()


def _open(folder: Path) -> Source | None:
    """The cache in a folder; None if there is no readable one."""
    try:
        images = np.load(folder / "images.npy", mmap_mode="c")
        labels = np.load(folder / "labels.npy")
        classes = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, EOFError):
        return None
    return Source(torch.as_tensor(images), torch.as_tensor(labels), tuple(classes))


def _write(root: Path, name: str, key: str, source: Source) -> Source:
    """Writes a cache to a temporary folder, renames that, and maps it."""
    for stale in root.glob(f"{name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{name}-partial-", dir=root))
    try:
        # Not written through a memory map, which on a full disk raises a bus error instead of an OSError.
        for file, array in (("images.npy", source.images), ("labels.npy", source.labels)):
            with (partial / file).open("wb") as sink:
                np.save(sink, array.numpy())
                sink.flush()
                os.fsync(sink.fileno())
        (partial / "classes.json").write_text(json.dumps(source.classes), encoding="utf-8")
        partial.chmod(0o755)
        partial.rename(root / key)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    written = _open(root / key)
    if written is None:
        raise OSError("the cache just written cannot be read back")
    return written


SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_CHUNK = 500
_NAMED = 10
"""Number of names in a message."""


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

    def part(self, indices: torch.Tensor) -> "ImageFiles":
        """Some of the files."""
        rows: list[int] = numbers(indices)
        listing = [self.listing[row] for row in rows]
        return ImageFiles(self.folder, self.classes, listing, self.labels[indices])


def listed(names: Sequence[str]) -> str:
    """Names for a message, the first ten of many."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def image_files(folder: Path) -> ImageFiles:
    """The images in class folders of a folder, and in their subfolders.

    Hidden files and folders are ignored, and those of macOS (`._*`, `.DS_Store`, `__MACOSX`).

    Raises:
        UserError: the folder cannot be read, it has no class folders, or one of them contains no images.
    """
    classes = class_folders(folder)
    if not classes:
        raise UserError(f"{folder} contains no class folders\n    fix: add a folder of images for each class")
    listings = [_images_of(folder, name) for name in classes]
    empty = [name for name, files in zip(classes, listings, strict=True) if not files]
    if empty:
        those = f"{folder / empty[0]} contains" if len(empty) == 1 else f"{folder}: folders {listed(empty)} contain"
        raise UserError(f"{those} no images ({', '.join(SUFFIXES)})\n    fix: add images, or remove the folder")
    labels = [label for label, files in enumerate(listings) for _ in files]
    return ImageFiles(folder, classes, [file for files in listings for file in files], torch.tensor(labels))


def class_folders(folder: Path) -> tuple[str, ...]:
    """The sorted names of the folders in a folder; raises a UserError if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted(entry.name for entry in entries if _is_visible(entry.name) and entry.is_dir()))
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error}") from None


def read_images(files: ImageFiles, form: Form, cache: Path, name: str) -> Source:
    """The pixels of image files, through the cache of a data folder; `name` must be distinct for each form.

    Raises:
        UserError: images cannot be read or have another size than required: names the first ten.
    """
    return cached(cache, name, files.listing, lambda: Source(_decode(files, form), files.labels, files.classes))


def _is_visible(name: str) -> bool:
    return not name.startswith((".", "__MACOSX"))


def _images_of(folder: Path, name: str) -> list[tuple[str, int, int]]:
    listing: list[tuple[str, int, int]] = []
    for parent, folders, files in os.walk(folder / name):
        folders[:] = [inner for inner in folders if _is_visible(inner)]
        # Strings: every trial lists the files again, and as paths the 100,000 of CIFAR-10 and CIFAR-100 took 2.2 s.
        below = Path(parent).relative_to(folder).as_posix()
        images = [file for file in files if _is_visible(file) and file.lower().endswith(SUFFIXES)]
        listing += [(f"{below}/{file}", *_state(os.path.join(parent, file))) for file in images]
    return sorted(listing)


def _state(path: str) -> tuple[int, int]:
    try:
        state = os.stat(path)
    except OSError:  # a broken link, reported with the other unreadable files
        return 0, 0
    return state.st_size, state.st_mtime_ns


def _decode(files: ImageFiles, form: Form) -> torch.Tensor:
    """All images, uint8, (files, channels, height, width)."""
    images = np.empty((len(files.listing), *form.shape), np.uint8)

    def fill(start: int) -> list[str]:
        problems: list[str] = []
        for row, (name, _, _) in enumerate(files.listing[start : start + _CHUNK], start):
            try:
                images[row] = form.read(files.folder / name)
            except ValueError as error:
                problems.append(f"{files.folder / name} {error}")
        return problems

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        problems = [problem for chunk in pool.map(fill, range(0, len(images), _CHUNK)) for problem in chunk]
    if problems:
        lines = [f"{len(problems):,} of {len(images):,} images in {files.folder} cannot be used:"]
        lines += [f"    {problem}" for problem in problems[:_NAMED]]
        lines += [f"    and {len(problems) - _NAMED:,} more"] if len(problems) > _NAMED else []
        raise UserError("\n".join([*lines, "    fix: remove or replace them"]))
    return torch.as_tensor(images)
