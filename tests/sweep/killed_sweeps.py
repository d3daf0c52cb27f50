"""A quick sweep as a process of its own, to be killed, cut off and started again."""

import csv
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from hypercl.sweep.study.journal import open_journal

HERE = Path(__file__).parent
LIMIT = 300
TRIALS = 5
WITHOUT_RAY = {"FAKE_RAY": "TrainedHere"}
"""Trains in the driver's own process: for what is about the files of a sweep, which Ray neither writes nor reads."""


def low_memory(room: int) -> dict[str, str]:
    """Has Ray's memory monitor kill a process once this machine's memory in use has grown by so many bytes."""
    known = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(known[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    share = f"{(total - free + room) / total:.4f}"
    return {"RAY_memory_usage_threshold": share, "RAY_memory_monitor_refresh_ms": "50"}


class Sweeps:
    """The same command, again and again."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder, self.file = folder / "results" / "quick", folder / "quick.yaml"
        self.file.write_text(text)

    def start(self, *more: str, **env: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(HERE / "fake_sweep.py"), str(self.folder), str(self.file), *more]
        return subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": str(HERE)} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=HERE,
        )

    def run(self, *more: str, **env: str) -> tuple[int, str]:
        process = self.start(*more, **env)
        out, err = process.communicate(timeout=LIMIT)
        return process.returncode, out + err

    def wait_for(self, process: subprocess.Popen[str], met: Callable[[], bool], limit: float = LIMIT) -> None:
        end = time.monotonic() + limit
        while not met():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)

    def steps(self) -> int:
        """Reports of all trials so far."""
        return sum(len(path.read_text().split()) for path in self.folder.glob("trials/*/steps.txt"))

    def starts(self, number: int) -> list[int]:
        return [int(pid) for pid in (self.folder / "trials" / str(number) / "starts.txt").read_text().split()]

    def trials(self) -> list[FrozenTrial]:
        storage = open_journal(self.folder / "study.journal")
        name = optuna.get_all_study_names(storage)[0]
        return optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)

    def kinds(self) -> Counter[str]:
        return Counter(row["state"] for row in csv.DictReader((self.folder / "trials.csv").read_text().splitlines()))

    def finished(self) -> dict[int, Any]:
        return {trial.number: (trial.state, trial.values) for trial in self.trials() if trial.state.is_finished()}


def check_whole(sweeps: Sweeps) -> None:
    """The budget is met exactly; every trial told once, every report of every trained trial there once, in order."""
    trials = sweeps.trials()
    assert all(trial.state.is_finished() for trial in trials)
    trained = [trial for trial in trials if trial.user_attrs["outcome"]["kind"] != "infeasible"]
    assert len(trained) == TRIALS
    journal = (sweeps.folder / "study.journal").read_text().splitlines()
    tells = [line for line in journal if '"op_code":6' in line and '"state":0' not in line]
    told = Counter(line.split('"trial_id":')[1].split(",")[0] for line in tells)
    assert told == {str(trial._trial_id): 1 for trial in trials}
    for trial in trained:
        steps = (sweeps.folder / "trials" / str(trial.number) / "steps.txt").read_text().split()
        assert steps == [str(step) for step in range(1, len(steps) + 1)]
        assert list(trial.intermediate_values) == list(range(1, trial.last_step + 1))
        if trial.state == TrialState.COMPLETE:
            assert trial.last_step == 20
        else:
            assert trial.values == [trial.intermediate_values[trial.last_step]]
