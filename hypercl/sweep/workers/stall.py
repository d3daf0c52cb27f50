"""A trial that makes no progress is ended, and leaves where each of its threads was."""

import faulthandler
import time
from pathlib import Path
from typing import IO

STACKS = "stacks.txt"
LEAST, TIMES_LONGEST = 900.0, 20.0
"""By default, no sign of life for this many seconds, and for this many times the longest time between two so far."""


class StallWatch:
    """Ends its process where no sign of life comes in time, whatever the process hangs in (a thread of C watches).

    Args:
        folder: of the run; the stacks are written there.
        timeout: seconds; None goes by the run's own pace.
    """

    def __init__(self, folder: Path, timeout: float | None) -> None:
        self._path, self._timeout = folder / STACKS, timeout
        self._file: IO[str] | None = None
        self._last: float | None = None
        self._longest = 0.0

    def alive(self) -> None:
        """A sign of life: the time begins again."""
        now = time.monotonic()
        if self._last is not None:
            self._longest = max(self._longest, now - self._last)
        self._last = now
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8")
        seconds = self._timeout or max(LEAST, TIMES_LONGEST * self._longest)
        faulthandler.dump_traceback_later(seconds, exit=True, file=self._file)

    def pause(self) -> None:
        """Nothing is computed now: the run waits for its driver."""
        faulthandler.cancel_dump_traceback_later()
        self._last = None

    def close(self) -> None:
        """The run is over."""
        self.pause()
        if self._file is not None:
            self._file.close()
            self._file = None
            self._path.unlink(missing_ok=True)
