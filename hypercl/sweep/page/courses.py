"""How trials trained, from their folders: small enough for a page with hundreds of them."""

import base64
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from hypercl.loggers import read_rows, task_accuracies
from hypercl.sweep.study import StudyRecord, decided
from hypercl.training import MATRIX_FILES, AccuracyMatrix, Row

Course = dict[str, Any]
"""`after`: tasks learned at each report (2.25: a quarter of the third); `accuracy`: a row a report, a cell for each
task met; `matrix`: the accuracy matrix, its row before training left out; `loss`: iterations, and the loss of each kind
at them. Accuracies are in thousandths."""
CELLS, LOSSES = 1200, 60
"""At most so many accuracies of each kind, and losses, of a trial."""
MOST_CELLS = 400_000
"""Of a page, 4 bytes each; trials beyond it, the least interesting ones, are left out."""
MOST_SAMPLES = 400_000
"""Bytes of pictures in a page."""


@dataclass
class Courses:
    """The courses of a sweep's trials. One that is kept reads the folder of an ended trial once."""

    ended: dict[int, Course] = field(default_factory=dict[int, Course])

    def read(self, record: StudyRecord, numbers: Iterable[int], seconds: float = inf) -> dict[int, Course]:
        """Courses by trial number, of these trials in their order, until a page is full or the time is up."""
        found: dict[int, Course] = {}
        cells, until = 0, time.monotonic() + seconds
        for number in numbers:
            if number not in self.ended and time.monotonic() > until:
                continue
            course = self.ended.get(number)
            if course is None:
                course = course_of(record.trial_folder(number), record.file.pruner.reports_per_task)
                if decided(record.trials[number]) is not None:
                    self.ended[number] = course
            cells += sum(map(len, (*course["accuracy"], *course["matrix"]))) if course else 0
            if cells > MOST_CELLS:
                break
            if course:
                found[number] = course
        return found


def course_of(folder: Path, reports_per_task: int) -> Course:
    """A trial's course; empty where its folder holds none."""
    rows = read_rows(folder)
    measured = [row for row in rows if "step" in row and task_accuracies(row)]
    matrix = _matrix(folder, measured)
    if not matrix and not measured:
        return {}
    thin = _thinned(measured)
    return {
        "after": [round(row["step"] / reports_per_task, 3) for row in thin],
        "accuracy": [_thousandths(task_accuracies(row)) for row in thin],
        "matrix": matrix,
        "loss": _losses(rows),
    }


def samples_of(folders: Sequence[tuple[int, Path]]) -> dict[int, str]:
    """What each trial would replay, as the URL of a picture; of trials that have one, as many as a page holds."""
    found: dict[int, str] = {}
    size = 0
    for number, folder in folders:
        pictures = sorted((folder / "samples").glob("after-task-*.png"), key=lambda path: path.stat().st_mtime)
        content = pictures[-1].read_bytes() if pictures else b""
        size += len(content)
        if content and size <= MOST_SAMPLES:
            found[number] = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return found


def _matrix(folder: Path, measured: Sequence[Row]) -> list[list[int | None]]:
    """The accuracy matrix; of a trial that left none, its last report in each task."""
    path = folder / MATRIX_FILES["validation"]
    if path.is_file():
        matrix = AccuracyMatrix.read(path)
        rows = [_thousandths(row) for row in matrix.cells[-len(matrix.tasks) :]]
    else:
        last = {int(row["task"]): task_accuracies(row) for row in measured}
        rows = [_thousandths(row) for row in last.values()]
    return rows if sum(map(len, rows)) <= 4 * CELLS else []


def _thinned(measured: Sequence[Row]) -> list[Row]:
    """Every second, third, ... report, and the last one."""
    widest = max((len(task_accuracies(row)) for row in measured[-1:]), default=1)
    stride = -(-len(measured) * widest // CELLS)
    return [*measured[: -1 : max(1, stride)], *measured[-1:]]


def _losses(rows: Sequence[Row]) -> dict[str, list[float | None]]:
    """Means of as many neighbouring rows as leave few points; `iteration`, and each kind of loss."""
    kinds = sorted({key for row in rows for key in row if key.startswith("loss/")})
    rows = [row for row in rows if any(kind in row for kind in kinds)]
    parts = list(_parts(rows, -(-len(rows) // LOSSES)))
    found: dict[str, list[float | None]] = {"iteration": [part[-1]["iteration"] for part in parts]}
    return found | {kind: [_mean(row[kind] for row in part if kind in row) for part in parts] for kind in kinds}


def _parts(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    yield from (rows[start : start + size] for start in range(0, len(rows), max(1, size)))


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return float(f"{fmean(known):.3g}") if known else None


def _thousandths(accuracies: Iterable[float]) -> list[int | None]:
    return [round(1000 * value) if isfinite(value) else None for value in accuracies]
