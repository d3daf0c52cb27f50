"""The page of a sweep that runs: rewritten now and then, at a small part of the driver's time."""

import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

from hypercl.sweep.page.courses import Courses
from hypercl.sweep.page.page import PAGE, Shown, write_page
from hypercl.sweep.results import Importance, importances
from hypercl.sweep.study import StudyRecord

LEAST_S, SHARE = 30.0, 50
"""Seconds between two pages, at least, and at least so many times as long as one takes: a fiftieth of the time."""
READING_S = 0.5
"""Seconds that a page may spend on reading how trials trained."""
GROWN = 1.1
"""Importances, which take the longest, are computed again once so many times as many trials are trained."""


class LivePage:
    """Writes report.html into a sweep's folder, reading what is new only.

    Args:
        import_paths: folders in which an importance evaluator of the user's own is looked for.
        clock: seconds that only increase.
    """

    def __init__(self, import_paths: Sequence[Path] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self._import_paths, self._clock, self._next = import_paths, clock, 0.0
        self._courses = Courses()
        self._found: Sequence[Importance] = ()
        self._trained = 0

    @property
    def due(self) -> bool:
        """Whether it is time for another page."""
        return self._clock() >= self._next

    @property
    def begun(self) -> bool:
        """Whether a page was written."""
        return self._next > 0

    def stop(self) -> None:
        """Lets no page be due any more."""
        self._next = inf

    def write(
        self,
        record: StudyRecord,
        stands: str = "running",
        found: Sequence[Importance] | None = None,
        seconds: float = READING_S,
    ) -> Path:
        """Writes the page.

        Args:
            record: the sweep.
            stands: as from `hypercl.sweep.results.stage_of`.
            found: the importances; None takes those of a while ago.
            seconds: for reading how trials trained.
        """
        began = self._clock()
        if found is None and record.trained >= GROWN * self._trained:
            found = importances(record, self._import_paths)
        if found is not None:
            self._found, self._trained = found, record.trained
        shown = Shown(record, stands, self._found, self._courses, seconds)
        path = write_page({record.name: shown}, record.folder / PAGE)
        done = self._clock()
        self._next = done + max(LEAST_S, SHARE * (done - began))
        return path
