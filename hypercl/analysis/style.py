"""What all figures share: colours, size, words."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, MaxNLocator, NullFormatter

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "0.55"
SERIES = (BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Told apart by colour-blind readers (Okabe & Ito, 2008)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def empty_figure(width: float, height: float) -> Figure:
    """A figure without pyplot; sizes in inches."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panel_grid(count: int, width: float, height: float, sharey: bool = False) -> tuple[Figure, np.ndarray]:
    """Panels, at most three in a row, and their figure; the sizes, in inches, are of one panel."""
    columns = max(1, min(3, count))
    rows = max(1, -(-count // columns))
    figure = empty_figure(width * columns + 0.6, height * rows + 0.6)
    panels = figure.subplots(rows, columns, sharey=sharey, squeeze=False)
    for axes in panels.flat[count:]:
        axes.remove()
    return figure, panels


def legend_below(figure: Figure) -> None:
    """One legend for all panels, each label once."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        handles |= _handles(axes)
    columns = len(handles) if figure.get_figwidth() > 6 else 2
    below = {"loc": "outside lower center", "ncols": columns, "frameon": False, "fontsize": 8}
    figure.legend(list(handles.values()), list(handles), **below)


def legend_above(figure: Figure, axes: Axes, title: str = "") -> None:
    """The legend of one panel for the whole figure, each label once, with a line above it."""
    handles = _handles(axes)
    legend = figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=3, frameon=False)
    legend.set_title(title, FontProperties(size=9))


def _handles(axes: Axes) -> dict[str, Artist]:
    return {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}


def logarithmic(axes: Axes, name: str, low: float, high: float) -> None:
    """Makes the axis `x` or `y` logarithmic, its ticks as dense as the range allows."""
    axes.set(**{f"{name}scale": "log"})
    axis: Axis = getattr(axes, f"{name}axis")
    wide, narrow = high / low >= 100, high / low < 10
    axis.set_major_locator(MaxNLocator(5) if narrow else LogLocator(subs=(1.0,) if wide else (1.0, 3.0)))
    axis.set_major_formatter(LogFormatterSciNotation() if wide else FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def words(metric: str) -> str:
    """A metric's key as a label."""
    return metric.replace("/", " ").replace("_", " ")


def broken(path: str, longest: int = 22) -> str:
    """A long key path on two lines, broken after a dot."""
    head, dot, last = path.rpartition(".")
    return f"{head}{dot}\n{last}" if len(path) > longest and head else path
