"""The accuracy matrix of a run, and its file."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path

from hypercl.config import UserError

MATRIX_FILES = {"validation": "accuracy_matrix.csv", "test": "accuracy_matrix_test.csv"}
"""Data set -> the file in a run's folder."""
DIGITS = 6


@dataclass(frozen=True)
class AccuracyMatrix:
    """Accuracies as fractions, to six digits: a row for each point in time, a column for each task."""

    cells: tuple[tuple[float, ...], ...]
    """(points in time, tasks); nan where nothing was measured."""

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]]) -> "AccuracyMatrix":
        """Rows in order: before training, then after each task."""
        return cls(tuple(tuple(round(value, DIGITS) for value in row) for row in rows))

    @classmethod
    def read(cls, path: Path) -> "AccuracyMatrix":
        """Reads a CSV file.

        Raises:
            UserError: the file is missing or holds no accuracy matrix.
        """
        try:
            with path.open(newline="", encoding="utf-8") as file:
                (first, *tasks), *rows = list(csv.reader(file)) or [[""]]
            if (
                first != "after"
                or len(rows) - len(tasks) not in (0, 1)
                or any(len(row) != len(tasks) + 1 for row in rows)
            ):
                raise ValueError("its header does not match its rows")
            return cls(tuple(tuple(float(cell) if cell else nan for cell in row[1:]) for row in rows))
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(f"{path} holds no accuracy matrix: {error}") from None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the columns: `task 1`, ..."""
        return tuple(f"task {number}" for number in range(1, len(self.cells[0]) + 1))

    @property
    def after(self) -> tuple[str, ...]:
        """Names of the rows: `before`, where it was measured, and the tasks."""
        return (*["before"] * (len(self.cells) - len(self.tasks)), *self.tasks)

    def csv(self) -> str:
        """As its file holds it; a cell that was not measured is empty."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["after", *self.tasks])
        for name, row in zip(self.after, self.cells, strict=True):
            table.writerow([name, *("" if isnan(value) else f"{value:.{DIGITS}f}" for value in row)])
        return text.getvalue()


def read_matrices(folder: Path) -> dict[str, AccuracyMatrix]:
    """The matrices in a run's folder, by data set; several seeds have their mean here."""
    paths = {data: folder / name for data, name in MATRIX_FILES.items()}
    return {data: AccuracyMatrix.read(path) for data, path in paths.items() if path.is_file()}
