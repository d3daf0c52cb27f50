"""The accuracy matrix of a run: its file and its heat map."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from hypercl.config import UserError

FILES = {
    "validation": ("accuracy_matrix.csv", "accuracy_matrix.png"),
    "test": ("accuracy_matrix_test.csv", "accuracy_matrix_test.png"),
}
"""Data set -> the matrix's file and its picture, in the run's folder."""
MOST_NUMBERS = 20
"""Cells of a larger matrix are too small for numbers."""


def read_matrix(path: Path) -> pd.DataFrame:
    """An accuracy matrix: a row for each moment (`before`, `task 1`, ...), a column a task; NaN where not evaluated.

    Raises:
        UserError: the file is missing or holds no accuracy matrix.
    """
    try:
        frame = pd.read_csv(path, index_col="after", dtype={"after": str})
        return frame.astype(float)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} holds no accuracy matrix: {error}") from None


def matrix_figure(frame: pd.DataFrame, title: str) -> Figure:
    """A heat map of an accuracy matrix, in percent.

    The colours span what was reached by learning, so that forgetting shows; chance, before training, lies below them.

    Args:
        frame: as from `read_matrix`, fractions.
        title: written above it.
    """
    values = 100 * frame.to_numpy(dtype=float)
    rows, columns = values.shape
    cell = 0.52 if columns <= MOST_NUMBERS else max(0.06, 8 / columns)
    width, height = max(4.2, cell * columns + 2.0), max(2.6, 0.62 * cell * rows + 1.3)
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_facecolor("0.93")
    low = 5 * np.floor(np.nanmin(values[rows - columns :], initial=95.0) / 5)
    shades = Normalize(vmin=float(low), vmax=100.0)
    image = axes.imshow(np.ma.masked_invalid(values), cmap="cividis", norm=shades, aspect="auto")
    _tick_tasks(axes, frame)
    if columns <= MOST_NUMBERS:
        for row, column in np.argwhere(np.isfinite(values)):
            value = values[row, column]
            colour = "black" if value > low + 0.55 * (100 - low) else "white"
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_title(title, fontsize=10)
    figure.colorbar(image, ax=axes, label="accuracy, %", extend="min", fraction=0.05, pad=0.02)
    return figure


def write_matrix_png(folder: Path) -> list[Path]:
    """Draws the matrices of a run's folder beside their files.

    Returns:
        The pictures: `accuracy_matrix.png` (validation) and, where the test set was opened, `accuracy_matrix_test.png`.

    Raises:
        UserError: the folder holds no accuracy matrix.
    """
    found = [split for split, (source, _) in FILES.items() if (folder / source).is_file()]
    if not found:
        raise UserError(f"{folder} holds no accuracy matrix ({FILES['validation'][0]}): the run has not finished")
    pictures: list[Path] = []
    for split in found:
        source, picture = FILES[split]
        figure = matrix_figure(read_matrix(folder / source), f"Accuracy on {split} data")
        figure.savefig(folder / picture)
        pictures.append(folder / picture)
    return pictures


def _tick_tasks(axes: Axes, frame: pd.DataFrame) -> None:
    """Labels every task, or, where there are many, every fifth, tenth or so."""
    rows, columns = frame.shape
    stride = next(step for step in (1, 5, 10, 25, 50, 10**6) if columns / step <= MOST_NUMBERS)
    shift = rows - columns
    kept = [column for column in range(columns) if (column + 1) % stride == 0]
    axes.set_xticks(kept, [str(column + 1) for column in kept])
    names = [str(name).removeprefix("task ") for name in frame.index]
    shown = [*range(shift), *(column + shift for column in kept)]
    axes.set_yticks(shown, [names[row] for row in shown])
    axes.set_xlabel("task")
    axes.set_ylabel("after learning task")
