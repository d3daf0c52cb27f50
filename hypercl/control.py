"""How work stops: one `Control` for SIGINT, SIGTERM, time limits and a driver's request, in commands and trials."""

import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from hypercl.exit_codes import ExitCode

Stop = Literal["sigint", "sigterm", "time", "budget", "failed", "infeasible", "requested", "machine"]
CODES: dict[Stop, ExitCode] = {
    "sigint": ExitCode.INTERRUPTED,
    "sigterm": ExitCode.TERMINATED,
    "time": ExitCode.TIME_UP,
    "budget": ExitCode.TIME_UP,
    "failed": ExitCode.FAILED,
    "infeasible": ExitCode.INFEASIBLE,
    "requested": ExitCode.TERMINATED,
    "machine": ExitCode.MACHINE,
}
SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_NOTICE = 5.0
"""Seconds within which a SIGTERM after a signal is the same notice: a queue sends it to every process of a job, and its
script sends it on."""


class AtOnce(BaseException):
    """A second signal: nothing is waited for. Not an `Exception`, so that Ray does not catch it."""


@dataclass
class Control:
    """Whether work is stopping, and why: what runs asks `stopping` again and again, about once a second."""

    stop_file: Path | None = None
    """Created when work is to stop: trials look for it, on every node."""
    deadline: float | None = None
    """The time limit, on the monotonic clock."""
    requested: Callable[[], bool] | None = None
    """Whether somebody else asks for a stop: of a trial, whether its driver's stop file exists."""
    say: Callable[[str], None] | None = None
    """Tells a person that work is stopping."""
    grace: float = 0.0
    """Seconds that a second signal leaves to a loop that watches `at_once`; 0 ends the process immediately."""
    seconds_to_stop: float = 30.0
    """After a first signal: what has not written its checkpoint by then is ended as by a second one."""
    seconds_after_deadline: float = 30.0
    """The same after the time limit."""
    reason: Stop | None = None
    at_once: bool = False
    """A second signal came: not even checkpoints are waited for."""
    failed_in_row: int = 0
    first_failure: str = ""
    machine: str = ""
    """What of the machine failed, and what to do about it, where that is why work stops."""
    limit: str = ""
    """Which limit on GPU-hours or money is reached, with what was used, where that is why work stops."""
    _signalled: float | None = None
    """When the first signal came, on the monotonic clock."""
    _timers: list[threading.Timer] | None = None
    """What may end the process; None outside `signals`, where that is its owner's affair."""

    def stop(self, reason: Stop) -> None:
        """No more runs; running ones write a checkpoint and end."""
        self.reason = self.reason or reason
        if self.stop_file is not None:
            with suppress(OSError):  # a full disk
                self.stop_file.touch()

    def machine_failed(self, why: str) -> None:
        """The machine cannot go on: as `stop`, unless work is being stopped already."""
        if self.reason is None:
            self.machine = why
            self.stop("machine")

    def used_up(self, limit: str) -> None:
        """A limit on GPU-hours or money is reached: as at the time limit."""
        if self.reason is None:
            self.limit = limit
            self.stop("budget")
            self._tell(f"{limit}: what is running writes its checkpoints")
            self._after(self.seconds_to_stop, self.end_at_once)

    def stop_asking(self, reason: Stop) -> None:
        """No more runs; running ones continue to their end."""
        self.reason = self.reason or reason

    @property
    def stopping(self) -> bool:
        """Whether work is to stop; looks at the clock and asks `requested`."""
        if self.reason is None and self.deadline is not None and time.monotonic() >= self.deadline:
            self.stop("time")
            self._tell("time limit reached: what is running writes its checkpoints")
            self._after(self.seconds_after_deadline, self.end_at_once)
        if self.reason is None and self.requested is not None and self.requested():
            self.stop("requested")
        return self.reason is not None

    @property
    def exit_code(self) -> ExitCode:
        """Of a command that was stopped; `DONE` while nothing stopped it."""
        return ExitCode.DONE if self.reason is None else CODES[self.reason]

    @contextmanager
    def signals(self) -> Generator[None]:
        """Handles both signals inside, and puts back what was there before."""
        timers: list[threading.Timer] = []
        self._timers = timers
        try:
            with _restored():
                self.take_signals()
                yield
        finally:
            for timer in timers:
                timer.cancel()
            self._timers = None

    def take_signals(self) -> None:
        """Installs the handler inside `signals`. Ray installs its own when it starts: call this again afterwards."""
        if self._timers is not None:
            _install(self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGTERM and self._signalled is not None and now - self._signalled < SAME_NOTICE:
            return
        if self._signalled is None:
            self._signalled = now
            self.stop("sigint" if number == signal.SIGINT else "sigterm")
            self._tell("stopping: what is running writes its checkpoints (a second signal ends it at once)")
            self._after(self.seconds_to_stop, self.end_at_once)
            return
        self.end_at_once(128 + number)

    def end_at_once(self, code: int | None = None) -> None:
        """Waits for nothing any more: a checkpoint that is not written yet is not written.

        Args:
            code: of the exit where the process has to be ended from here; None is `exit_code`.
        """
        if not self.grace:
            self._end(code)
        # An exception raised here can surface inside Ray's C code, which turns it into a SystemError; so the loop
        # raises it, and where the loop hangs (Ray waits 60 s for a dead server) the process ends without it.
        self.at_once = True
        self._after(self.grace, lambda: self._end(code))

    def _end(self, code: int | None) -> None:
        if self.machine:
            with suppress(OSError):
                os.write(2, f"stopped: {self.machine}\nrerun the same command to resume\n".encode())
        os._exit(self.exit_code if code is None else code)

    def _after(self, seconds: float, then: Callable[[], None]) -> None:
        if self._timers is None:
            return
        timer = threading.Timer(seconds, then)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _tell(self, text: str) -> None:
        if self.say is not None:
            with suppress(RuntimeError):  # the signal came in the middle of a write to the same stream
                self.say(text)


@contextmanager
def signals_end_the_process() -> Generator[None]:
    """Inside, a signal ends the process with its documented exit code, without a traceback: nothing has begun yet."""
    with _restored():
        _install(_end)
        yield


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    with suppress(OSError):
        os.write(2, b"\ninterrupted\n")
    os._exit(128 + number)


def _install(handler: Callable[[int, FrameType | None], Any]) -> None:
    """In the main thread; Python allows no other to handle signals, and there they stay as they are."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, handler)


@contextmanager
def _restored() -> Generator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
