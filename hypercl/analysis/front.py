"""The front of a sweep of several goals: the settings that no other one beats in one goal without losing in another."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator

from hypercl.analysis import style
from hypercl.analysis.sweep import first_of_several, history_table
from hypercl.config.models import Goal, Objective

MOST_NAMED = 15
WIDE = 30.0
"""Sizes and times whose ratio is at least this stand on a logarithmic axis."""
_SIZES = ("compression_ratio", "parameters", "seconds", "peak_memory_gib")


def front_figure(trials: pd.DataFrame, front: pd.DataFrame, objective: Objective) -> Figure:
    """Every complete trial by its goals, the front with the numbers of its trials, its knee marked.

    Of two goals one panel, the first goal upward, with the front as a staircase: the best of one that was reached at
    each value of the other. Of more a panel for each pair, in which the front is where it lies.

    Args:
        trials: as from `read_trials`, a column for each goal.
        front: columns `number`, each goal, `knee`.
        objective: the goals.
    """
    pairs = [(one, other) for one, other in combinations(objective.goals, 2)]
    figure, panels = style.panel_grid(len(pairs), *((5.8, 4.3) if len(pairs) == 1 else (3.4, 3.1)))
    complete = pd.DataFrame(trials[trials["state"] == "complete"])
    for axes, (up, along) in zip(panels.flat, pairs, strict=False):
        _panel(axes, complete, front, along, up)
        if len(pairs) == 1:
            _staircase(axes, front, along, up)
    pruned = list(trials["state"]).count("pruned")
    early = f"; {pruned} pruned ones have no values" if pruned else ""
    text = f"{len(complete)} complete trials, {len(front)} on the front{early}"
    style.legend_above(figure, panels[0, 0], text)
    return figure


def _panel(axes: Axes, complete: pd.DataFrame, front: pd.DataFrame, along: Goal, up: Goal) -> None:
    behind = complete[~complete["number"].isin(front["number"])]
    axes.plot(
        behind[along.metric], behind[up.metric], "o", color=style.GREY, markersize=4.5, alpha=0.75, label="complete"
    )
    axes.plot(front[along.metric], front[up.metric], "o", color=style.BLUE, markersize=6, label="on the front")
    best = front[front["knee"]]
    axes.plot(
        best[along.metric], best[up.metric], "*", color=style.ORANGE, markersize=14, markeredgecolor="w", label="knee"
    )
    for goal, axis in ((along, "x"), (up, "y")):
        numbers = complete[goal.metric].to_numpy(dtype=float)
        if goal.metric in _SIZES and numbers.min(initial=np.inf) > 0 and numbers.max() / numbers.min() > WIDE:
            style.logarithmic(axes, axis, numbers.min(), numbers.max())
    axes.margins(0.1)
    axes.set(xlabel=_label(along), ylabel=_label(up))
    axes.grid(alpha=0.25)
    for number, x, y in zip(front["number"], front[along.metric], front[up.metric], strict=True):
        if len(front) <= MOST_NAMED:
            name = str(number)
            axes.annotate(name, (x, y), xytext=(5, -11), textcoords="offset points", fontsize=7.5, color="0.3")


def _staircase(axes: Axes, front: pd.DataFrame, along: Goal, up: Goal) -> None:
    ordered = front.sort_values([along.metric, up.metric], ascending=[along.sign > 0, up.sign > 0])
    axes.step(ordered[along.metric], ordered[up.metric], where="post", color=style.BLUE, linewidth=1.2, zorder=1)


def _label(goal: Goal) -> str:
    better = {"maximize": "more is better", "minimize": "less is better"}[goal.direction]
    return f"{style.words(goal.metric)} ({better})"


def comparison_table(sweeps: Mapping[str, pd.DataFrame], objective: Objective) -> pd.DataFrame:
    """The best value of each sweep by the number of trained trials.

    Args:
        sweeps: name -> trained trials, as from `read_trials`.
        objective: their common metric and direction.

    Returns:
        Columns `sweep`, `trained`, `best`, a row for each trained trial in the order of numbers.
    """
    tables: list[pd.DataFrame] = []
    for name, trials in sweeps.items():
        table = history_table(trials, objective)
        table = table.reset_index(drop=True)
        tables.append(table.assign(sweep=name, trained=table.index + 1)[["sweep", "trained", "best"]])
    return pd.concat(tables, ignore_index=True)


def comparison_figure(table: pd.DataFrame, objective: Objective) -> Figure:
    """The best value so far of each sweep against the trials trained, one line a sweep.

    Args:
        table: as from `comparison_table`.
        objective: the metric and its direction.
    """
    figure = style.empty_figure(6.4, 3.8)
    axes = figure.add_subplot(xlabel="trials trained", ylabel=f"best {style.words(objective.metric)}")
    names = list(dict.fromkeys(table["sweep"]))
    for index, name in enumerate(names):
        trials = table[table["sweep"] == name]
        colour, marker = style.SERIES[index % len(style.SERIES)], style.MARKERS[index % len(style.MARKERS)]
        last = [len(trials) - 1]
        axes.step(
            trials["trained"], trials["best"], where="post", color=colour, marker=marker, markevery=last, label=name
        )
    axes.set_xlim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    columns = max(1, min(3, 60 // max(map(len, names))))
    legend = figure.legend(loc="outside lower center", ncols=columns, frameon=False)
    legend.set_title(first_of_several(objective), FontProperties(size=9))
    return figure
