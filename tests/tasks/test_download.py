import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import URLError

import pytest
from task_data import make_mnist

from hypercl.config import UserError
from hypercl.config.models.tasks import SplitCIFAR, SplitMNIST
from hypercl.tasks import download, open_stream, open_with_test

ASKED = SplitMNIST(download=True)


@pytest.fixture
def fetched(monkeypatch):
    """torchvision's place taken by a source that is always there; the calls."""
    calls = []

    def fetch(name, root):
        calls.append(name)
        make_mnist(root)

    monkeypatch.setattr(download, "fetch_with_torchvision", fetch)
    return calls


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_missing_data_is_fetched_once_and_leaves_nothing_beside(tmp_path, fetched):
    data_dir = tmp_path / "not" / "yet"
    assert len(open_with_test(ASKED, data_dir, offline=False).test(0)) > 0
    open_stream(ASKED, data_dir, offline=False)
    assert fetched == ["MNIST"]
    assert [name for name in names(data_dir) if not name.endswith(".lock")] == [
        f"MNIST/raw/{half}-{kind}-ubyte" for half in ("t10k", "train") for kind in ("images-idx3", "labels-idx1")
    ]


def test_data_that_is_there_is_not_fetched(tmp_path, fetched):
    make_mnist(tmp_path)
    open_with_test(ASKED, tmp_path, offline=False)
    assert not fetched


def test_of_many_at_once_one_fetches_and_the_others_wait(tmp_path, fetched):
    with ThreadPoolExecutor(8) as pool:
        streams = list(pool.map(lambda _: open_stream(ASKED, tmp_path, offline=False), range(8)))
    assert fetched == ["MNIST"]
    assert {len(stream.task(0).train) for stream in streams} == {22}


def test_what_is_there_already_is_kept_when_the_rest_is_fetched(tmp_path, fetched):
    raw = make_mnist(tmp_path, halves=("train",))
    file = raw / "train-images-idx3-ubyte"
    before = file.stat().st_mtime_ns
    open_with_test(ASKED, tmp_path, offline=False)
    assert fetched == ["MNIST"]
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("asked", "offline", "reason", "way_on"),
    [
        (False, False, "does not say `download: true`", "download: true` in the section"),
        (True, True, "--offline or HYPERCL_OFFLINE is set", "omit --offline"),
        (False, True, "does not say `download: true`", "omit --offline"),
    ],
)
def test_missing_data_that_may_not_be_fetched_is_told_with_all_ways_on(
    tmp_path, fetched, asked, offline, reason, way_on
):
    with pytest.raises(UserError) as caught:
        open_stream(SplitMNIST(download=asked), tmp_path, offline=offline)
    message = str(caught.value)
    assert "MNIST not found" in message
    assert reason in message
    assert way_on in message
    assert f"looked in: {tmp_path}/MNIST/raw" in message
    assert "put there: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k" in message
    assert "--data-dir" in message
    assert "HYPERCL_DATA" in message
    assert not fetched
    assert not list(tmp_path.iterdir())


def test_both_missing_cifars_are_told_at_once_with_both_layouts(tmp_path):
    with pytest.raises(UserError) as caught:
        open_stream(SplitCIFAR(), tmp_path, offline=True)
    assert f"looked in: {tmp_path}/cifar10/train and {tmp_path}/cifar-10-batches-py" in str(caught.value)
    assert "cifar10/train/CLASS/*.png" in str(caught.value)
    assert "torchvision's cifar-10-batches-py/" in str(caught.value)
    assert f"looked in: {tmp_path}/cifar100/train and {tmp_path}/cifar-100-python" in str(caught.value)


@pytest.mark.parametrize(
    "error", [URLError("no route to host"), TimeoutError("timed out"), RuntimeError("File not found or corrupted.")]
)
def test_a_failed_download_leaves_no_half_file_and_can_be_repeated(tmp_path, monkeypatch, error):
    def broken(_, root):
        raw = make_mnist(root)
        (raw / "train-labels-idx1-ubyte").write_bytes(b"half")
        raise error

    monkeypatch.setattr(download, "fetch_with_torchvision", broken)
    with pytest.raises(UserError, match=r"the download failed: .*(no route|timed out|corrupted)"):
        open_stream(ASKED, tmp_path, offline=False)
    assert [name for name in names(tmp_path) if not name.endswith(".lock")] == []
    monkeypatch.setattr(download, "fetch_with_torchvision", lambda _, root: make_mnist(root))
    assert len(open_stream(ASKED, tmp_path, offline=False).task(0).train) == 22


def test_a_data_folder_that_cannot_be_written_is_told(tmp_path, fetched):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="the download failed"):
        open_stream(ASKED, tmp_path / "file", offline=False)
    assert not fetched


KILLED = """
import os, signal, sys
from pathlib import Path
from hypercl.config.models.tasks import SplitMNIST
from hypercl.tasks import download, open_stream

def fetch(name, root):
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

download.fetch_with_torchvision = fetch
open_stream(SplitMNIST(download=True), Path(sys.argv[1]), offline=False)
"""


@pytest.mark.faults
def test_a_download_killed_half_way_is_swept_away_by_the_next(tmp_path, fetched):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert any("train-images" in name for name in names(tmp_path))
    stream = open_stream(ASKED, Path(tmp_path), offline=False)
    assert len(stream.task(0).train) == 22
    assert fetched == ["MNIST"]
    assert all(name.startswith("MNIST/raw/") or name.endswith(".lock") for name in names(tmp_path))
