"""The shipped batch script on a SLURM of two nodes, unchanged: wall time, requeue, a step that is cancelled."""

import csv
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.real.two_node_slurm import is_possible, two_nodes

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "launch" / "cluster" / "slurm.sbatch"
LIMIT = 900
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * LIMIT)]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Runs a command of SLURM's."""
    if not is_possible():
        pytest.skip("needs root and apt-get install slurm-wlm munge")

    def ask(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    with two_nodes(tmp_path / "slurm") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield ask
        ask("scancel", "--signal=KILL", "--full", "--user", str(os.getuid()))


def states(results: Path) -> dict[str, str]:
    """Each trial's state."""
    file = results / "quickstart" / "trials.csv"
    rows = csv.DictReader(file.read_text().splitlines()) if file.exists() else ()
    return {row["number"]: row["state"] for row in rows}


def folders_of_jobs() -> set[Path]:
    return set(Path("/tmp").glob("hslurm-*"))


def wait_for(met: Callable[[], object], output: Path) -> None:
    end = time.monotonic() + LIMIT
    while not met():
        assert time.monotonic() < end, output.read_text()
        time.sleep(0.5)


def test_a_sweep_on_two_nodes_outlives_its_wall_time_and_a_step(
    slurm: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, results, before = tmp_path / "quickstart.yaml", tmp_path / "results", folders_of_jobs()
    text = (ROOT / "search_spaces" / "quickstart.yaml").read_text()
    quick = text.replace("seeds: 4", "seeds: 1").replace("confirm: {settings: 1}", "confirm: false")
    file.write_text(quick.replace("trials: 14", "trials: 400"))
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    options = ["--parsable", "--nodes=2", "--cpus-per-task=1", "--mem=3000", "--time=30", "--signal=B:USR1@30"]
    job = slurm("sbatch", *options, str(SCRIPT), file.name, "--no-final", "--results", str(results)).strip()
    output = tmp_path / f"hypercl-{job}.out"

    def said(text: str) -> int:
        return output.read_text().count(text) if output.exists() else 0

    def of_job(key: str) -> str:
        shown = dict(pair.split("=", 1) for pair in slurm("scontrol", "show", "job", job).split() if "=" in pair)
        assert shown["JobState"] != "FAILED", output.read_text()
        return shown[key]

    wait_for(lambda: of_job("RunTime") and list(results.glob("quickstart/trials/*/metrics.jsonl")), output)
    hours, minutes, _ = map(int, of_job("RunTime").split(":"))
    slurm("scontrol", "update", f"JobId={job}", f"TimeLimit={60 * hours + minutes + 2}")
    wait_for(lambda: of_job("Restarts") == "1", output)
    assert said(f"job {job} goes back to the queue") == 1
    assert said("interrupted: ") == 1
    assert {"running", "waiting"} & set(states(results).values())
    assert list(results.glob("quickstart/trials/*/checkpoints/*"))

    trained = sum(state in ("complete", "pruned") for state in states(results).values())
    file.write_text(file.read_text().replace("trials: 400", f"trials: {trained + 3}"))
    # a node takes a job that starts in the very second of its requeue for the one that ended
    slurm("scontrol", "update", f"JobId={job}", "TimeLimit=30", "StartTime=now+5")
    wait_for(lambda: of_job("JobState") and said("resumed"), output)
    steps = slurm("squeue", "--steps", "--noheader", "--format=%i %j").split()
    slurm("scancel", "--signal=KILL", steps[steps.index("ray-n2") - 1])
    wait_for(lambda: of_job("JobState") in ("COMPLETED", "CANCELLED"), output)

    assert (of_job("JobState"), of_job("ExitCode")) == ("COMPLETED", "0:0"), output.read_text()
    assert said(f"{trained + 3} trials are trained") == 1
    ends = list(states(results).values())
    assert set(ends) <= {"complete", "infeasible"}  # what is out of bounds is not trained
    assert ends.count("complete") == trained + 3
    assert folders_of_jobs() == before
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [command for command in commands if f"/tmp/hslurm-{job}-".encode() in command]


def test_a_cancelled_job_writes_its_checkpoints_and_stays_cancelled(slurm: Callable[..., str], tmp_path: Path) -> None:
    file, results = ROOT / "search_spaces" / "quickstart.yaml", tmp_path / "results"
    options = ["--parsable", "--nodes=2", "--cpus-per-task=1", "--time=30"]
    job = slurm("sbatch", *options, str(SCRIPT), str(file), "--results", str(results)).strip()
    output = tmp_path / f"hypercl-{job}.out"
    wait_for(lambda: list(results.glob("quickstart/trials/*/metrics.jsonl")), output)
    slurm("scancel", job)
    wait_for(lambda: not slurm("squeue", "--noheader", "--jobs", job).strip(), output)
    assert "interrupted: " in output.read_text()
    assert list(results.glob("quickstart/trials/*/checkpoints/*"))
    assert "JobState=CANCELLED" in slurm("scontrol", "show", "job", job)
