import errno
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from hypercl.config import UserError
from hypercl.tasks import image_files as image_cache
from hypercl.tasks.image_files import cached
from hypercl.tasks.stream import Source

LISTING = [("a/0.png", 10, 1), ("b/0.png", 11, 2)]


def decoded(seed=0):
    images = torch.randint(256, (20, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return Source(images, torch.arange(20) % 2, ("a", "b"))


def never():
    raise AssertionError("the cache was there")


def same(one, other):
    return torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def data_dir(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def folders(data_dir):
    return sorted(path for path in (data_dir / ".hypercl-cache").iterdir() if path.is_dir())


def test_images_are_decoded_once_and_come_back_the_same(data_dir, home):
    first = cached(data_dir, "set-train", LISTING, decoded)
    again = cached(data_dir, "set-train", LISTING, never)
    assert same(first, decoded())
    assert same(again, decoded())
    assert again.classes == ("a", "b")
    assert len(folders(data_dir)) == 1
    assert not home.exists()


def test_a_changed_listing_is_decoded_anew_and_the_old_cache_goes(data_dir):
    cached(data_dir, "set-train", LISTING, decoded)
    cached(data_dir, "set-test", LISTING, lambda: decoded(1))
    for changed in ([LISTING[0], ("b/0.png", 12, 2)], [LISTING[0], ("b/0.png", 11, 3)], LISTING[:1]):
        assert same(cached(data_dir, "set-train", changed, lambda: decoded(2)), decoded(2))
        assert len(folders(data_dir)) == 2
    cached(data_dir, "set-test", LISTING, never)


def test_images_are_mapped_and_writing_to_them_changes_no_file(data_dir):
    images = cached(data_dir, "set", LISTING, decoded).images
    file = folders(data_dir)[0] / "images.npy"
    assert str(file) in Path("/proc/self/maps").read_text() or not Path("/proc/self/maps").exists()
    images.zero_()
    assert same(cached(data_dir, "set", LISTING, never), decoded())


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "classes.json"])
def test_a_truncated_cache_is_made_again(data_dir, name):
    cached(data_dir, "set", LISTING, decoded)
    file = folders(data_dir)[0] / name
    file.write_bytes(file.read_bytes()[:-5])
    assert same(cached(data_dir, "set", LISTING, decoded), decoded())
    cached(data_dir, "set", LISTING, never)


def test_leftovers_of_a_killed_process_are_swept_away(data_dir):
    leftover = data_dir / ".hypercl-cache" / "set-partial-x1"
    leftover.mkdir(parents=True)
    (leftover / "images.npy").write_bytes(b"half")
    cached(data_dir, "set", LISTING, decoded)
    assert not leftover.exists()


def test_where_the_data_cannot_be_written_the_cache_is_at_home(data_dir, home):
    (data_dir / ".hypercl-cache").write_text("a file in the way")
    assert same(cached(data_dir, "set", LISTING, decoded), decoded())
    assert list(home.rglob("images.npy"))
    cached(data_dir, "set", LISTING, never)
    other = data_dir.with_name("other")
    other.mkdir()
    (other / ".hypercl-cache").write_text("a file in the way")
    assert same(cached(other, "set", LISTING, lambda: decoded(1)), decoded(1))
    cached(data_dir, "set", LISTING, never)


def test_a_full_disk_is_told_with_every_place_tried_and_leaves_nothing(data_dir, home, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(image_cache.np, "save", full)
    with pytest.raises(UserError) as caught:
        cached(data_dir, "set", LISTING, decoded)
    assert "No space left" in str(caught.value)
    assert str(data_dir) in str(caught.value)
    assert str(home) in str(caught.value)
    assert "XDG_CACHE_HOME" in str(caught.value)
    assert not list(data_dir.rglob("images.npy"))
    assert not folders(data_dir)


def test_a_failure_to_decode_leaves_nothing(data_dir):
    def broken():
        raise UserError("x.png cannot be read")

    with pytest.raises(UserError, match=r"x\.png"):
        cached(data_dir, "set", LISTING, broken)
    assert not folders(data_dir)


def _race(data_dir, start, results):
    def decode():
        (data_dir / f"decoded-{os.getpid()}").touch()
        return decoded()

    start.wait()
    results.put(int(cached(data_dir, "set", LISTING, decode).images.to(torch.int64).sum()))


def test_of_two_processes_one_decodes_and_both_read(data_dir):
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_race, args=(data_dir, start, results)) for _ in range(2)]
    for process in processes:
        process.start()
    sums = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sums == [int(decoded().images.to(torch.int64).sum())] * 2
    assert len(list(data_dir.glob("decoded-*"))) == 1
    assert np.load(folders(data_dir)[0] / "labels.npy").shape == (20,)
