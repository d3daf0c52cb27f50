"""Ctrl-C and SIGTERM, once and twice."""

import os
import signal
from types import FrameType, TracebackType
from typing import Self


class Interrupt:
    """While entered, a first SIGINT or SIGTERM is only noted; a second one ends the process at once.

    Example:
        with Interrupt() as interrupt:
            for item in work:
                if interrupt.signal:
                    break
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType] - what signal.signal gave

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.signal is not None:
            os._exit(128 + number)
        self.signal = number
