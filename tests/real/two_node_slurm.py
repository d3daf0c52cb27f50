"""A SLURM of two nodes, n1 and n2, on this one machine: real daemons of Debian's slurm-wlm and munge, on loopback.

Everything lies in one folder; its commands find it by SLURM_CONF. The daemons need root.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
NODES = ("n1", "n2")
PATIENCE = 60.0
"""Seconds for both nodes to be idle."""


def is_possible() -> bool:
    """Whether this machine has the daemons, and we may start them."""
    return os.getuid() == 0 and all(shutil.which(name, path=_path()) for name in DAEMONS)


@contextmanager
def two_nodes(folder: Path) -> Iterator[dict[str, str]]:
    """Starts it, and ends it again.

    Args:
        folder: of its own; configuration, state and logs stay there.

    Yields:
        The environment variables its commands need.
    """
    key = folder / "key"
    key.mkdir(parents=True, mode=0o700)
    (key / "munge.key").write_bytes(secrets.token_bytes(1024))
    (key / "munge.key").chmod(0o400)
    for name in ("state", "logs", *(f"spool/{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    (folder / "slurm.conf").write_text(_configuration(folder))
    environment = {"SLURM_CONF": str(folder / "slurm.conf")}
    files = {"key-file": key / "munge.key", "socket": _socket(folder), "pid-file": folder / "munged.pid"}
    kept = {"log-file": folder / "logs" / "munged.log", "seed-file": folder / "seed"}
    options = [f"--{name}={path}" for name, path in {**files, **kept}.items()]
    try:
        _start(["munged", "--force", *options], environment)
        _start(["slurmctld"], environment)
        for node in NODES:
            _start(["slurmd", "-N", node], environment)
        _wait_until_idle(folder, environment)
        yield environment
    finally:
        for file in folder.glob("*.pid"):
            os.kill(int(file.read_text()), signal.SIGTERM)


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _start(command: Sequence[str], environment: dict[str, str]) -> None:
    every = {**os.environ, **environment, "PATH": _path()}
    subprocess.run(command, check=True, capture_output=True, env=every)


def _wait_until_idle(folder: Path, environment: dict[str, str]) -> None:
    ask = ["sinfo", "--noheader", "--Node", "--format=%T"]
    end = time.monotonic() + PATIENCE
    while True:
        answer = subprocess.run(ask, capture_output=True, text=True, check=False, env={**os.environ, **environment})
        if answer.stdout.split() == ["idle"] * len(NODES):
            return
        logs = "\n".join(path.read_text(errors="replace")[-1000:] for path in sorted((folder / "logs").iterdir()))
        assert time.monotonic() < end, f"{answer.stdout}{answer.stderr}\n{logs}"
        time.sleep(0.5)


def _socket(folder: Path) -> Path:
    return folder / "munge.sock"


def _free_ports(number: int) -> list[int]:
    """Ports of loopback that nothing listened on a moment ago."""
    found = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [server.getsockname()[1] for server in found]
    for server in found:
        server.close()
    return ports


def _configuration(folder: Path) -> str:
    host = socket.gethostname().partition(".")[0]
    control, *ports = _free_ports(1 + len(NODES))
    shares = f"NodeHostname={host} NodeAddr=127.0.0.1 CPUs=1 RealMemory=6000 State=UNKNOWN"
    settings = {
        "ClusterName": "here",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": control,
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={_socket(folder)}",
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool" / "%n",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd-%n.pid",
        "SlurmctldLogFile": folder / "logs" / "slurmctld.log",
        "SlurmdLogFile": folder / "logs" / "slurmd-%n.log",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_CPU",
        "JobAcctGatherType": "jobacct_gather/none",
        "AccountingStorageType": "accounting_storage/none",
        "MpiDefault": "none",
        "JobRequeue": 1,
        "ReturnToService": 2,
        "KillWait": 30,
    }
    lines = [f"{key}={value}" for key, value in settings.items()]
    lines += [f"NodeName={node} Port={port} {shares}" for node, port in zip(NODES, ports, strict=True)]
    return "\n".join([*lines, f"PartitionName=main Nodes={','.join(NODES)} Default=YES MaxTime=INFINITE State=UP\n"])
