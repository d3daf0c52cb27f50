"""Figures of a sweep: how the search went, and what each parameter did."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hypercl.analysis import style
from hypercl.analysis.final_text import LEAK
from hypercl.config import Distribution, SweepFile, UserError
from hypercl.config.models import Objective, TestLeak, is_list, key_of
from hypercl.config.reading import dump

ROOM = 24
"""Letters that fit side by side below one panel."""


def read_trials(path: Path, objective: Objective | None = None) -> pd.DataFrame:
    """A sweep's trials.csv: one row a trial; NaN for the value of a trial that is not complete, and for a parameter
    that a trial does not have. `null` is a value. Of several goals, which have a column each, `value` is the first.

    Args:
        path: the file.
        objective: of its sweep; None where it has one goal.

    Raises:
        UserError: the file is missing or holds no trials.
    """
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
        if objective is not None and len(objective.goals) > 1:
            frame["value"] = frame[objective.metric].where(frame["state"] == "complete")
        return frame.astype({"number": int, "state": str, "value": float})
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} holds no trials: {error}") from None


def history_table(trials: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Number, state and value of each trial, and the best value up to it (`best`)."""
    table = pd.DataFrame(trials.sort_values("number")[["number", "state", "value"]])
    running = np.fmax if objective.direction == "maximize" else np.fmin
    return table.assign(best=running.accumulate(table["value"].to_numpy(dtype=float)))


def history_figure(trials: pd.DataFrame, objective: Objective) -> Figure:
    """Objective value by trial number, the best so far as a line, pruned trials along the bottom.

    Args:
        trials: as from `read_trials`.
        objective: the metric and its direction.
    """
    table = history_table(trials, objective)
    figure = style.empty_figure(6.4, 3.6)
    axes = figure.add_subplot(xlabel="trial", ylabel=style.words(objective.metric))
    number = table["number"].to_numpy()
    axes.plot(number, table["value"], "o", color=style.BLUE, markersize=4.5, alpha=0.75, label="complete")
    axes.step(number, table["best"], where="post", color=style.ORANGE, linewidth=1.5, label="best so far")
    _rug(axes, number[_pruned(table)])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.12)  # room for the trials along the bottom
    axes.grid(alpha=0.25)
    style.legend_above(figure, axes, first_of_several(objective))
    return figure


def first_of_several(objective: Objective) -> str:
    """What a figure by one metric says above its legend where the sweep has more goals."""
    if len(objective.goals) == 1:
        return ""
    return f"by the first of {len(objective.goals)} goals, {style.words(objective.metric)}; all of them: front.png"


def parameter_figure(trials: pd.DataFrame, space: Mapping[str, Distribution], objective: Objective) -> Figure:
    """Objective value against each parameter, one panel each; the best trial is marked.

    Args:
        trials: as from `read_trials`, with a column for each parameter, and `best`, the one to mark; without it that is
            the best value.
        space: key path -> distribution; a logarithmic one gets a logarithmic axis, a computed one no panel.
        objective: the metric and its direction.
    """
    space = {path: distribution for path, distribution in space.items() if distribution.kind != "equals"}
    figure, panels = style.panel_grid(len(space), 2.9, 2.6, sharey=True)
    value = trials["value"].to_numpy(dtype=float)
    best = int(np.nanargmax(value) if objective.direction == "maximize" else np.nanargmin(value))
    name = "best"
    if "best" in trials:
        best = int(np.argmax(trials["best"].to_numpy()))
        name = "best" if len(objective.goals) == 1 else "knee of the front"
    for axes, (path, distribution) in zip(panels.flat, space.items(), strict=False):
        places = _places(axes, trials, path, distribution)
        axes.plot(places, value, "o", color=style.BLUE, markersize=4, alpha=0.7, label="complete")
        axes.plot(places[best], value[best], "*", color=style.ORANGE, markersize=12, markeredgecolor="w", label=name)
        _rug(axes, places[_pruned(trials)])
        axes.set_xlabel(style.broken(path))
        axes.margins(y=0.12)  # room for the trials along the bottom
        axes.grid(alpha=0.25)
    for axes in panels[:, 0]:
        axes.set_ylabel(style.words(objective.metric))
    style.legend_above(figure, panels[0, 0], first_of_several(objective))
    return figure


def under_protocol(figure: Figure, file: SweepFile) -> Figure:
    """The figure, which says at its foot where what it calls validation is the test data, and where its values are of
    trials that were trained for a fraction of the full length."""
    leak = f"{LEAK}: tuned on the TEST data, called validation here" if isinstance(file.protocol, TestLeak) else ""
    foot = "; ".join(filter(None, [leak, f"values{file.at_fidelity}" if file.fidelity else ""]))
    if foot:
        figure.supxlabel(foot, fontsize=9, color=style.ORANGE)
    return figure


def draw_sweep(file: SweepFile, trials: pd.DataFrame, figures: Path) -> list[Path]:
    """Draws history.png and, where the space is not empty, parameters.png, each with its numbers as CSV beside.

    Args:
        file: the sweep.
        trials: as from `read_trials`.
        figures: the folder for them, made where it is missing.

    Returns:
        The pictures; none while no trial is complete.
    """
    if np.isnan(trials["value"].to_numpy(dtype=float)).all():
        return []
    figures.mkdir(parents=True, exist_ok=True)
    history_table(trials, file.objective).to_csv(figures / "history.csv", index=False)
    under_protocol(history_figure(trials, file.objective), file).savefig(figures / "history.png")
    pictures = [figures / "history.png"]
    if file.space:
        trials = trials.assign(**{name: _where_drawn(trials, name, one) for name, one in file.space.items()})
        trials[["number", "state", "value", *file.space]].to_csv(figures / "parameters.csv", index=False)
        drawn = under_protocol(parameter_figure(trials, file.space, file.objective), file)
        drawn.savefig(figures / "parameters.png")
        pictures.append(figures / "parameters.png")
    return pictures


def _where_drawn(trials: pd.DataFrame, entry: str, one: Distribution) -> pd.Series:
    """The column of a key, empty where another entry of the space gave its value."""
    values, key = trials[key_of(entry)], key_of(entry)
    for parent, given in one.when.items() if entry != key else ():
        allowed = [_name(value) for value in (given if is_list(given) else [given])]
        values = values.where(np.array([_name(value) in allowed for value in trials[key_of(parent)]], dtype=bool))
    return values


def _places(axes: Axes, trials: pd.DataFrame, path: str, distribution: Distribution) -> np.ndarray:
    """Where each trial lies on a parameter's axis: its value, or its choice's index, spread a little."""
    if distribution.kind != "choice":
        if distribution.kind in ("log_uniform", "int_log"):
            low, high = distribution.values
            style.logarithmic(axes, "x", low, high)
        _span(axes, distribution)
        return trials[path].to_numpy(dtype=float)
    names = [_name(choice) for choice in distribution.values]
    axes.set_xticks(range(len(names)), names)
    if max(map(len, names)) * len(names) > ROOM:
        axes.tick_params(axis="x", labelrotation=30)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, len(names) - 0.5)
    given = [_name(value) for value in trials[path]]
    index = np.array([names.index(name) if name in names else np.nan for name in given])
    return index + (trials["number"].to_numpy() * 0.618034 % 1 - 0.5) * 0.3


def _span(axes: Axes, distribution: Distribution) -> None:
    """The axis shows the whole range that was searched, wherever the trials lie."""
    low, high = distribution.values
    if axes.get_xscale() == "log":
        axes.set_xlim(low * (low / high) ** 0.04, high * (high / low) ** 0.04)
    else:
        axes.set_xlim(low - 0.04 * (high - low), high + 0.04 * (high - low))


def _pruned(trials: pd.DataFrame) -> np.ndarray:
    return trials["state"].to_numpy() == "pruned"


def _name(value: object) -> str:
    """A choice's name, the same for 8 and for the 8.0 that a CSV column with gaps gives back."""
    if value is None or isinstance(value, list | tuple | dict):
        return "null" if value is None else dump(list(value) if isinstance(value, tuple) else value).strip()
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return str(value)


def _rug(axes: Axes, places: np.ndarray) -> None:
    """Pruned trials: they have no final value, so they stand along the bottom."""
    if len(places):
        heights = np.full(len(places), 0.03)
        axes.plot(
            places, heights, "|", color=style.GREY, markersize=8, transform=axes.get_xaxis_transform(), label="pruned"
        )


def importance_figure(table: pd.DataFrame, title: str = "") -> Figure:
    """A bar for each parameter, greatest on top, with a mark where chance alone would still put it.

    Args:
        table: columns `parameter` (key path), `importance` (share, 0 to 1), `chance` (on the same scale).
        title: written above, such as on how many trials it rests.
    """
    table = table.sort_values("importance", kind="stable")
    figure = style.empty_figure(6.4, 0.34 * len(table) + 1.3)
    axes = figure.add_subplot(xlabel="share of importance")
    beyond = (table["importance"] > table["chance"] + 1e-9).to_numpy()
    places = list(range(len(table)))
    share = table["importance"].to_numpy(dtype=float)
    for mask, colour, label in ((beyond, style.BLUE, "stands out"), (~beyond, style.GREY, "could be chance")):
        chosen = [place for place, wanted in zip(places, mask, strict=True) if wanted]
        if chosen:
            axes.barh(chosen, share[mask], height=0.62, color=colour, label=label)
    chance = table["chance"].to_numpy(dtype=float)
    axes.plot(chance, places, "|", color=style.ORANGE, markersize=15, markeredgewidth=2, label="chance (one in twenty)")
    axes.set_yticks(places, list(table["parameter"]))
    axes.set_xlim(0, None)
    axes.set_title(title, fontsize=9, loc="left")
    axes.grid(alpha=0.25, axis="x")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure
