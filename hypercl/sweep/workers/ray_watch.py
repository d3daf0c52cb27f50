"""Whether the Ray under a sweep still runs: its own processes, or the servers of a cluster."""

import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from hypercl.control import Control

LONGEST_SILENCE = 45.0
"""Seconds without an answer after which a cluster is given up; Ray itself aborts the process after 60."""


def ray_failure() -> str:
    """Which process of the Ray that this process started has ended, and what to do; '' where all of them run."""
    from ray._private import worker

    node: Any = worker._global_node  # pyright: ignore[reportPrivateUsage]
    dead = {name for name, _ in node.dead_processes()} if node is not None else set()
    ended = sorted(dead & {"raylet", "gcs_server"})
    return (
        f"Ray's process {ended[0]} ended\n    fix:     see ray_logs in the results, and the memory that is free"
        if ended
        else ""
    )


class Silent:
    """Whether a server of a cluster has not answered for longer than a slow network explains.

    Args:
        what: the server, in words.
        address: host:port.
    """

    def __init__(self, what: str, address: str) -> None:
        self._what, self._address, self._answered = what, address, time.monotonic()

    def __call__(self) -> str:
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        except OSError:
            silent = time.monotonic() - self._answered
            fix = "    fix:     check the cluster with ray status, or start it again"
            return f"{self._what}, {self._address}, does not answer\n{fix}" if silent > LONGEST_SILENCE else ""
        self._answered = time.monotonic()
        return ""


def cluster_failure() -> Callable[[], str]:
    """Asks whether the cluster that this process is attached to can still be reached: its head, and the node here."""
    import ray

    context = ray.get_runtime_context()
    (here,) = [node for node in ray.nodes() if node["NodeID"] == context.get_node_id()]
    head = Silent("the head of the cluster", context.gcs_address)
    node = Silent("the cluster's node on this machine", f"{here['NodeManagerAddress']}:{here['NodeManagerPort']}")
    return lambda: head() or node()


@contextmanager
def watched(control: Control, failure: Callable[[], str]) -> Generator[None]:
    """Asks every second whether Ray has failed: Tune's own loop stands still then, or is aborted after a minute."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            why = failure()
            if why:
                control.machine_failed(why)
                control.end_at_once()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
