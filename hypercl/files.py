"""Files that are there whole or not at all, whenever the process is killed."""

import os
from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file's content: written beside it, synced, renamed, and the folder synced."""
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as sink:
            sink.write(content)
            sink.flush()
            os.fsync(sink.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for text, UTF-8."""
    write_bytes(path, text.encode())
