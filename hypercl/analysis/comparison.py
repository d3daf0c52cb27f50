"""Several sweeps over the same metric, side by side."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hypercl.analysis.style import MARKERS, SERIES, empty_figure, words
from hypercl.analysis.sweep import first_of_several, history_table
from hypercl.config.models.sweep import Objective

_TRAINED = ("complete", "learned", "pruned", "diverged", "out_of_memory")


def comparison_table(sweeps: Mapping[str, pd.DataFrame], objective: Objective) -> pd.DataFrame:
    """The best value of each sweep after so many trained trials.

    Args:
        sweeps: name -> trials, as from `read_trials`.
        objective: their common metric and direction.

    Returns:
        Columns `sweep`, `trained`, `best`, a row for each trained trial in the order of numbers.
    """
    tables = []
    for name, trials in sweeps.items():
        table = history_table(trials, objective)
        table = table[table["state"].isin(_TRAINED)].reset_index(drop=True)
        tables.append(table.assign(sweep=name, trained=table.index + 1)[["sweep", "trained", "best"]])
    return pd.concat(tables, ignore_index=True)


def comparison_figure(table: pd.DataFrame, objective: Objective) -> Figure:
    """The best value so far of each sweep against the trials trained, one line a sweep.

    Args:
        table: as from `comparison_table`.
        objective: the metric and its direction.
    """
    figure = empty_figure(6.4, 3.8)
    axes = figure.add_subplot(xlabel="trials trained", ylabel=f"best {words(objective.metric)}")
    names = list(dict.fromkeys(table["sweep"]))
    for index, name in enumerate(names):
        own = table[table["sweep"] == name]
        colour, marker = SERIES[index % len(SERIES)], MARKERS[index % len(MARKERS)]
        last = [len(own) - 1]
        axes.step(own["trained"], own["best"], where="post", color=colour, marker=marker, markevery=last, label=name)
    axes.set_xlim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=max(1, min(3, 60 // max(map(len, names)))), frameon=False)
    first_of_several(figure, objective)
    return figure
