"""A table of published results beside one's own, as a figure."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hypercl.analysis.style import BLUE, ORANGE, empty_figure
from hypercl.reproduce.results import HEADS
from hypercl.reproduce.table import Cell, Reproduction, cells_of


def reproduction_figure(table: Reproduction, frame: pd.DataFrame) -> Figure:
    """Ours, with the spread over seeds, beside the published; a panel a scenario, a line a method.

    Args:
        table: names the lines and what was published.
        frame: as from `read_reproduction`.
    """
    cells = cells_of(table)
    scenarios = [scenario for scenario in HEADS if any(cell.scenario == scenario for cell in cells)]
    figure = empty_figure(2.0 + 2.6 * len(scenarios), 1.4 + 0.27 * len(table.rows))
    for index, scenario in enumerate(scenarios):
        axes = figure.add_subplot(1, len(scenarios), index + 1, title=HEADS[scenario], xlabel="test accuracy, %")
        _panel(axes, {cell.row: cell for cell in cells if cell.scenario == scenario}, list(table.rows), frame)
        axes.set_yticks(range(len(table.rows)), [row.label if not index else "" for row in table.rows.values()])
    legend = {label: one for axes in figure.axes for one, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _panel(axes: Axes, cells: Mapping[str, Cell], rows: Sequence[str], frame: pd.DataFrame) -> None:
    for name, cell in cells.items():
        place = rows.index(name)
        if cell.published is not None:
            axes.plot(cell.published, place, "D", color=ORANGE, fillstyle="none", markersize=6, label="published")
        own = [100 * float(value) for value in frame["accuracy"][frame["cell"] == cell.name] if not pd.isna(value)]
        if own:
            spread = [stdev(own)] if len(own) > 1 else None
            axes.errorbar(fmean(own), place, xerr=spread, fmt="o", color=BLUE, markersize=4, capsize=2, label="ours")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(alpha=0.25)
