"""The accuracy matrix of a finished run, as its CSV file holds it."""

import csv
from dataclasses import dataclass
from pathlib import Path

FILES = {"validation": "accuracy_matrix.csv", "test": "accuracy_matrix_test.csv"}
"""Data set -> file in the run's folder."""


@dataclass(frozen=True)
class Matrix:
    """Accuracies, fractions: one row for each moment (`before`, `task 1`, ...), one column a task."""

    after: tuple[str, ...]
    tasks: tuple[str, ...]
    cells: tuple[tuple[float | None, ...], ...]
    """None where nothing was evaluated."""


def matrices(folder: Path) -> dict[str, Matrix]:
    """The matrices that a run's folder holds, by data set."""
    return {split: _read(folder / name) for split, name in FILES.items() if (folder / name).is_file()}


def _read(path: Path) -> Matrix:
    with path.open(newline="", encoding="utf-8") as file:
        (_, *tasks), *rows = csv.reader(file)
    cells = tuple(tuple(float(cell) if cell else None for cell in cells) for _, *cells in rows)
    return Matrix(tuple(row[0] for row in rows), tuple(tasks), cells)


def flatten(summary: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested keys joined by slashes: `validation/final_accuracy`."""
    flat: dict[str, object] = {}
    for key, value in summary.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
