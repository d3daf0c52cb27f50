"""Two drivers on one study in a real PostgreSQL, each a process with a results folder of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
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
    monkeypatch.setenv("FAKE_RAY", "InThisProcess")
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


DIGITS = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  training: {iterations: 60, batch_size: 8}
space: {method.beta: {log_uniform: [1e-3, 1]}}
search: {trials: 8, startup_trials: 2, confirm: false}
pruner: {name: none}
"""


@pytest.mark.timeout(1200)
def test_two_commands_with_a_ray_each_train_a_study_together_each_trial_once(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    (tmp_path / "digits.yaml").write_text(DIGITS + f"study: {{storage: '{database}'}}\n")
    command = [sys.executable, "-m", "hypercl", "sweep", str(tmp_path / "digits.yaml"), "--cpus", "1", "--no-final"]

    def start(name: str, *more: str) -> "subprocess.Popen[str]":
        with (tmp_path / f"{name}.log").open("w") as log:
            words = [*command, "--results", str(tmp_path / name), *more]
            return subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, text=True, cwd=tmp_path)

    def said(name: str) -> str:
        return (tmp_path / f"{name}.log").read_text()

    drivers = [start("a")]
    try:
        end = time.monotonic() + 400
        while not (tmp_path / "a" / "digits" / "trials" / "0").exists():
            assert drivers[0].poll() is None, said("a")
            assert time.monotonic() < end
            time.sleep(0.1)
        drivers.append(start("b", "--join"))
        codes = [driver.wait(700) for driver in drivers]
    finally:
        for driver in drivers:
            driver.kill()
            driver.wait()
    assert codes == [0, 0], said("a") + said("b")
    records = [read_sweep(tmp_path / name / "digits") for name in "ab"]
    assert [record.trained for record in records] == [8, 8]
    assert all(trial.state.is_finished() for trial in records[0].trials)
    trained = [{int(run.name) for run in (record.folder / "trials").iterdir()} for record in records]
    assert all(trained)
    assert not trained[0] & trained[1]
    assert trained[0] | trained[1] == set(range(8))
    rows = {key: row for key, row in records[0].attributes.items() if key.startswith("driver:")}
    assert {row["folder"] for row in rows.values()} == {str(record.folder) for record in records}
