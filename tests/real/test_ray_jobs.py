"""Sweeps submitted as jobs to a Ray cluster: `ray start --head` on this machine, submit, stop, submit again."""

import csv
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")
KEY = "0123456789abcdef" * 2 + "01234567"
QUICKSTART = [sys.executable, "launch/sweep.py", "search_spaces/quickstart.yaml"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def processes_of(folder: str) -> list[int]:
    """Processes that name a folder in their command: all of a Ray whose sessions lie there."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if folder.encode() in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return found


def submit(environment: dict[str, str], entry: list[str]) -> subprocess.CompletedProcess[str]:
    """Waits for a job, and gives back what it printed."""
    command = [str(RAY), "job", "submit", "--working-dir", ".", "--", *entry]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@contextmanager
def head(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """A head of two CPUs, its dashboard's address in the environment that is given back."""
    folder = tempfile.mkdtemp(prefix="hjob-", dir="/tmp")
    url = f"http://127.0.0.1:{(dashboard := free_port())}"
    command = [str(RAY), "start", "--head", "--block", f"--port={free_port()}", f"--dashboard-port={dashboard}"]
    command += [f"--ray-client-server-port={free_port()}", "--num-cpus=2", "--object-store-memory=100000000"]
    # two Rays on one machine: the agent that takes jobs begins without its server where another has its fixed port
    command += [f"--dashboard-agent-listen-port={free_port()}", "--disable-usage-stats", "--temp-dir", folder]
    with (Path(folder) / "head.log").open("w") as log:
        started = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            ready = {**environment, "RAY_API_SERVER_ADDRESS": url}
            deadline = time.monotonic() + 300  # a busy machine's agent takes jobs long after its dashboard answers
            while (tried := submit(ready, ["true"])).returncode:
                assert started.poll() is None, (Path(folder) / "head.log").read_text()
                assert time.monotonic() < deadline, tried.stdout + tried.stderr
            yield ready
        finally:
            with suppress(OSError):
                os.killpg(started.pid, signal.SIGKILL)
            for process in processes_of(folder):
                with suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            started.wait()


def environment_of(token: Path | None) -> dict[str, str]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")} | {"PYTHONUNBUFFERED": "1"}
    plain["PATH"] = f"{RAY.parent}:{plain['PATH']}"
    if token is None:
        return {**plain, "RAY_AUTH_MODE": "disabled"}
    token.write_text(secrets.token_hex(32))
    return {**plain, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}


def trained(results: Path) -> int:
    """Trials of the quickstart that are complete or were stopped early."""
    with (results / "quickstart" / "trials.csv").open() as file:
        return sum(row["state"] in ("complete", "pruned") for row in csv.DictReader(file))


@pytest.mark.parametrize("authenticated", [False, True], ids=["open", "with a token"])
def test_a_submitted_sweep_that_is_stopped_goes_on_when_submitted_again(tmp_path: Path, authenticated: bool) -> None:
    results = tmp_path / "results"
    with head(environment_of(tmp_path / "token" if authenticated else None)) as environment:
        environment["WANDB_API_KEY"] = KEY

        def hypercl(*words: str) -> tuple[int, str]:
            command = [sys.executable, "-m", "hypercl", "submit", *words]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout + done.stderr

        sweep = [str(ROOT / "search_spaces" / "quickstart.yaml"), "--set", "training.iterations=200"]
        sweep += ["--no-final", "--results", str(results), "--trials"]
        if authenticated:
            without = {key: value for key, value in environment.items() if not key.startswith("RAY_AUTH")}
            command = [sys.executable, "-m", "hypercl", "submit", "--list"]
            refused = subprocess.run(command, env=without, capture_output=True, text=True, check=False)
            assert (refused.returncode, "needs RAY_AUTH_MODE=token" in refused.stderr) == (2, True)

        code, said = hypercl(*sweep, "400", "--detach")
        assert code == 0, said
        job = said.split()[1]
        deadline = time.monotonic() + 300
        while not list(results.glob("quickstart/trials/*/metrics.jsonl")):
            assert time.monotonic() < deadline, hypercl("--status", job)[1]
            time.sleep(0.5)
        code, said = hypercl(*sweep, "400")
        assert (code, "is in use by process" in said) == (2, True), said
        code, said = hypercl("--list")
        assert re.findall(r"^raysubmit_\w+ +(\w+)", said, re.MULTILINE) == ["running", "failed"], said
        assert KEY not in said + hypercl("--status", job)[1]
        assert not any(KEY in file.read_text(errors="replace") for file in results.rglob("*") if file.is_file())

        code, said = hypercl("--stop", job)
        assert (code, "interrupted: " in said) == (0, True), said
        assert list(results.glob("quickstart/trials/*/checkpoints/*"))
        trials = trained(results) + 2
        code, said = hypercl(*sweep, str(trials))
        assert (code, "resumed" in said) == (0, True), said
        assert f"{trials} trials are trained" in said
    assert trained(results) == trials
    assert (results / "quickstart" / "best.yaml").exists()


def test_a_submitted_sweep_refuses_to_leave_its_results_in_rays_copy_of_the_folder() -> None:
    with head(environment_of(None)) as environment:
        refused = submit(environment, QUICKSTART)
    assert refused.returncode != 0
    assert "--results with an absolute path" in refused.stdout
