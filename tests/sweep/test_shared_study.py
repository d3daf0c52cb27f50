"""Two drivers on one study in a real PostgreSQL, each a process with a results folder of its own; without Ray."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_training import TEXT
from killed_sweeps import Sweeps

from hypercl.sweep.study.record import read_sweep

PASSWORD = "hunter2-and-more"
TRIALS = 8

pytestmark = pytest.mark.slow


def _program(name: str) -> str:
    there = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(there[-1]) if there else shutil.which(name)
    if found is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    return found


@pytest.fixture
def database() -> Iterator[str]:
    """URL of an empty database that asks for a password; PostgreSQL refuses to run as root."""
    initdb, postgres = _program("initdb"), _program("postgres")
    as_user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pg-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if as_user:
            for path in (folder, folder / "password"):
                shutil.chown(path, **as_user)
        data = str(folder / "data")
        made = [initdb, "-D", data, "-U", "me", "-A", "scram-sha-256", "--pwfile", str(folder / "password"), "-N"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **as_user)
        server = [postgres, "-D", data, "-k", name, "-c", "listen_addresses=", "-c", "fsync=off"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(server, stdout=log, stderr=log, cwd=folder, **as_user)
        try:
            yield f"postgresql://me@/postgres?host={name}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def test_two_drivers_share_a_search_and_one_that_is_killed_is_taken_over(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("FAKE_LEASE", "20")
    monkeypatch.setenv("FAKE_RAY", "1")
    text = TEXT.replace("trials: 6", f"trials: {TRIALS}") + f"study: {{storage: '{database}'}}\n"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    begun, joined = Sweeps(tmp_path / "a", text), Sweeps(tmp_path / "b", text)
    first = begun.start(FAKE_FAULT="wait")  # in its first trial, for ever
    begun.wait_for(first, lambda: (begun.folder / "trials" / "0" / "starts.txt").exists())
    assert "--join to work on it together" in joined.run()[1]
    second = joined.start(FAKE_JOIN="1")
    joined.wait_for(second, lambda: joined.steps() > 2)
    first.kill()
    first.communicate()
    out, err = second.communicate(timeout=280)
    assert second.returncode == 0, out + err
    assert "taken over from a driver that is gone" in out
    assert f"{TRIALS} trials are trained" in out
    assert "belongs to the driver that began the study" in out
    record = read_sweep(joined.folder)
    assert record.trained == TRIALS
    assert record.counts()["running"] == 0
    code, said = begun.run()  # its driver finds the search done
    assert (code, read_sweep(begun.folder).trained) == (0, TRIALS), said
    assert (begun.folder / "trials" / "0" / "starts.txt").is_file()
    assert (joined.folder / "trials" / "0" / "steps.txt").is_file()
    for sweeps in (begun, joined):
        files = [path for path in sweeps.folder.rglob("*") if path.is_file()]
        assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]
