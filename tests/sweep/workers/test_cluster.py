"""Ray under a sweep."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import PIPE

import pytest
import ray

from hypercl.config import UserError
from hypercl.sweep.workers.cluster import _QUIET, _own_folder, _quiet, _short_base, attached_ray, local_ray
from hypercl.sweep.workers.resources import Machine

HOLD = """
import pathlib, sys
from hypercl.sweep.workers.cluster import _own_folder
with _own_folder(pathlib.Path(sys.argv[1])) as folder:
    print(folder.name, flush=True)
    sys.stdin.read()
"""


def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=f"no Ray cluster answers at '{address}'"), attached_ray(address):
        pass


def test_the_environment_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_DEDUP_LOGS", "1")
    before = dict(os.environ)
    with _quiet():
        assert os.environ["RAY_DEDUP_LOGS"] == "1"
        assert set(_QUIET) <= set(os.environ)
    assert dict(os.environ) == before


def test_a_temporary_folder_too_long_for_sockets_is_avoided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    assert _short_base() == Path("/tmp")


def test_a_short_one_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    assert _short_base() == Path("/tmp")


def test_a_driver_removes_the_folder_of_one_that_was_killed_and_none_of_one_alive(tmp_path: Path) -> None:
    alive, killed = (
        subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=PIPE, stdout=PIPE, text=True)
        for _ in range(2)
    )
    with alive, killed:
        assert alive.stdout is not None
        assert killed.stdout is not None
        names = {process: process.stdout.readline().strip() for process in (alive, killed) if process.stdout}
        killed.kill()
        killed.wait()
        assert {path.name for path in tmp_path.iterdir()} == set(names.values())
        with _own_folder(tmp_path) as own:
            assert {path.name for path in tmp_path.iterdir()} == {names[alive], own.name}
        alive.communicate("")
    assert not list(tmp_path.iterdir())


def test_temporary_files_of_trials_go_with_their_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = os.environ.get("TMPDIR")
    with local_ray(Machine(1, 0), tmp_path / "logs"):
        made = Path(ray.get(ray.remote(tempfile.mkdtemp).remote()))
        assert made.parent.parent == tmp_path
        assert os.environ.get("TMPDIR") == before
    assert not list(tmp_path.iterdir())
