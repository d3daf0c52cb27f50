"""Heads of Ray on this machine, as an administrator starts them."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")


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
def head(
    environment: dict[str, str], port: int | None = None, cpus: int = 2, options: Sequence[str] = ()
) -> Iterator[dict[str, str]]:
    """A head that takes jobs, its dashboard's address in the environment that is given back.

    Args:
        environment: of its processes.
        port: its own; a free one by default.
        cpus: of the head.
        options: further ones of `ray start`.
    """
    folder = tempfile.mkdtemp(prefix="hjob-", dir="/tmp")
    url = f"http://127.0.0.1:{(dashboard := free_port())}"
    command = [str(RAY), "start", "--head", "--block", f"--port={port or free_port()}", f"--dashboard-port={dashboard}"]
    command += [f"--ray-client-server-port={free_port()}", f"--num-cpus={cpus}", "--object-store-memory=100000000"]
    # two Rays on one machine: the agent that takes jobs begins without its server where another has its fixed port
    command += [f"--dashboard-agent-listen-port={free_port()}", "--disable-usage-stats", "--temp-dir", folder, *options]
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
    """Of a Ray that is open, or that asks for the token in a file."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")} | {"PYTHONUNBUFFERED": "1"}
    plain["PATH"] = f"{RAY.parent}:{plain['PATH']}"
    if token is None:
        return {**plain, "RAY_AUTH_MODE": "disabled"}
    token.write_text(secrets.token_hex(32))
    return {**plain, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
