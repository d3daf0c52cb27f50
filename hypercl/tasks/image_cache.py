"""What must be decoded is decoded once: a memory-mapped cache beside the data, shared by all processes of a node."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from hypercl.config import UserError
from hypercl.tasks.source import Source

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
    return Source(torch.from_numpy(images), torch.from_numpy(labels), tuple(classes))


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
