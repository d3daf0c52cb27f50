"""Which parameters of a sweep mattered, as a figure."""

import pandas as pd
from matplotlib.figure import Figure

from hypercl.analysis.style import BLUE, GREY, ORANGE, empty_figure


def importance_figure(table: pd.DataFrame, title: str = "") -> Figure:
    """A bar for each parameter, greatest on top, with a mark where chance alone would still put it.

    Args:
        table: columns `parameter` (key path), `importance` (share, 0 to 1), `chance` (on the same scale).
        title: written above, such as on how many trials it rests.
    """
    table = table.sort_values("importance", kind="stable")
    figure = empty_figure(6.4, 0.34 * len(table) + 1.3)
    axes = figure.add_subplot(xlabel="share of importance")
    beyond = (table["importance"] > table["chance"] + 1e-9).to_numpy()
    places = list(range(len(table)))
    share = table["importance"].to_numpy(dtype=float)
    for mask, colour, label in ((beyond, BLUE, "stands out"), (~beyond, GREY, "could be chance")):
        chosen = [place for place, wanted in zip(places, mask, strict=True) if wanted]
        if chosen:
            axes.barh(chosen, share[mask], height=0.62, color=colour, label=label)
    chance = table["chance"].to_numpy(dtype=float)
    axes.plot(chance, places, "|", color=ORANGE, markersize=15, markeredgewidth=2, label="chance (one in twenty)")
    axes.set_yticks(places, list(table["parameter"]))
    axes.set_xlim(0, None)
    axes.set_title(title, fontsize=9, loc="left")
    axes.grid(alpha=0.25, axis="x")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure
