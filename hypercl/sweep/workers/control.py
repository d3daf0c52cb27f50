"""What driver, searcher and scheduler agree on while a sweep runs."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hypercl.sweep.listener import Listener

Stop = Literal["sigint", "sigterm", "time", "failed", "infeasible"]


@dataclass
class Control:
    """Whether the sweep is stopping, and why. The stop file is what trials look at, on every node."""

    stop_file: Path
    reason: Stop | None = None
    at_once: bool = False
    """A second signal came: not even checkpoints are waited for."""
    failed_in_row: int = 0
    first_failure: str = ""

    def stop(self, reason: Stop) -> None:
        """No more trials; running ones write a checkpoint and end."""
        self.reason = self.reason or reason
        self.stop_file.touch()

    def stop_asking(self, reason: Stop) -> None:
        """No more trials; running ones go on to their end."""
        self.reason = self.reason or reason


SECONDS_AT_MOST = 10.0
"""How long 'at once' may take."""


class AtOnce(BaseException):
    """A second signal: nothing is waited for. Not an `Exception`, so that Ray does not catch it."""


class Signals:
    """Handlers of both signals. Ray puts its own in place when it starts: call `install` again afterwards."""

    def __init__(self, control: Control, listener: Listener) -> None:
        self._control, self._listener = control, listener
        self._came = False

    def install(self) -> None:
        """Takes SIGINT and SIGTERM."""
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._came:
            # An exception raised here can surface inside Ray's C code, which turns it into a SystemError; so the loop
            # raises it, and where the loop hangs (Ray waits 60 s for a dead server) the process ends without it.
            self._control.at_once = True
            watchdog = threading.Timer(SECONDS_AT_MOST, os._exit, [128 + number])
            watchdog.daemon = True
            watchdog.start()
            return
        self._came = True
        self._control.stop("sigint" if number == signal.SIGINT else "sigterm")
        self._listener.said("stopping: running trials write their checkpoints (once more to stop at once)")


@contextmanager
def signals_handled(control: Control, listener: Listener) -> Iterator[Signals]:
    """Handles both signals inside, and puts back what was there before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signals = Signals(control, listener)
    signals.install()
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
