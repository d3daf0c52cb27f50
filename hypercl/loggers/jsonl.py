"""metrics.jsonl: every row of a run, once, whatever happened to its process."""

import json
import logging
import math
import os
from collections.abc import Callable, Iterable
from itertools import count, takewhile
from pathlib import Path
from statistics import fmean
from typing import Any

from hypercl.files import write_bytes
from hypercl.loggers.spec import Logger
from hypercl.training import Report, Row, Started

LOG = logging.getLogger(__name__)


class JsonLines(Logger):
    """Appends the rows of each report to `metrics.jsonl`, one JSON object a line, on disk before the run continues.

    A run may die between its checkpoint and the append, and may resume from an older checkpoint. So the file
    is cut back at the start to the newest report of the run's history, and a row that is there is not written again:
    the newest report, which a resumed run tells again, fills what is missing.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.jsonl"
        self._last = -1
        self._newest: set[str] = set()
        self._check_owner: Callable[[], None] = lambda: None

    def started(self, item: Started) -> None:
        """Cuts the file back to what the run's history covers; without a history it is emptied."""
        covered = item.history[-1].iteration if item.history else -1
        self._last, self._newest, self._check_owner = -1, set(), item.check_owner
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        kept, lost = sound_rows(self.path.read_bytes(), covered)
        for iteration, line in kept:
            self._note(iteration, line.decode())
        if lost:
            aside = self.path.with_name(f"{self.path.name}.damaged")
            what = f"lines that are damaged: {len(lost)}, the first is line {lost[0][0]}"
            LOG.warning("%s: %s; moved to %s", self.path, what, aside.name)
            write_bytes(aside, b"".join(line + b"\n" for _, line in lost), self._check_owner)
            write_bytes(self.path, b"".join(line + b"\n" for _, line in kept), self._check_owner)
            return
        with self.path.open("rb+") as file:
            file.truncate(sum(len(line) + 1 for _, line in kept))
            os.fsync(file.fileno())

    def report(self, item: Report) -> None:
        """Appends the report's rows that the file does not hold."""
        fresh: list[str] = []
        for row in item.rows:
            iteration, line = int(row["iteration"]), encode(row)
            if iteration > self._last or (iteration == self._last and line not in self._newest):
                fresh.append(line)
                self._note(iteration, line)
        if fresh:
            self._check_owner()
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in fresh)
                file.flush()
                os.fsync(file.fileno())

    def _note(self, iteration: int, line: str) -> None:
        if iteration > self._last:
            self._last, self._newest = iteration, set()
        self._newest.add(line)


def read_rows(folder: Path) -> list[Row]:
    """The rows of a run's metrics.jsonl, in their order; a null is left out, as is a damaged line."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    rows = [json.loads(line) for _, line in sound_rows(path.read_bytes(), math.inf)[0]]
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def by_iteration(rows: Iterable[Row], after: int) -> list[tuple[int, Row]]:
    """The rows later than an iteration, in order, those of one iteration as one.

    Where accuracies were measured, their mean over the tasks met so far is `validation/mean_so_far`.
    """
    moments: dict[int, Row] = {}
    for row in rows:
        if row["iteration"] > after:
            moments.setdefault(int(row["iteration"]), {}).update(row)
    for values in moments.values():
        if measured := task_accuracies(values):
            values["validation/mean_so_far"] = fmean(measured)
    return sorted(moments.items())


def task_accuracies(row: Row) -> list[float]:
    """The validation accuracies of a row on the tasks met, in their order; empty of a row that measured none."""
    names = takewhile(row.__contains__, (f"validation/task_{number}" for number in count(1)))
    return [row[name] for name in names]


def encode(row: Row) -> str:
    """A row as one line of JSON; what is not finite, which JSON cannot say, becomes null."""
    return json.dumps({key: value if math.isfinite(value) else None for key, value in row.items()})


def sound_rows(content: bytes, covered: float) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]:
    """Iteration and line of each row up to an iteration; number and line of what stands between them and is no row.

    What comes after the last such row was cut short by a kill, or belongs to a later checkpoint: it is neither.
    """
    kept: list[tuple[int, bytes]] = []
    lost: list[tuple[int, bytes]] = []
    since: list[tuple[int, bytes]] = []
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        iteration = _iteration(line)
        if iteration is None or iteration > covered:
            since.append((number, line))
            continue
        kept.append((iteration, line))
        lost, since = lost + since, []
    return kept, lost


def _iteration(line: bytes) -> int | None:
    """The iteration of a line; None where it holds no row."""
    try:
        row: Any = json.loads(line)
        return int(row["iteration"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
