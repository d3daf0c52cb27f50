"""Who may write into a results folder: one command at a time, and of the processes of one run the one begun last."""

import json
import os
import socket
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

from filelock import Timeout

from hypercl.config import UserError
from hypercl.files import is_alive, locked, write_text

_LOCK, _HOLDER, _WRITER = ".driver.lock", ".driver.json", ".writer"


@contextmanager
def folder_lock(folder: Path) -> Generator[None]:
    """Holds a results folder for a command that writes into it: of a sweep, a run, or a table of published results.

    Raises:
        UserError: another command holds it; the message names its host and process.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    folder.mkdir(parents=True, exist_ok=True)
    lock = locked(folder / _LOCK, timeout=0)
    try:
        lock.__enter__()
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
        lock.__exit__(None, None, None)
        if [path.name for path in folder.iterdir()] == [_LOCK]:  # a mistake was found before anything was begun
            with suppress(OSError):
                (folder / _LOCK).unlink()
                for path in takewhile(lambda path: path != there, (folder, *folder.parents)):
                    path.rmdir()


@dataclass(frozen=True)
class Driver:
    """Who holds, or last held, a results folder."""

    host: str
    pid: int
    since: datetime
    alive: bool | None
    """None where it is on another host and cannot be asked."""


def driver_of(folder: Path) -> Driver | None:
    """The driver that is named in a results folder: one that ended in order has removed its name.

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
    held = folder / f"{_LOCK}.held"
    gone = f"\n    or:      if that process is gone, delete {held}" if held.exists() else ""
    return f"{folder} is in use by {who}\n    fix:     wait for it, stop it, or give another --name{gone}"


class Superseded(UserError):
    """Another process has begun to write into this run's folder."""


class Fence:
    """The right to write into a run's folder, taken from whoever had it before.

    A process that was cut off (its node was unreachable, or it was suspended) may wake up once its successor has begun
    elsewhere: from then on `check` raises, and nothing of it is written.

    Args:
        folder: the run's own.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._token = folder / _WRITER, f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"
        write_text(self._path, self._token)

    def check(self) -> None:
        """Makes sure that nobody has begun since.

        Raises:
            Superseded: another process has.
        """
        try:
            writer = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            writer = "another process"
        if writer != self._token:
            host, *pid = writer.split()[:2]
            who = f"process {pid[0]} on {host}" if pid and pid[0].isdigit() else writer
            raise Superseded(
                f"{self._path.parent} now belongs to {who}, which began later; this process writes nothing more"
            )
