"""Who may write into a results folder."""

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import filelock._unix
import pytest

from hypercl.config import UserError
from hypercl.folder_lock import Fence, Superseded, driver_of, folder_lock

HOLD = """
import sys, pathlib
from hypercl.folder_lock import folder_lock
with folder_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
WITHOUT_LOCKS = """
import errno, fcntl
def flock(*_): raise OSError(errno.{name}, "no locks here")
fcntl.flock = fcntl.lockf = flock
"""


def check_refusal_and_takeover(folder: Path, first_lines: str = "") -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", first_lines + HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"process {holder.pid} on {socket.gethostname()}"), folder_lock(folder):
            pass
        holder.kill()
    with folder_lock(folder):
        assert json.loads((folder / ".driver.json").read_text())["pid"] == os.getpid()


def test_a_second_command_is_told_who_the_first_is_and_takes_over_once_it_is_dead(tmp_path: Path) -> None:
    check_refusal_and_takeover(tmp_path)


@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_so_it_is_on_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def flock(*_: object) -> None:
        raise OSError(getattr(errno, name), "no locks here")

    monkeypatch.setattr(filelock._unix.fcntl, "flock", flock)
    check_refusal_and_takeover(tmp_path, WITHOUT_LOCKS.format(name=name))


def test_the_folder_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), folder_lock(tmp_path):
        raise RuntimeError
    assert driver_of(tmp_path) is None
    with folder_lock(tmp_path):
        pass


def test_of_two_processes_in_one_run_the_later_may_write(tmp_path: Path) -> None:
    first = Fence(tmp_path)
    first.check()
    second = Fence(tmp_path)
    second.check()
    with pytest.raises(Superseded, match=f"process {os.getpid()} on {socket.gethostname()}"):
        first.check()


def test_nobody_writes_into_a_folder_that_was_removed(tmp_path: Path) -> None:
    fence = Fence(tmp_path / "run")
    (tmp_path / "run" / ".writer").unlink()
    with pytest.raises(Superseded):
        fence.check()
