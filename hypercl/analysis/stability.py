"""The trace of a sweep under protocol `stability_decay`: what was tried at each task, and what was accepted."""

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hypercl.analysis.style import BLUE, GREY, ORANGE, empty_figure, legend_above
from hypercl.files import write_text
from hypercl.formatting import markdown_table, percent

COLUMNS = (
    "task", "phase", "trial", "parent", "learning_rate", "strength", "halvings", "accuracy", "mark", "floor", "state",
    "accepted",
)  # fmt: skip
"""Of the trace: one row an attempt. `mark` is the best accuracy on the task by plain fine-tuning, `floor` from where on
an attempt of phase decay is accepted; `strength` is 0 in phase rate."""


_TYPES = {"parent": "Int64", "accuracy": float, "mark": float, "floor": float}


def stability_trace(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The attempts in the order of the stream: by task, plain fine-tuning before the strengths, each as it was tried.

    Args:
        rows: one an attempt, with `COLUMNS`; tasks from 1, None where something is not known.
    """
    table = pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(_TYPES)
    later = table["phase"] == "decay"
    return table.assign(later=later).sort_values(["task", "later", "halvings", "learning_rate"]).drop(columns="later")


def by_task_rows(trace: pd.DataFrame, strength: str) -> list[dict[str, str]]:
    """One row a task for people: each value with its accuracy in percent, the mark, what was accepted.

    Args:
        trace: as from `stability_trace`.
        strength: the strength's name, such as `beta`.
    """
    attempts = [dict(zip(trace.columns, row, strict=True)) for row in trace.itertuples(index=False)]
    return [
        _task_row(task, [attempt for attempt in attempts if attempt["task"] == task], strength)
        for task in dict.fromkeys(attempt["task"] for attempt in attempts)
    ]


def _task_row(task: int, attempts: list[dict[str, Any]], strength: str) -> dict[str, str]:
    decay = [attempt for attempt in attempts if attempt["phase"] == "decay"]
    accepted = [attempt for attempt in attempts if attempt["accepted"]]
    rates = [_tried(attempt["learning_rate"], attempt) for attempt in attempts if attempt["phase"] == "rate"]
    return {
        "task": str(task),
        "lr: accuracy without protection": ", ".join(rates),
        "mark": percent(decay[0]["mark"]) if decay else "",
        "asked for": percent(decay[0]["floor"]) if decay else "",
        f"{strength}: accuracy": ", ".join(_tried(attempt["strength"], attempt) for attempt in decay),
        "accepted": _accepted(accepted[0], strength) if accepted else "not yet",
        "trial": str(accepted[0]["trial"]) if accepted else "",
    }


def _tried(value: float, attempt: Mapping[str, Any]) -> str:
    """'0.001: 97.10', or how it ended instead."""
    reached = attempt["accuracy"]
    return f"{value:g}: {attempt['state'] if isnan(reached) else percent(reached)}"


def _accepted(attempt: Mapping[str, Any], strength: str) -> str:
    rate = f"lr {attempt['learning_rate']:g}"
    return f"{rate}, {strength} {attempt['strength']:g}" if attempt["phase"] == "decay" else rate


def stability_figure(trace: pd.DataFrame, strength: str) -> Figure:
    """Accuracy on the new task, learning rate and strength of each attempt, task by task; stars were accepted.

    Args:
        trace: as from `stability_trace`.
        strength: the strength's name, such as `beta`.
    """
    numbers = trace["task"].to_numpy(dtype=int)
    tasks = np.unique(numbers)
    places = np.asarray(np.arange(len(trace)) + 1.5 * np.searchsorted(tasks, numbers), dtype=float)
    within = [places[numbers == task] for task in tasks]
    figure = empty_figure(max(6.4, 0.2 * float(places.max()) + 1.5), 5.6)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(2.2, 1, 1))
    for axes, column in ((top, "accuracy"), (middle, "learning_rate"), (bottom, "strength")):
        _attempts(axes, places, trace, column)
    _marks(top, within, [pd.DataFrame(trace[trace["task"] == task]) for task in tasks])
    lost = places[trace["state"].to_numpy() == "lost"]
    if len(lost):
        along = {"transform": top.get_xaxis_transform(), "color": GREY, "label": "diverged or out of memory"}
        top.plot(lost, np.full(len(lost), 0.03), "x", **along)
    top.set_ylabel("accuracy on the new task")
    middle.set(ylabel="learning rate", yscale="log")
    bottom.set(ylabel=strength, yscale="log")
    bottom.set_xticks([span.mean() for span in within], [f"task {task}" for task in tasks])
    for axes in (top, middle, bottom):
        axes.grid(axis="y", alpha=0.25)
        axes.margins(y=0.12)
        axes.tick_params(axis="x", length=0)
        for span in within[:-1]:
            axes.axvline(span.max() + 1.25, color="0.85", linewidth=0.8)
    legend_above(figure, top)
    return figure


def _attempts(axes: Axes, places: np.ndarray, trace: pd.DataFrame, column: str) -> None:
    """One quantity of all attempts; without protection there is no strength."""
    values, phases = trace[column].to_numpy(dtype=float), trace["phase"].to_numpy()
    values = np.where((phases == "rate") & (column == "strength"), np.nan, values)
    names = {"rate": ("o", BLUE, "plain fine-tuning"), "decay": ("s", ORANGE, "with protection")}
    for phase, (marker, color, label) in names.items():
        of_phase = phases == phase
        axes.plot(places[of_phase], values[of_phase], marker, color=color, markersize=5, alpha=0.75, label=label)
    accepted = trace["accepted"].to_numpy(dtype=bool)
    axes.plot(places[accepted], values[accepted], "*", color="k", markersize=11, markeredgecolor="w", label="accepted")


def _marks(axes: Axes, within: Sequence[np.ndarray], tasks: Sequence[pd.DataFrame]) -> None:
    """The mark and the floor of each task that has them, over its attempts."""
    lines = {"mark": ("-", "mark"), "floor": ("--", "enough from here up")}
    for places, attempts in zip(within, tasks, strict=True):
        for column, (line, label) in lines.items():
            if known := attempts[column].dropna().tolist():
                ends = (places.min() - 0.6, places.max() + 0.6)
                axes.plot(ends, known[:1] * 2, line, color=GREY, linewidth=1.2, label=label)


def write_stability(trace: pd.DataFrame, strength: str, folder: Path) -> list[Path]:
    """Writes stability.csv (the trace), stability.md (task by task) and stability.png.

    Returns:
        The picture; none while nothing was tried.
    """
    if not len(trace):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    trace.to_csv(folder / "stability.csv", index=False, lineterminator="\n")
    write_text(folder / "stability.md", markdown_table(by_task_rows(trace, strength)) + "\n")
    stability_figure(trace, strength).savefig(folder / "stability.png")
    return [folder / "stability.png"]
