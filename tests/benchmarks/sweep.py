"""Group `sweep`: how busy a sweep keeps its slots with trials of ten seconds, and what its driver takes meanwhile.

The trials sleep between their twenty reports: a slot is busy, and nothing but the sweep's own work takes CPU time. Each
writes when its first step began and when it ended; what lies between is the trial's time. The driver's CPU time, user
and system, of its process alone, is read from `/proc` four times a second; Ray's own daemons are not in it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hypercl.config import UserError
from tests.benchmarks.options import Options
from tests.benchmarks.table import Row, share

SLOTS = 2
SCRIPT = Path(__file__).parent / "idle_sweep.py"


def measures(options: Options) -> Iterator[Row]:
    """Wall time is that from the first trial's first step to the last trial's end."""
    with tempfile.TemporaryDirectory() as folder:
        trials, cpu_times = _sweep(Path(folder) / "idle", options.trials)
    began, ended = min(began for began, _ in trials), max(ended for _, ended in trials)
    busy, wall = sum(end - start for start, end in trials), ended - began
    what = f"sweep of {len(trials)} trials of about 10 s on {SLOTS} slots: "
    yield share(what + "trial time over slots x wall time", ">= 0.95", "s", busy, SLOTS * wall)
    spent = [cpu for at, cpu in cpu_times if began <= at <= ended]
    yield share(what + "CPU time of the driver over wall time", "<= 0.05", "s", spent[-1] - spent[0], wall)


def _sweep(folder: Path, trials: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Begin and end of each trial; the driver's CPU time at moments on the same clock."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(SCRIPT.parent), _path())))}
    command = [sys.executable, str(SCRIPT), str(folder), str(trials)]
    with tempfile.TemporaryFile("w+") as output:
        driver = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        cpu_times = []
        while driver.poll() is None:
            cpu_times.append((time.time(), _cpu_seconds(driver.pid)))
            time.sleep(0.25)
        output.seek(0)
        found = [json.loads(path.read_text()) for path in folder.glob("trials/*/times.json")]
        if driver.returncode or len(found) != trials:
            raise UserError(f"the sweep of {trials} trials ended with {len(found)}:\n{output.read().strip()[-2000:]}")
    return [(each["began"], each["ended"]) for each in found], cpu_times


def _path() -> str:
    return os.environ.get("PYTHONPATH", "")


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far; fields 14 and 15, counted after its name in brackets."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
