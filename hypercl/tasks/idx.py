"""The idx files that MNIST comes in: plain ones are memory-mapped, packed ones (.gz) read."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from hypercl.config import UserError


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
