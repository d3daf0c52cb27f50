"""Files that are there whole or not at all."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercl.config import UserError
from hypercl.training.checkpoint import BrokenFile, Checkpoints, read, write

CONTENT = {"state": {"w": torch.arange(50.0)}, "step": 3, "rows": [{"loss": 0.5}], "none": None}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write(tmp_path / "a.pt", CONTENT)
    back = read(tmp_path / "a.pt")
    assert torch.equal(back["state"]["w"], CONTENT["state"]["w"])
    assert {key: back[key] for key in ("step", "rows", "none")} == {"step": 3, "rows": [{"loss": 0.5}], "none": None}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_cut_or_changed_byte_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("checkpoint") / "a.pt"
    write(path, CONTENT)
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:place])
    else:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :])
    try:
        content = read(path)
    except BrokenFile:
        return
    assert torch.equal(content["state"]["w"], CONTENT["state"]["w"])


def test_a_file_of_a_later_version_is_not_guessed_at(tmp_path: Path) -> None:
    write(tmp_path / "a.pt", CONTENT)
    path = tmp_path / "a.pt"
    path.write_bytes(path.read_bytes().replace(b'"version": 2', b'"version": 9', 1))
    with pytest.raises(BrokenFile, match="version 9 is later"):
        read(path)


def test_a_file_of_an_earlier_version_is_left_where_it_is(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(7, CONTENT)
    path = tmp_path / "step-000000000007.pt"
    path.write_bytes(path.read_bytes().replace(b'"version": 2', b'"version": 1', 1))
    with pytest.raises(UserError, match="earlier version of hypercl"):
        checkpoints.newest()
    assert path.exists()


def test_two_checkpoints_are_kept_and_leftovers_are_swept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    (tmp_path / "step-000000000001.pt.partial-77").write_bytes(b"half")
    for step in (1, 2, 3):
        checkpoints.save(step, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000000002.pt", "step-000000000003.pt"]
    assert checkpoints.newest()["step"] == 3  # pyright: ignore[reportOptionalSubscript]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.pt", {"step": 1})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if call == "fsync" else Path, call, full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "a.pt", {"step": 2})
    monkeypatch.undo()
    assert read(tmp_path / "a.pt") == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_folder_named_as_a_checkpoint_is_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 5):
        (tmp_path / f"step-{step:012d}.pt").mkdir()
    for step in (2, 3, 4, 5):
        checkpoints.save(step, {"step": step})
    assert checkpoints.steps == {4, 5}
    assert checkpoints.newest() == {"step": 5}


def test_a_pickle_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    write(tmp_path / "a.pt", {"code": Path("/")})
    with pytest.raises(BrokenFile, match="more than data"):
        read(tmp_path / "a.pt")
