"""One driver a sweep folder."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from hypercl.config import UserError

_LOCK, _HOLDER = ".driver.lock", ".driver.json"


@contextmanager
def driver_lock(folder: Path) -> Iterator[None]:
    """Holds a sweep's folder. The system releases the lock of a dead driver, so it needs no cleaning up.

    Raises:
        UserError: another driver holds it; the message names its host and process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(_refusal(folder)) from None
    try:
        holder = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat("T", "seconds"),
        }
        (folder / _HOLDER).write_text(json.dumps(holder), encoding="utf-8")
        yield
        (folder / _HOLDER).unlink(missing_ok=True)
    finally:
        lock.release()


def _refusal(folder: Path) -> str:
    try:
        holder = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        who = f"process {holder['pid']} on {holder['host']} (since {holder['since']})"
    except (OSError, ValueError, KeyError):
        who = "another process"
    return f"{folder} is being swept by {who}\n    fix:     wait for it, stop it, or give this sweep another --name"
