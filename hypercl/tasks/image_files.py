"""Folders of image files, one folder a class: which there are, and their pixels through the cache."""

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
from filelock import FileLock

from hypercl.config import UserError
from hypercl.tasks.inputs import Form
from hypercl.tasks.stream import Source
from hypercl.tensors import numbers

_FORMAT = 1
_FOLDER = ".hypercl-cache"
ANNOUNCED = 5000
"""Files from which on decoding is told: on two cores 50,000 images of CIFAR take half a minute."""

Listing = Sequence[tuple[str, int, int]]
"""Relative name, size in bytes and time of change in nanoseconds of every file that the images come from."""


def cached(data_dir: Path, name: str, listing: Listing, decode: Callable[[], Source]) -> Source:
    """The images of some files, from the cache; decoded into it first where they are not there.

    The cache is `data_dir/.hypercl-cache/`, or where that cannot be written a folder of `$XDG_CACHE_HOME/hypercl`
    (`~/.cache/hypercl`). A changed file is another key; older keys of the same name are removed. Of several processes
    one decodes, the others wait.

    Args:
        data_dir: the folder of the data.
        name: tells the sources of one folder apart, such as `cifar10-train`.
        listing: the files; they are the key.
        decode: reads them; called where no cache of theirs is found.

    Returns:
        Images mapped copy-on-write: all processes share the pages and none can change the file.

    Raises:
        UserError: no place for the cache can be written; and whatever `decode` raises.
    """
    key = f"{name}-{_digest(_FORMAT, *listing)}"
    roots = _roots(data_dir)
    for root in roots:
        found = _open(root / key)
        if found is not None:
            return found
    problems: list[str] = []
    for root in roots:
        try:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / f"{name}.lock"):
                found = _open(root / key)
                if found is None:
                    if len(listing) > ANNOUNCED:
                        print(f"decoding {len(listing):,} images of {data_dir} once into {root / key}", file=sys.stderr)
                    found = _write(root, name, key, decode())
                return found
        except (OSError, NotImplementedError) as error:  # the latter where the file system knows no locks
            problems.append(f"    {root}: {error}")
    tried = "\n".join(problems)
    fix = "    fix: free some space, or set XDG_CACHE_HOME to a folder that can be written"
    raise UserError(f"the decoded images of {name} can be kept nowhere:\n{tried}\n{fix}")


def _roots(data_dir: Path) -> tuple[Path, Path]:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return data_dir / _FOLDER, home / "hypercl" / _digest(str(data_dir.resolve()))


def _digest(*parts: object) -> str:
    return blake2b(repr(parts).encode(), digest_size=10).hexdigest()


def _open(folder: Path) -> Source | None:
    """The cache in a folder; None where there is none that can be read."""
    try:
        images = np.load(folder / "images.npy", mmap_mode="c")
        labels = np.load(folder / "labels.npy")
        classes = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, EOFError):
        return None
    return Source(torch.as_tensor(images), torch.as_tensor(labels), tuple(classes))


def _write(root: Path, name: str, key: str, source: Source) -> Source:
    """Writes a cache beside its place, renames it there, and maps it."""
    for stale in root.glob(f"{name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{name}-partial-", dir=root))
    try:
        # Not written through a map: on a full disk that is a bus error instead of an OSError.
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
        raise OSError("what was just written cannot be read back")
    return written


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
        rows: list[int] = numbers(places)
        listing = [self.listing[row] for row in rows]
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
    found: list[tuple[str, int, int]] = []
    for place, folders, files in os.walk(folder / name):
        folders[:] = [inner for inner in folders if _seen(inner)]
        # Strings: every trial lists the files again, and as paths the 100,000 of CIFAR-10 and CIFAR-100 took 2.2 s.
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
        problems: list[str] = []
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
    return torch.as_tensor(images)


def _unusable(folder: Path, problems: Sequence[str], count: int) -> str:
    lines = [f"{len(problems):,} of {count:,} images in {folder} cannot be used:"]
    lines += [f"    {problem}" for problem in problems[:_NAMED]]
    lines += [f"    and {len(problems) - _NAMED:,} more"] if len(problems) > _NAMED else []
    return "\n".join([*lines, "    fix: remove them, or put whole ones there"])
