"""Whole sweeps whose processes are killed at random, and what is left of them.

In full it takes hours. `ENDURANCE=12,30,60` has 12 trials a sweep and 30 kills in all, and kills nobody after an hour.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fake_training import SECONDS, TEXT
from killed_sweeps import Sweeps
from optuna.trial import TrialState

from hypercl.cli import main
from hypercl.config import load
from hypercl.files import partial_writer
from hypercl.loggers.jsonl import encode, read_rows
from hypercl.sweep.study import read_sweep
from hypercl.training import Report, RunFolders, RunSummary, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(12 * 3600)]
TRIALS, KILLS, MINUTES = map(int, os.environ.get("ENDURANCE", "60,200,600").split(","))
FILE = f"""
experiment:
  tasks: {{name: split_digits, num_tasks: 3, validation: 0.25}}
  target: {{name: mlp, hidden: [16]}}
  hypernet: {{name: chunked, hidden: [6], chunk_size: 300, task_embedding: 4, chunk_embedding: 3}}
  training: {{iterations: 60, batch_size: 16, threads: 1, device: cpu}}
space:
  method.beta: {{log_uniform: [1e-4, 10]}}
  training.optimizer.lr: {{log_uniform: [1e-4, 1e-2]}}
search: {{sampler: random, trials: {TRIALS}, race: {{settings: 2, seeds: 3}}}}
final: {{settings: 1, seeds: 5}}
pruner: {{name: none}}
"""
VICTIMS = {"driver": 3, "trial": 4, "raylet": 1, "gcs_server": 1, "agent": 1}
"""How often each kind of process is drawn to be killed."""


@pytest.fixture
def temporary() -> Generator[Path]:
    """The temporary folder of the sweep and all its processes; the sockets in it need a short path."""
    with TemporaryDirectory(prefix="e-", dir="/tmp") as folder:
        yield Path(folder)


def processes(temporary: Path) -> Iterator[tuple[int, str]]:
    """Each living process of the sweep, by its temporary folder, and what kind it is."""
    mark = f"ENDURANCE_FOLDER={temporary}\0".encode()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (path / "environ").read_bytes() + b"\0":
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield int(path.name), _kind(command)


def _kind(command: str) -> str:
    if "hypercl sweep" in command:
        return "driver"
    if command.startswith("ray::") and "IDLE" not in command and "Agent" not in command:
        return "trial"
    for name in ("raylet/raylet", "gcs_server"):
        if name in command.partition(" ")[0]:
            return name.rpartition("/")[2]
    return "agent"


class Killer:
    """Kills processes of a sweep: four times in five some seconds after trials have made progress, else at any moment.

    Args:
        results: in which the trials' files grow.
        temporary: the folder by which the processes are known.
    """

    def __init__(self, results: Path, temporary: Path) -> None:
        self._results, self._temporary, self._rng = results, temporary, random.Random(1)
        self.killed, self._end = Counter[str](), time.monotonic() + 60 * MINUTES

    @property
    def goes_on(self) -> bool:
        """Whether somebody is still to be killed."""
        return sum(self.killed.values()) < KILLS and time.monotonic() < self._end

    def disturb(self, driver: subprocess.Popen[bytes]) -> int:
        """Kills one process after the other until the driver has ended; returns its exit code."""
        while driver.poll() is None and self.goes_on:
            before = self._progress() if self._rng.random() < 0.8 else -1
            while driver.poll() is None and self._progress() == before and time.monotonic() < self._end:
                time.sleep(0.5)
            time.sleep(self._rng.uniform(0, 10))
            (kind,) = self._rng.choices(list(VICTIMS), list(VICTIMS.values()))
            there = sorted(pid for pid, own in processes(self._temporary) if own == kind)
            if there and driver.poll() is None:
                with suppress(ProcessLookupError):
                    os.kill(self._rng.choice(there), signal.SIGKILL)
                    self.killed[kind] += 1
        return driver.wait()

    def _progress(self) -> int:
        return sum(path.stat().st_size for path in self._results.rglob("metrics.jsonl"))


def test_a_sweep_whose_processes_are_killed_at_random_loses_nothing(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "s.yaml").write_text(FILE)
    environment = os.environ | {"TMPDIR": str(temporary), "ENDURANCE_FOLDER": str(temporary)}
    killer, ended, sweeps = Killer(tmp_path / "results", temporary), Counter[int](), 0
    while killer.goes_on:
        sweeps += 1
        folder = tmp_path / "results" / f"s{sweeps}"
        command = [sys.executable, "-m", "hypercl", "sweep", "s.yaml", "--name", folder.name]
        code = None
        while code != 0:
            with (tmp_path / "log.txt").open("ab") as log:
                driver = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
            code = killer.disturb(driver)
            ended[code] += 1
            said = (tmp_path / "log.txt").read_text()
            assert code in (0, 74, -signal.SIGKILL), said[-5000:]
            assert "Traceback" not in said, said[-5000:]
            print(f"sweep {sweeps}: killed {dict(killer.killed)}, exit codes {dict(ended)}", flush=True)
        _require_whole(folder)
        _require_nothing_left(tmp_path, folder, temporary)


def _require_whole(folder: Path) -> None:
    record = read_sweep(folder)
    trials = record.trials
    assert len(trials) == TRIALS
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    records = [json.loads(line) for line in (folder / "study.journal").read_text().splitlines()]
    told = Counter(each["trial_id"] for each in records if each["op_code"] == 6 and each["state"])
    assert set(told.values()) == {1}
    for trial in trials:
        assert list(trial.intermediate_values) == list(range(1, (trial.last_step or 0) + 1))
        _require_undisturbed(folder / "trials" / str(trial.number))
    final = json.loads((folder / "final" / "final.json").read_text())
    assert all(len(setting["seeds"]) == 5 and not setting["lost"] for setting in final["settings"])
    for path in folder.glob("final/*/*/config.yaml"):
        _require_undisturbed(path.parent, test=True)
    assert main(["doctor", str(folder)]) == 0


def _require_undisturbed(trained: Path, test: bool = False) -> None:
    """What a run measured is what it measures when nobody disturbs it."""
    with TemporaryDirectory() as other:
        folders = RunFolders(Path(other) / "run", Path(other))
        experiment = load(trained / "config.yaml").experiment
        rows = [
            json.loads(encode(row))
            for item in run(experiment, folders, test=test)
            if isinstance(item, Report)
            for row in item.rows
        ]
        own, other_summary = RunSummary.read(trained), RunSummary.read(folders.folder)
        assert own is not None
        assert other_summary is not None
        assert own.metrics == other_summary.metrics, trained
        known = [{key: value for key, value in row.items() if value is not None} for row in rows]
        assert [_measured(row) for row in read_rows(trained)] == [_measured(row) for row in known], trained


def _measured(row: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in row.items() if "seconds" not in key and "second" not in key}


def _require_nothing_left(work: Path, folder: Path, temporary: Path) -> None:
    end = time.monotonic() + 30
    while (left := list(processes(temporary))) and time.monotonic() < end:
        time.sleep(0.5)
    assert not left
    assert not [path for path in folder.rglob("*") if partial_writer(path) is not None]
    helpers = {".driver.lock"}
    assert {path.name for path in folder.iterdir() if path.name.startswith(".")} <= helpers
    assert {path.name for path in work.iterdir()} == {"s.yaml", "log.txt", "results"}
    assert not list(temporary.iterdir())


def test_a_short_trial_takes_the_driver_little_time(sweeps: Sweeps) -> None:
    """Less than a twentieth of ten seconds of processor time, at the end of a sweep as at its beginning."""
    sweeps.file.write_text(TEXT.replace("trials: 6", "trials: 120, sampler: random"))
    process, marks = sweeps.start(**{SECONDS: "0"}), list[tuple[int, float]]()
    for count in (20, 65, 110):
        sweeps.wait_for(process, lambda count=count: _ended(sweeps) >= count)
        marks.append((_ended(sweeps), _processor_time(process.pid)))
    process.communicate(timeout=600)
    assert process.returncode == 0
    early, late = ((to[1] - at[1]) / (to[0] - at[0]) for at, to in pairwise(marks))
    assert max(early, late) < 0.5
    assert late < 2 * early


def _ended(sweeps: Sweeps) -> int:
    return len(list(sweeps.folder.glob("trials/*/summary.json")))


def _processor_time(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
