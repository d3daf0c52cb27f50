"""Folders of image files, one folder per class: their listing, and their pixels through a cache."""

import errno
import json
import math
import os
import shutil
import sys
import tempfile
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NoReturn

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


@dataclass(frozen=True)
class Pieces:
    """Images that are decoded while they are written, since all of them may be more than memory."""

    shape: tuple[int, ...]
    """Of all images: (files, channels, height, width)."""
    chunks: Iterator[np.ndarray]
    """uint8, in order, together all images."""
    labels: torch.Tensor
    classes: tuple[str, ...]


def cached(data_dir: Path, name: str, listing: Listing, decode: Callable[[], Source | Pieces]) -> Source:
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
        UserError: the cache cannot be written anywhere, or mapped; and whatever `decode` raises.
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


def _write(root: Path, name: str, key: str, source: Source | Pieces) -> Source:
    """Writes a cache to a temporary folder, renames that, and maps it."""
    for stale in root.glob(f"{name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{name}-partial-", dir=root))
    try:
        # Not written through a memory map, which on a full disk raises a bus error instead of an OSError.
        with (partial / "images.npy").open("wb") as sink:
            if isinstance(source, Pieces):
                _write_pieces(sink, source)
            else:
                np.save(sink, source.images.numpy())
            sink.flush()
            os.fsync(sink.fileno())
        with (partial / "labels.npy").open("wb") as sink:
            np.save(sink, source.labels.numpy())
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


def _write_pieces(sink: BinaryIO, pieces: Pieces) -> None:
    """Writes a NumPy file piece by piece; disk and address space for all of it are checked first."""
    size, free = math.prod(pieces.shape), shutil.disk_usage(sink.name).free
    if size > free:
        raise OSError(
            errno.ENOSPC, f"{size / 1e9:,.1f} GB are needed for {pieces.shape[0]:,} images, {free / 1e9:,.1f} free"
        )
    np.lib.format.write_array_header_1_0(
        sink, {"descr": np.dtype(np.uint8).str, "fortran_order": False, "shape": pieces.shape}
    )
    sink.flush()
    start = sink.tell()
    sink.truncate(start + size)
    try:
        np.load(sink.name, mmap_mode="c")
    except (OSError, ValueError, MemoryError) as error:
        raise UserError(
            f"{pieces.shape[0]:,} decoded images of {list(pieces.shape[1:])} need {size / 1e9:,.1f} GB of address "
            f"space: {error}\n    fix:     lower tasks.size, or raise the limit of the process (ulimit -v)"
        ) from error
    for chunk in pieces.chunks:
        sink.write(np.ascontiguousarray(chunk).data)


SUFFIXES = tuple(
    f".{name}"
    for name in [
        "png",
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "jp2",
        "bmp",
        "webp",
        "gif",
        "tif",
        "tiff",
        "ppm",
        "pgm",
        "pbm",
        "pnm",
        "tga",
        "avif",
    ]
)
_CHUNK, _CHUNK_BYTES = 500, 2**25
"""Images that a thread decodes at once: at most so many, and of so many bytes."""
_METADATA = frozenset({"thumbs.db", "desktop.ini"})
_SYSTEM_FOLDERS = (".", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")
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
    """The images in class folders of a folder, and in their subfolders; links are followed.

    The name of a class is that of its folder in Unicode's composed form (NFC). Hidden files and folders are ignored,
    and those of operating systems (`._*`, `.DS_Store`, `__MACOSX`, `Thumbs.db`, `@eaDir`). What else is left out is
    counted in a warning.

    Raises:
        UserError: a folder cannot be read, there are no class folders, two have the same name, or one contains no
            images.
    """
    folders = class_folders(folder)
    if not folders:
        raise UserError(f"{folder} contains no class folders\n    fix: add a folder of images for each class")
    by_class = {unicodedata.normalize("NFC", name): name for name in folders}
    if len(by_class) < len(folders):
        twice = [name for name in folders if name not in by_class.values()]
        raise UserError(
            f"{folder}: two folders have the same name, written with other Unicode characters: {listed(twice)}\n"
            "    fix: move the images of one to the other"
        )
    classes = tuple(sorted(by_class))
    search = _Search(folder)
    listings = [search.images_of(by_class[name]) for name in classes]
    search.warn()
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
    shape = (len(files.listing), *form.shape)
    return cached(cache, name, files.listing, lambda: Pieces(shape, _decode(files, form), files.labels, files.classes))


def _is_visible(name: str) -> bool:
    return not name.startswith(_SYSTEM_FOLDERS)


class _Search:
    """Lists the images of class folders, and counts what is not used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left_out: Counter[str] = Counter()
        self._class_of: dict[tuple[int, int], str] = {}
        """Device and inode of each image -> its class folder."""
        self._in_two = 0

    def images_of(self, name: str) -> list[tuple[str, int, int]]:
        listing: list[tuple[str, int, int]] = []
        walked: set[str] = set()
        for parent, folders, files in os.walk(self._folder / name, followlinks=True, onerror=_refuse):
            real = os.path.realpath(parent)
            if real in walked:  # by a link, maybe to a folder around it
                folders.clear()
                continue
            walked.add(real)
            folders[:] = sorted(inner for inner in folders if _is_visible(inner))
            # Strings: every trial lists the files again, and as paths the 100,000 of CIFAR-10 and CIFAR-100 took 2.2 s.
            below = Path(parent).relative_to(self._folder).as_posix()
            for file in sorted(filter(_is_visible, files)):
                if file.lower().endswith(SUFFIXES):
                    listing += self._listed(name, f"{below}/{file}", os.path.join(parent, file))
                elif file.lower() not in _METADATA:
                    self._left_out[os.path.splitext(file)[1].lower() or "files without a suffix"] += 1
        return sorted(listing)

    def _listed(self, name: str, file: str, path: str) -> list[tuple[str, int, int]]:
        try:
            state = os.stat(path)
        except OSError:  # a broken link, reported with the other unreadable files
            return [(file, 0, 0)]
        identity = (state.st_dev, state.st_ino)
        if identity in self._class_of and state.st_ino:
            self._in_two += self._class_of[identity] != name
            if self._class_of[identity] == name:
                self._left_out["links to an image of the same class"] += 1
                return []
        self._class_of[identity] = name
        return [(file, state.st_size, state.st_mtime_ns)]

    def warn(self) -> None:
        """Says once what is left out, and what belongs to two classes."""
        with os.scandir(self._folder) as entries:
            outside = sum(entry.name.lower().endswith(SUFFIXES) and _is_visible(entry.name) for entry in entries)
        if outside:
            self._left_out["images outside of class folders"] = outside
        if self._left_out:
            counts = ", ".join(f"{count:,} {what}" for what, count in sorted(self._left_out.items()))
            warnings.warn(f"{self._folder}: not used: {counts}", UserWarning, stacklevel=3)
        if self._in_two:
            text = f"{self._folder}: {self._in_two:,} images are in two classes, by links"
            warnings.warn(text, UserWarning, stacklevel=3)


def _refuse(error: OSError) -> NoReturn:
    raise UserError(f"{error.filename} cannot be read: {error.strerror}") from None


def _decode(files: ImageFiles, form: Form) -> Iterator[np.ndarray]:
    """All images in order, uint8, (some, channels, height, width); refuses at the end if any cannot be used."""
    rows = max(1, min(_CHUNK, _CHUNK_BYTES // math.prod(form.shape)))
    problems: list[str] = []

    def chunk(start: int) -> tuple[np.ndarray, list[str]]:
        listing = files.listing[start : start + rows]
        images, wrong = np.zeros((len(listing), *form.shape), np.uint8), list[str]()
        for row, (name, _, _) in enumerate(listing):
            try:
                images[row] = form.read(files.folder / name)
            except ValueError as error:
                wrong.append(f"{files.folder / name} {error}")
        return images, wrong

    workers = min(8, os.cpu_count() or 1)
    starts = range(0, len(files.listing), rows)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for first in range(0, len(starts), 2 * workers):  # so many chunks are held at once
            for images, wrong in pool.map(chunk, starts[first : first + 2 * workers]):
                problems += wrong
                yield images
    if problems:
        lines = [f"{len(problems):,} of {len(files.listing):,} images in {files.folder} cannot be used:"]
        lines += [f"    {problem}" for problem in problems[:_NAMED]]
        lines += [f"    and {len(problems) - _NAMED:,} more"] if len(problems) > _NAMED else []
        raise UserError("\n".join([*lines, "    fix: remove or replace them"]))
