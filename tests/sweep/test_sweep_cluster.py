"""Ray under a sweep."""

import os
import socket
from pathlib import Path

import pytest

from hypercl.config import UserError
from hypercl.sweep.cluster import _QUIET, _quiet, _short_folder, attached_ray


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
    with _short_folder() as folder:
        assert len(str(folder)) < 32
        assert folder.is_dir()
    assert not folder.exists()


def test_a_short_one_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    with _short_folder() as folder:
        assert folder.parent == Path("/tmp")
