"""Whole sweeps whose processes are killed at random, and what is left of them.

Each command runs on this machine or on a cluster of two nodes, by chance, and the next one goes on from it.
In full it takes hours. `ENDURANCE=12,30,60` has 12 trials a sweep and 30 kills in all, and kills nobody after an hour.
"""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fake_training import SECONDS, TEXT
from killed_sweeps import Sweeps
from optuna.trial import TrialState
from random_kills import Killer

from hypercl.cli import main
from hypercl.config import loads
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
final: {{auto: true, settings: 1, seeds: 5}}
pruner: {{name: none}}
"""


@pytest.fixture
def killer() -> Generator[Killer]:
    with TemporaryDirectory(prefix="e-", dir="/tmp", ignore_cleanup_errors=True) as folder:  # sockets need a short path
        made = Killer(Path(folder), KILLS, 60 * MINUTES)
        yield made
        made.stop()


def test_a_sweep_whose_processes_are_killed_at_random_loses_nothing(tmp_path: Path, killer: Killer) -> None:
    (tmp_path / "s.yaml").write_text(FILE)
    ended, sweeps, log = Counter[int](), 0, tmp_path / "log.txt"
    while killer.goes_on:
        sweeps += 1
        folder = tmp_path / "results" / f"s{sweeps}"
        command, code = [sys.executable, "-m", "hypercl", "sweep", "s.yaml", "--name", folder.name], None
        while code != 0:
            code = killer.session(command, folder, log)
            ended[code] += 1
            said = log.read_text()
            gone = code == 2 and "no Ray cluster answers" in said[-500:]  # its head was killed before the driver came
            assert code in (0, 74, -signal.SIGKILL) or gone, said[-5000:]
            assert "Traceback" not in said, said[-5000:]
            print(
                f"sweep {sweeps}, killed {dict(killer.killed)} in {dict(killer.stages)}, ended {dict(ended)}",
                flush=True,
            )
        _require_whole(folder)
        _require_nothing_left(tmp_path, folder, killer)


def _require_whole(folder: Path) -> None:
    trials = read_sweep(folder).trials
    assert len(trials) == TRIALS
    assert Counter(trial.state for trial in trials) == {TrialState.COMPLETE: TRIALS}
    records = [json.loads(line) for line in (folder / "study.journal").read_text().splitlines()]
    told = Counter(each["trial_id"] for each in records if each["op_code"] == 6 and each["state"])
    assert set(told.values()) == {1}
    for trial in trials:
        assert list(trial.intermediate_values) == list(range(1, (trial.last_step or 0) + 1))
    final = json.loads((folder / "final" / "final.json").read_text())
    assert all(len(setting["seeds"]) == 5 and not setting["lost"] for setting in final["settings"])
    runs = [
        path.parent for where in ("trials/*", "race/*/*", "final/*/*") for path in folder.glob(f"{where}/config.yaml")
    ]
    assert {run.relative_to(folder).parts[0] for run in runs} == {"trials", "race", "final"}
    for trained in runs:
        metrics, rows = _undisturbed((trained / "config.yaml").read_text(), trained.is_relative_to(folder / "final"))
        summary = RunSummary.read(trained)
        assert summary is not None
        assert summary.metrics == metrics, trained
        assert [_measured(row) for row in read_rows(trained)] == rows, trained
    assert main(["doctor", str(folder)]) == 0


@cache
def _undisturbed(config: str, test: bool) -> tuple[Mapping[str, Any], list[dict[str, float]]]:
    """What a run measures when nobody disturbs it; every sweep tries the same settings."""
    with TemporaryDirectory() as name:
        folders = RunFolders(Path(name) / "run", Path(name))
        reports = [
            each
            for each in run(loads(config, "config.yaml").experiment, folders, test=test)
            if isinstance(each, Report)
        ]
        summary = RunSummary.read(folders.folder)
        assert summary is not None
        return summary.metrics, [_measured(json.loads(encode(row))) for each in reports for row in each.rows]


def _measured(row: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in row.items() if value is not None and "second" not in key}


def _require_nothing_left(work: Path, folder: Path, killer: Killer) -> None:
    end = time.monotonic() + 60
    while (left := killer.left()) and time.monotonic() < end:
        time.sleep(0.5)
    assert not left
    assert not [path for path in folder.rglob("*") if partial_writer(path) is not None]
    assert {path.name for path in folder.iterdir() if path.name.startswith(".")} <= {".driver.lock"}
    assert {path.name for path in work.iterdir()} == {"s.yaml", "log.txt", "results"}


def test_a_short_trial_takes_the_driver_little_time(sweeps: Sweeps) -> None:
    """Less than a twentieth of ten seconds of processor time, at the end of a sweep as at its beginning."""
    sweeps.file.write_text(
        TEXT.replace("trials: 6, startup_trials: 3", "trials: 120, sampler: random").replace("asha", "none")
    )
    process, marks = sweeps.start(**{SECONDS: "0"}), list[tuple[int, float]]()
    for count in (20, 65, 110):
        sweeps.wait_for(process, lambda count=count: _ended(sweeps) >= count, limit=1800)
        marks.append((_ended(sweeps), _processor_time(process.pid)))
    process.communicate(timeout=1800)
    assert process.returncode == 0
    early, late = ((to[1] - at[1]) / (to[0] - at[0]) for at, to in pairwise(marks))
    assert max(early, late) < 0.5
    assert late < 2 * early


def _ended(sweeps: Sweeps) -> int:
    return len(list(sweeps.folder.glob("trials/*/summary.json")))


def _processor_time(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
