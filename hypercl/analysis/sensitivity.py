"""What one number does to a run: accuracy at the end and when just learned against it (figure 3b of the paper)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hypercl.analysis.style import BLUE, MARKERS, ORANGE, empty_figure, legend_above, logarithmic

WIDE = 20.0
"""Values whose ratio is at least this stand on a logarithmic axis."""
LINES = {"final_accuracy": ("at the end", BLUE), "during_accuracy": ("when just learned", ORANGE)}


def sensitivity_figure(table: pd.DataFrame, name: str, score: str = "accuracy") -> Figure:
    """Accuracy in percent against one number: the mean of each setting as a line, its spread over seeds as bars.

    Args:
        table: columns `x` and, as far as they are known, those of `LINES` and `<line>_sd`; fractions.
        name: of the number.
        score: what is measured, in words.
    """
    figure = empty_figure(5.2, 3.6)
    axes = figure.add_subplot(xlabel=name, ylabel=f"validation {score}, %")
    ordered = table.sort_values("x")
    x = ordered["x"].to_numpy(dtype=float)
    if x.min() > 0 and x.max() / x.min() >= WIDE:
        logarithmic(axes, "x", x.min(), x.max())
    for marker, (column, (label, colour)) in zip(MARKERS, LINES.items(), strict=False):
        if column not in ordered:
            continue
        spread = 100 * ordered[f"{column}_sd"] if f"{column}_sd" in ordered else None
        bars = None if spread is None else np.nan_to_num(spread.to_numpy(dtype=float))
        style = {"color": colour, "marker": marker, "markersize": 5, "capsize": 3, "linewidth": 1.3}
        axes.errorbar(x, 100 * ordered[column].to_numpy(dtype=float), yerr=bars, label=label, **style)
    axes.grid(alpha=0.25)
    legend_above(figure, axes)
    return figure
