"""The functions that a toy regression has learned, after each task (figure 2 of von Oswald et al., 2020)."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from hypercl.analysis.style import MARKERS, SERIES, legend_below, panel_grid
from hypercl.tasks import POLYNOMIALS

MARKS = 25
"""Predictions drawn of each task."""


def functions_figure(learned: list[pd.DataFrame]) -> Figure:
    """A panel after each task: the true functions dashed, predictions as markers.

    Args:
        learned: after each task, the columns `task` (from 1), `x`, `target`, `prediction`.
    """
    figure, panels = panel_grid(len(learned), 2.7, 2.5, sharey=True)
    for number, (axes, points) in enumerate(zip(panels.flat, learned, strict=False), start=1):
        for task, own in points.groupby("task"):
            place = int(str(task)) - 1
            polynomial, colour = POLYNOMIALS[place], SERIES[place]
            x = polynomial.spaced(100)
            axes.plot(x, polynomial.value(x), "--", color=colour, linewidth=1, label=f"task {task}: {polynomial.name}")
            shown = own.iloc[:: max(1, len(own) // MARKS)]
            axes.plot(shown["x"], shown["prediction"], MARKERS[place], color=colour, markersize=3.5, label="prediction")
        axes.set(title=f"after task {number}", xlabel="x")
    panels[0, 0].set_ylabel("y")
    legend_below(figure)
    return figure


def write_functions_png(folder: Path) -> Path | None:
    """Draws `functions.png` of a run in its folder; None where it is no toy regression."""
    files = sorted(folder.glob("functions/after-task-*.csv"))
    if not files:
        return None
    picture = folder / "functions.png"
    functions_figure([pd.read_csv(file) for file in files]).savefig(picture)
    return picture
