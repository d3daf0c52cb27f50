"""Files that are there whole or not at all, whenever the process is killed."""

import os
import re
import time
from contextlib import suppress
from pathlib import Path

_PARTIAL = re.compile(r".+\.partial-(\d+)")
_LONGEST_WRITE = 3600.0
"""Seconds after which a partial file is stale, even if another process now has its writer's pid."""


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


def remove_partials(folder: Path) -> None:
    """Removes what writers that were killed left beside their files, in a folder and all those below it."""
    for path in folder.rglob("*.partial-*"):
        named = _PARTIAL.fullmatch(path.name)
        if named is None:
            continue
        with suppress(OSError):
            old = time.time() - path.stat().st_mtime > _LONGEST_WRITE
            writer = int(named[1])
            if old or writer == os.getpid() or not is_alive(writer):
                path.unlink()


def is_alive(pid: int) -> bool:
    """Whether this machine has such a process."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
