"""One driver a sweep folder."""

import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from hypercl.config import UserError
from hypercl.files import is_alive

_LOCK, _HOLDER = ".driver.lock", ".driver.json"


@contextmanager
def driver_lock(folder: Path) -> Generator[None]:
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
    finally:
        (folder / _HOLDER).unlink(missing_ok=True)
        lock.release()


@dataclass(frozen=True)
class Driver:
    """Who holds, or last held, a sweep's folder."""

    host: str
    pid: int
    since: datetime
    alive: bool | None
    """None where it is on another host and cannot be asked."""


def driver_of(folder: Path) -> Driver | None:
    """The driver that is named in a sweep's folder: one that ended in order has taken its name away.

    The lock itself is not touched: to ask it would mean to hold it for a moment.
    """
    try:
        holder = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        host, pid, since = str(holder["host"]), int(holder["pid"]), datetime.fromisoformat(holder["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Driver(host, pid, since, is_alive(pid) if host == socket.gethostname() else None)


def _refusal(folder: Path) -> str:
    holder = driver_of(folder)
    who = f"process {holder.pid} on {holder.host} (since {holder.since.isoformat()})" if holder else "another process"
    return f"{folder} is being swept by {who}\n    fix:     wait for it, stop it, or give this sweep another --name"
