"""The heat map of an accuracy matrix."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from hypercl.analysis.style import empty_figure
from hypercl.config import UserError
from hypercl.training import MATRIX_FILES, AccuracyMatrix, read_matrices

MOST_NUMBERS = 20
"""Cells of a larger matrix are too small for numbers."""


def matrix_figure(matrix: AccuracyMatrix, title: str, score: str = "accuracy") -> Figure:
    """A heat map of an accuracy matrix, in percent.

    The colours span what was reached by learning, so that forgetting shows; chance, before training, lies below them.

    Args:
        matrix: of a run.
        title: written above it.
        score: what the cells are, in words.
    """
    values = 100 * np.array(matrix.cells)
    rows, columns = values.shape
    cell = 0.52 if columns <= MOST_NUMBERS else max(0.06, 8 / columns)
    width, height = max(4.2, cell * columns + 2.0), max(2.6, 0.62 * cell * rows + 1.3)
    figure = empty_figure(width, height)
    axes = figure.add_subplot()
    axes.set_facecolor("0.93")
    low = 5 * np.floor(np.nanmin(values[rows - columns :], initial=95.0) / 5)
    shades = Normalize(vmin=float(low), vmax=100.0)
    image = axes.imshow(np.ma.masked_invalid(values), cmap="cividis", norm=shades, aspect="auto")
    _tick_tasks(axes, matrix)
    if columns <= MOST_NUMBERS:
        for row, column in np.argwhere(np.isfinite(values)):
            value = values[row, column]
            colour = "black" if value > low + 0.55 * (100 - low) else "white"
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_title(title, fontsize=10)
    figure.colorbar(image, ax=axes, label=f"{score}, %", extend="min", fraction=0.05, pad=0.02)
    return figure


def write_matrix_png(folder: Path, matrices: Mapping[str, AccuracyMatrix] | None = None) -> list[Path]:
    """Draws the matrices of a finished run beside their files.

    Args:
        folder: of the run.
        matrices: by data set, as in `Finished`; None reads them from the folder.

    Returns:
        The pictures: `accuracy_matrix.png` (validation) and, where test data was opened, `accuracy_matrix_test.png`.

    Raises:
        UserError: the folder holds no accuracy matrix.
    """
    matrices = read_matrices(folder) if matrices is None else matrices
    if not matrices:
        raise UserError(f"{folder} holds no {MATRIX_FILES['validation']}: the run has not finished")
    pictures: list[Path] = []
    for data, matrix in matrices.items():
        pictures.append((folder / MATRIX_FILES[data]).with_suffix(".png"))
        score = "R\u00b2" if (folder / "mse_matrix.csv").is_file() else "accuracy"
        matrix_figure(matrix, f"{score[0].upper()}{score[1:]} on {data} data", score).savefig(pictures[-1])
    return pictures


def _tick_tasks(axes: Axes, matrix: AccuracyMatrix) -> None:
    """Labels every task, or, where there are many, every fifth, tenth or so."""
    rows, columns = len(matrix.after), len(matrix.tasks)
    stride = next(step for step in (1, 5, 10, 25, 50, 10**6) if columns / step <= MOST_NUMBERS)
    shift = rows - columns
    kept = [column for column in range(columns) if (column + 1) % stride == 0]
    axes.set_xticks(kept, [str(column + 1) for column in kept])
    names = [name.removeprefix("task ") for name in matrix.after]
    shown = [*range(shift), *(column + shift for column in kept)]
    axes.set_yticks(shown, [names[row] for row in shown])
    axes.set_xlabel("task")
    axes.set_ylabel("after learning task")
