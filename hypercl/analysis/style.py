"""What all figures share: colours, size, words."""

from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "0.55"
SERIES = (BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Told apart by colour-blind readers (Okabe & Ito, 2008)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def empty_figure(width: float, height: float) -> Figure:
    """A figure without pyplot; sizes in inches."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def legend_below(figure: Figure) -> None:
    """One legend for all panels, each label once."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    columns = len(handles) if figure.get_figwidth() > 6 else 2
    below = {"loc": "outside lower center", "ncols": columns, "frameon": False, "fontsize": 8}
    figure.legend(list(handles.values()), list(handles), **below)


def words(metric: str) -> str:
    """A metric's key as a label."""
    return metric.replace("/", " ").replace("_", " ")


def broken(path: str, longest: int = 22) -> str:
    """A long key path on two lines, broken after a dot."""
    head, dot, last = path.rpartition(".")
    return f"{head}{dot}\n{last}" if len(path) > longest and head else path
