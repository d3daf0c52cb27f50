"""Files that are there whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

from hypercl.files import remove_partials, write_text

KILLED = """
import os, pathlib, signal, sys
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
from hypercl.files import write_text
write_text(pathlib.Path(sys.argv[1]), "new")
"""


def test_what_a_killed_writer_left_is_removed_and_its_file_is_as_before(tmp_path: Path) -> None:
    below = tmp_path / "trials" / "0" / "summary.json"
    write_text(below, "old")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(below)])
    process.wait()
    assert (below.parent / f"summary.json.partial-{process.pid}").exists()
    remove_partials(tmp_path)
    assert [path.name for path in below.parent.iterdir()] == ["summary.json"]
    assert below.read_text() == "old"


def test_the_partial_file_of_a_writer_that_is_alive_stays_for_an_hour(tmp_path: Path) -> None:
    partial, other = tmp_path / f"a.csv.partial-{os.getppid()}", tmp_path / "notes.partial-draft"
    partial.touch()
    other.touch()
    remove_partials(tmp_path)
    assert partial.exists()
    os.utime(partial, (0, 0))
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [other.name]


def test_a_folder_in_a_files_place_is_renamed_and_keeps_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "summary.json").mkdir()
    (tmp_path / "summary.json" / "notes.txt").write_text("mine")
    write_text(tmp_path / "summary.json", "new")
    assert (tmp_path / "summary.json").read_text() == "new"
    (kept,) = tmp_path.glob("summary.json.folder-*/notes.txt")
    assert kept.read_text() == "mine"
