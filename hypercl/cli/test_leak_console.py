"""Output of a sweep that tunes on test data: every line says so."""

import io
import sys
from typing import TextIO

from rich.console import Console

from hypercl.config import SweepFile
from hypercl.sweep.study import leaks

PREFIX = "[TEST LEAK] "


def console_for(file: SweepFile) -> Console:
    """The terminal; under protocol `test_leak` one that marks every line, where nothing is redrawn."""
    if leaks(file):
        return Console(file=PrefixedStream(sys.stdout), soft_wrap=True, highlight=False)
    return Console(soft_wrap=True, highlight=False)


class PrefixedStream(io.StringIO):
    """A text stream whose lines all begin with `PREFIX`."""

    def __init__(self, inner: TextIO) -> None:
        super().__init__()
        self._inner, self._fresh = inner, True

    def write(self, text: str) -> int:
        for line in text.splitlines(keepends=True):
            self._inner.write(PREFIX + line if self._fresh else line)
            self._fresh = line.endswith("\n")
        return len(text)

    def flush(self) -> None:
        self._inner.flush()
