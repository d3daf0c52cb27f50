"""A folder at a URI: the same whatever file system holds it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from hypercl.machine import machine_fault
from hypercl.remote import POINTER, RemoteError, RemoteFolder, below, bring_checkpoints, light, point_to, send


@pytest.fixture(params=["file", "local", "memory", "s3"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a folder that is not there yet: of pyarrow's own, of fsspec's on a disk and in memory, of an S3 server."""
    if request.param == "s3":
        yield f"{request.getfixturevalue('bucket')}/{uuid4().hex}/some/folder"
    elif request.param == "memory":
        yield f"memory://{uuid4().hex}/some/folder"
    else:
        yield f"{request.param}://{tmp_path}/there/some/folder"


@pytest.fixture
def remote(uri: str) -> RemoteFolder:
    return RemoteFolder(uri)


def test_a_file_is_read_as_it_was_written_last(remote: RemoteFolder) -> None:
    assert (remote.read("a/b"), remote.exists("a/b")) == (None, False)
    for content in (b"first", b"the second, which is longer", b"3", b""):
        remote.write("a/b", content)
        assert (remote.read("a/b"), remote.exists("a/b")) == (content, True)
    assert not remote.exists("a")


def test_the_files_below_a_key_are_listed_with_their_sizes(remote: RemoteFolder) -> None:
    assert remote.files("trials/1") == {}
    for key in ("trials/1/summary.json", "trials/1/checkpoints/step-1.pt", "trials/10/summary.json"):
        remote.write(key, key.encode())
    sizes = {name: file.size for name, file in remote.files("trials/1").items()}
    assert sizes == {"summary.json": len("trials/1/summary.json"), "checkpoints/step-1.pt": 30}
    assert len(remote.files()) == 3


def test_a_file_is_removed_and_one_that_is_not_there_may_be(remote: RemoteFolder) -> None:
    remote.write("a/b", b"x")
    remote.remove("a/b")
    remote.remove("a/b")
    assert remote.files("a") == {}


def test_a_folder_is_sent_and_fetched_without_what_is_not_wanted(remote: RemoteFolder, tmp_path: Path) -> None:
    here, there = tmp_path / "sent", tmp_path / "fetched"
    names = ["config.yaml", "samples/1.png", "checkpoints/step-1.pt"]
    for name in names:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    send(remote, "trials/1", here, names)
    remote.fetch("trials/1", there, light)
    assert {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()} == set(names[:2])
    assert (there / "samples" / "1.png").read_text() == "samples/1.png"


def test_what_changed_is_fetched_again_and_what_is_only_here_stays(remote: RemoteFolder, tmp_path: Path) -> None:
    remote.write("a/rows", b"1\n")
    remote.fetch("a", tmp_path)
    (tmp_path / "own").touch()
    remote.write("a/rows", b"1\n2\n")
    remote.fetch("a", tmp_path)
    assert (tmp_path / "rows").read_bytes() == b"1\n2\n"
    assert (tmp_path / "own").exists()


def test_what_is_here_already_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = RemoteFolder(f"file://{tmp_path}/there")
    remote.write("a/rows", b"1\n")
    remote.fetch("a", tmp_path / "here")
    monkeypatch.setattr(remote, "read", lambda _: pytest.fail("it was read again"))
    remote.fetch("a", tmp_path / "here")
    os.utime(tmp_path / "here" / "rows", (0, 0))
    with pytest.raises(pytest.fail.Exception):
        remote.fetch("a", tmp_path / "here")


def test_a_write_that_is_cut_off_leaves_the_file_as_it_was(
    remote: RemoteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.write("a/b", b"before")
    put: Callable[[str, bytes], None] = remote._put

    def killed(path: str, content: bytes) -> None:
        put(f"{path}.partial-1", content[:3])
        raise KeyboardInterrupt

    monkeypatch.setattr(remote, "_put", killed)
    with pytest.raises(KeyboardInterrupt):
        remote.write("a/b", b"after this")
    assert remote.read("a/b") == b"before"
    assert list(remote.files("a")) == ["b"]


def test_a_file_system_that_refuses_is_the_machines_fault_and_told_with_the_uri(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    remote = RemoteFolder(f"file://{tmp_path}/taken")
    with pytest.raises(RemoteError, match=r"(?s)file://.*/taken: .*fix: .*credentials") as caught:
        remote.write("a/b", b"x")
    assert machine_fault(caught.value) == str(caught.value)


@pytest.mark.parametrize("uri", ["nosuch://bucket/folder", "hdfs3://x/y"])
def test_a_file_system_that_nobody_knows_is_refused(uri: str) -> None:
    with pytest.raises(RemoteError, match=r"(?s)no such file system, or a package is missing.*fix: .*install"):
        RemoteFolder(uri)


def test_the_query_of_a_uri_stays_at_its_end() -> None:
    assert below("s3://bucket/a/?region=eu-west-1", "trials", "3") == "s3://bucket/a/trials/3?region=eu-west-1"


def test_checkpoints_of_a_folder_that_points_to_a_uri_are_brought(tmp_path: Path) -> None:
    RemoteFolder(f"file://{tmp_path}/there").write("trials/1/checkpoints/step-1.pt", b"state")
    (tmp_path / "here").mkdir()
    bring_checkpoints(tmp_path / "here")
    assert not (tmp_path / "here" / "checkpoints").exists()
    point_to(tmp_path / "here", f"file://{tmp_path}/there/trials/1")
    bring_checkpoints(tmp_path / "here")
    assert (tmp_path / "here" / "checkpoints" / "step-1.pt").read_bytes() == b"state"
    assert (tmp_path / "here" / POINTER).is_file()
