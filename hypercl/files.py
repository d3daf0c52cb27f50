"""Files that are there whole or not at all, whenever the process is killed."""

import errno
import os
import re
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, SoftFileLock

_PARTIAL = re.compile(r".+\.partial-(\d+)")
_LONGEST_WRITE = 3600.0
"""Seconds after which a partial file is stale, even if another process now has its writer's pid."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def locked(path: Path, timeout: float = -1) -> Generator[None]:
    """Holds a lock file. The system releases the lock of a dead process.

    On a file system without locks (NFS without lockd, Lustre without flock) the file's existence is the lock; that of
    a dead process on this machine is taken over.

    Raises:
        filelock.Timeout: another process held it for `timeout` seconds; -1 waits without limit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # filelock's, of the same fallback
        lock = FileLock(path)
        try:
            lock.acquire(timeout=timeout)
        except (OSError, NotImplementedError) as error:
            if isinstance(error, TimeoutError) or getattr(error, "errno", errno.ENOSYS) not in _NO_LOCKS:
                raise
            lock = SoftFileLock(path.with_name(f"{path.name}.held"))
            lock.acquire(timeout=timeout)
    try:
        yield
    finally:
        lock.release()


def write_bytes(path: Path, content: bytes, allowed: Callable[[], None] = lambda: None) -> None:
    """Replaces a file's content: written beside it, synced, renamed, and the folder synced.

    `allowed` is called before the rename, and raises where the file must stay as it is. A folder in the file's place is
    renamed: what it holds is not ours to delete.
    """
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as sink:
            sink.write(content)
            sink.flush()
            os.fsync(sink.fileno())
        allowed()
        if path.is_dir():
            path.rename(path.with_name(f"{path.name}.folder-{time.time_ns()}"))
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str, allowed: Callable[[], None] = lambda: None) -> None:
    """`write_bytes` for text, UTF-8."""
    write_bytes(path, text.encode(), allowed)


def partial_writer(path: Path) -> int | None:
    """The process that wrote a partial file; None of any other file."""
    named = _PARTIAL.fullmatch(path.name)
    return None if named is None else int(named[1])


def remove_partials(folder: Path) -> None:
    """Removes what writers that were killed left beside their files, in a folder and all those below it."""
    for path in folder.rglob("*.partial-*"):
        writer = partial_writer(path)
        if writer is None:
            continue
        with suppress(OSError):
            old = time.time() - path.stat().st_mtime > _LONGEST_WRITE
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
