"""Kills processes of a sweep at random: its own, those of its Ray, and whole nodes of a cluster."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STANDSTILL = 400.0
"""Seconds without progress after which a sweep is taken for hanging: hypercl gives up a dead server after 45 and Ray
after 60, and a driver takes as long to start as the machine is busy."""
LOCAL = {"driver": 3, "trial": 4, "raylet": 1, "gcs_server": 1, "agent": 1}
CLUSTER = {**LOCAL, "node": 3}
"""How often each kind of process is drawn; a node is all processes of the cluster's second one."""


@dataclass(frozen=True)
class Process:
    """A living process."""

    pid: int
    kind: str
    node: str
    """Of the cluster, `head` or `second`; '' for a driver and for the Ray that it started."""


def processes(folder: Path) -> Iterator[Process]:
    """All that a sweep and its cluster started, by their temporary folder."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            variables = dict(
                pair.split(b"=", 1) for pair in (path / "environ").read_bytes().split(b"\0") if b"=" in pair
            )
            if variables.get(b"KILLS_FOLDER") == os.fsencode(folder):
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield Process(int(path.name), _kind(command), variables.get(b"KILLS_NODE", b"").decode())


def _kind(command: str) -> str:
    if "hypercl sweep" in command:
        return "driver"
    if command.startswith("ray::") and "IDLE" not in command and "Agent" not in command:
        return "trial"
    for name in ("raylet/raylet", "gcs_server"):
        if name in command.partition(" ")[0]:
            return name.rpartition("/")[2]
    return "agent"


def temporary(folder: Path, node: str = "") -> Path:
    """The folder for temporary files of drivers, or of a node of the cluster."""
    return folder / (node or "drivers")


def environment(folder: Path, node: str = "") -> dict[str, str]:
    """Of every process that is started, which is known by it."""
    temporary(folder, node).mkdir(exist_ok=True)
    known = {"TMPDIR": str(temporary(folder, node)), "KILLS_FOLDER": str(folder), "KILLS_NODE": node}
    ray = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    return os.environ | known | ray


class TwoNodes:
    """A cluster of a head and a second node, each of one CPU.

    Args:
        folder: of all temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.address = folder, ""
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Starts a node that is not there; both where the head is gone."""
        if not {"raylet", "gcs_server"} <= {each.kind for each in self._of("head")}:
            self.stop()
            self.address = f"127.0.0.1:{_free_port()}"
            head = ["--head", f"--port={self.address.rpartition(':')[2]}", "--include-dashboard=false"]
            self._start("head", *head)
            while not {"raylet", "gcs_server"} <= {each.kind for each in self._of("head")}:
                time.sleep(0.2)
        self.renew()

    def renew(self) -> None:
        """Starts a second node where there is none."""
        if not self._of("second"):
            self.kill("second")
            self._start("second", f"--address={self.address}")

    def kill(self, node: str) -> None:
        """A machine loses its power."""
        while there := self._of(node):
            for each in there:
                with suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGKILL)
            time.sleep(0.1)
        if node in self._started:
            self._started.pop(node).wait()

    def stop(self) -> None:
        """Ends both nodes."""
        self.kill("second")
        self.kill("head")

    def _of(self, node: str) -> list[Process]:
        return [each for each in processes(self._folder) if each.node == node]

    def _start(self, node: str, *options: str) -> None:
        ray = str(Path(sys.executable).with_name("ray"))
        size = ["--num-cpus=1", "--object-store-memory=80000000", "--block"]
        places = [f"--dashboard-agent-listen-port={_free_port()}", f"--temp-dir={self._folder / f'ray-{node}'}"]
        with (self._folder / "cluster.txt").open("ab") as log:
            command = [sys.executable, ray, "start", *options, *size, *places]
            self._started[node] = subprocess.Popen(command, env=environment(self._folder, node), stdout=log, stderr=log)


class Killer:
    """Kills: four times in five some seconds after trials have made progress, else at any moment.

    Args:
        folder: of temporary files, by which the processes are known.
        kills: how many.
        seconds: after which nobody is killed any more.
    """

    def __init__(self, folder: Path, kills: int, seconds: float) -> None:
        self._folder, self._kills, self._end = folder, kills, time.monotonic() + seconds
        self._cluster, self._rng = TwoNodes(folder), random.Random(1)
        self.killed, self.stages = Counter[str](), Counter[str]()
        """By what was killed, `trial` or `trial of the cluster`, and by what the sweep was doing."""

    @property
    def goes_on(self) -> bool:
        """Whether somebody is still to be killed."""
        return self.killed.total() < self._kills and time.monotonic() < self._end

    def session(self, command: Sequence[str], results: Path, log: Path) -> int:
        """Runs the command of a sweep, here or on the cluster, and kills one process after the other until it ends.

        Args:
            command: is run in the folder of `log`.
            results: of the sweep.
            log: what it says is appended there.

        Returns:
            Its exit code.
        """
        on_cluster = self.goes_on and self._rng.random() < 0.5
        if on_cluster:
            self._cluster.start()
        options = ["--address", self._cluster.address] if on_cluster else []
        with log.open("ab") as said:
            driver = subprocess.Popen(
                [*command, *options], cwd=log.parent, env=environment(self._folder), stdout=said, stderr=said
            )
        session = _Session(driver, results, log)
        try:
            while driver.poll() is None and self.goes_on:
                session.wait_for_progress(self._rng.random() < 0.8)
                time.sleep(self._rng.uniform(0, 5))
                if on_cluster:
                    self._cluster.renew()
                if driver.poll() is None and (kind := self._kill(on_cluster)):
                    self.killed[kind] += 1
                    self.stages[session.stage] += 1
            return session.ended()
        except AssertionError as error:
            there = sorted((each.kind, each.node, each.pid) for each in processes(self._folder))
            raise AssertionError(f"{error}\nkilled so far: {dict(self.killed)}\nprocesses: {there}") from None
        finally:
            driver.kill()
            driver.wait()

    def left(self) -> list[Process | Path]:
        """What must not be there after a sweep: its processes and temporary files, and trials on the cluster."""
        there = [each for each in processes(self._folder) if not each.node or each.kind == "trial"]
        return [*there, *temporary(self._folder).iterdir()]

    def stop(self) -> None:
        """Ends the cluster."""
        self._cluster.stop()

    def _kill(self, on_cluster: bool) -> str:
        """Kills one; returns what it was, '' where none of the kind drawn is there."""
        drawn = CLUSTER if on_cluster else LOCAL
        (kind,) = self._rng.choices(list(drawn), list(drawn.values()))
        if kind == "node":
            self._cluster.kill("second")
            return "node of the cluster"
        nodes = {"raylet": ["head"], "driver": [""]}.get(kind, ["head", "second"]) if on_cluster else [""]
        there = sorted(each.pid for each in processes(self._folder) if each.kind == kind and each.node in nodes)
        try:
            os.kill(self._rng.choice(there), signal.SIGKILL)
        except (IndexError, ProcessLookupError):
            return ""
        return f"{kind} of the cluster" if on_cluster and kind != "driver" else kind


class _Session:
    """A driver, what it has written so far, and that it does not stand still."""

    def __init__(self, driver: "subprocess.Popen[bytes]", results: Path, log: Path) -> None:
        self._driver, self._results, self._log = driver, results, log

    @property
    def stage(self) -> str:
        """What the sweep is doing."""
        return next((stage for stage in ("final", "race") if any(self._results.glob(f"{stage}/*/*"))), "search")

    def wait_for_progress(self, wanted: bool) -> None:
        """Until a run has written rows, where that is wanted, or the driver has ended."""
        before = self._rows()
        self._wait(lambda: not wanted or self._rows() != before)

    def ended(self) -> int:
        """Waits for the end; returns the exit code."""
        self._wait(lambda: False)
        return self._driver.wait()

    def _wait(self, met: Callable[[], bool]) -> None:
        """
        Raises:
            AssertionError: the sweep stands still.
        """
        seen, since = (-1, -1), time.monotonic()
        while self._driver.poll() is None and not met():
            time.sleep(0.2)
            now = self._rows(), self._log.stat().st_size
            if now != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() - since > STANDSTILL:
                raise AssertionError(
                    f"the sweep stands still; it said:\n{self._log.read_text(errors='replace')[-5000:]}"
                )

    def _rows(self) -> int:
        """Bytes of all runs."""
        size = 0
        for path in self._results.rglob("metrics.jsonl"):
            with suppress(FileNotFoundError):
                size += path.stat().st_size
        return size


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
