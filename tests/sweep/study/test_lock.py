"""One driver a folder."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hypercl.config import UserError
from hypercl.sweep.study.lock import driver_lock, driver_of

HOLD = """
import sys, pathlib
from hypercl.sweep.study.lock import driver_lock
with driver_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_driver_is_told_who_the_first_is_and_takes_over_once_it_is_dead(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"process {holder.pid} on {socket.gethostname()}"), driver_lock(tmp_path):
            pass
        holder.kill()
    with driver_lock(tmp_path):
        assert json.loads((tmp_path / ".driver.json").read_text())["pid"] == os.getpid()


def test_the_folder_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), driver_lock(tmp_path):
        raise RuntimeError
    assert driver_of(tmp_path) is None
    with driver_lock(tmp_path):
        pass
