"""Ctrl-C and SIGTERM: once to end in order, twice to end at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypercl.sweep.control import Control, Listener


class AtOnce(BaseException):
    """A second signal: nothing is waited for. Not an `Exception`, so that Ray does not catch it."""


class Signals:
    """Handlers of both signals. Ray puts its own in place when it starts: call `install` again afterwards."""

    def __init__(self, control: Control, listener: Listener) -> None:
        self._control, self._listener = control, listener

    def install(self) -> None:
        """Takes SIGINT and SIGTERM."""
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:  # noqa: ARG002
        if self._control.reason in ("sigint", "sigterm"):
            raise AtOnce
        self._control.stop("sigint" if number == signal.SIGINT else "sigterm")
        self._listener.said("stopping: running trials write their checkpoints (once more to stop at once)")


@contextmanager
def handled(control: Control, listener: Listener) -> Iterator[Signals]:
    """Handles both signals inside, and puts back what was there before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signals = Signals(control, listener)
    signals.install()
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
