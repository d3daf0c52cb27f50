"""What a search promised against what came out on test data with fresh seeds: the optimism of the best of many."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hypercl.analysis.final_text import (
    NONE,
    Content,
    cell,
    counterpart,
    in_cell,
    label_in_words,
    leading,
    marked,
    metric_name,
    protocol_cell,
)
from hypercl.analysis.style import BLUE, GREY, ORANGE, empty_figure, legend_below
from hypercl.formatting import is_fraction, markdown_table, operations

Row = dict[str, Any]


@dataclass(frozen=True)
class Joined:
    """Several sweeps' promises side by side."""

    frame: pd.DataFrame
    """A row a sweep and goal, raw numbers."""
    rows: list[dict[str, str]]
    """The same as it is shown."""
    markdown: str
    """The same with what a reader needs to know."""
    figure: Figure


def optimism_table(content: Content) -> pd.DataFrame:
    """A row for each goal, setting and seed of what was promised: `promised`, `seed`, `came_out` of that seed, the
    `mean` over the setting's seeds with its t interval (`low`, `high`), `optimism` with `optimism_low`,
    `optimism_high`, and its parts (`hypercl.analysis.promise`): `fresh_validation`, `selection` and `gap`, with their
    ends. Accuracies are fractions.

    Args:
        content: as in final.json.
    """
    return pd.DataFrame(
        [
            row | {"seed": seed, "came_out": value}
            for metric in _metrics(content)
            for setting in _promising(content, metric)
            for row in [_row(content, setting, metric)]
            for seed, value in zip(setting["seeds"], _values(setting, metric), strict=True)
        ]
    )


def optimism_figure(content: Content) -> Figure:
    """A line a setting: what the search promised, each fresh seed's value, their mean and its t interval; a panel a
    goal.

    Args:
        content: as in final.json.
    """
    panels = {
        metric: [
            (label_in_words(setting["label"]), _row(content, setting, metric), _values(setting, metric))
            for setting in _promising(content, metric)
        ]
        for metric in _metrics(content)
    }
    figure = _figure(panels)
    promised = f"What the search promised{content.get('promised_at', '')} and what came out"
    figure.suptitle(marked(content, promised), fontsize=10)
    return figure


def write_optimism(content: Content, folder: Path) -> list[Path]:
    """promised.png with its numbers in promised.csv, in a folder that is there.

    Returns:
        The picture; none where the search promised nothing.
    """
    if not any(setting["promised"] for setting in content["settings"]):
        return []
    optimism_table(content).to_csv(folder / "promised.csv", index=False, lineterminator="\n")
    optimism_figure(content).savefig(folder / "promised.png")
    return [folder / "promised.png"]


def joined_optimism(contents: Mapping[str, Content]) -> Joined:
    """What each of several sweeps promised by its first setting, what came out, and what the tuning cost.

    Args:
        contents: name -> as in final.json.
    """
    rows = [_joined_row(name, content, metric) for name, content in contents.items() for metric in _metrics(content)]
    shown = [_in_words(row, contents[row["sweep"]]) for row in rows]
    notes = [f"{marked(content, name)}: {content['described']}." for name, content in contents.items()]
    explained = (
        "In percent and points, with 95 % t intervals over seeds. Promised: what the sweep expected of its best "
        "setting, on the data it tuned on. Came out: that setting retrained on fresh seeds, on the test data that the "
        "protocol reports on. Optimism is the difference; its parts are selection (promised against validation data on "
        "fresh seeds) and the gap from validation to test data. Trials, hours and floating-point operations are those "
        "of the search; after a + those of the earlier sweeps that it was warm-started from."
    )
    panels = {
        metric: [(marked(contents[row["sweep"]], row["sweep"]), row, []) for row in rows if row["metric"] == metric]
        for metric in dict.fromkeys(row["metric"] for row in rows)
    }
    markdown = "\n\n".join([markdown_table(shown), explained, *notes]) + "\n"
    frame = pd.DataFrame(rows).rename(columns={"mean": "came_out"})
    return Joined(frame, shown, markdown, _figure(panels))


def _row(content: Content, setting: Mapping[str, Any], metric: str) -> Row:
    """What was promised and what came out of a setting by a goal's metric."""
    measured = setting["metrics"][counterpart(metric)]
    promise: Mapping[str, Any] = setting["promised"].get(metric) or {}
    low, high = measured["t_interval"] or (None, None)
    optimism_low, optimism_high = promise.get("interval") or (None, None)
    parts = {name: promise.get(name) or {"mean": None, "interval": None} for name in ("selection", "gap")}
    ends = {name: part["interval"] or (None, None) for name, part in parts.items()}
    return {
        "sweep": content["sweep"],
        "protocol": protocol_cell(content),
        "metric": metric,
        "setting": setting["label"],
        "promised": promise.get("value"),
        "mean": measured["mean"],
        "low": low,
        "high": high,
        "optimism": promise.get("optimism"),
        "optimism_low": optimism_low,
        "optimism_high": optimism_high,
        "fresh_validation": promise.get("fresh"),
        **{
            key: value
            for name, part in parts.items()
            for key, value in ((name, part["mean"]), (f"{name}_low", ends[name][0]), (f"{name}_high", ends[name][1]))
        },
    }


def _joined_row(name: str, content: Content, metric: str) -> Row:
    setting = leading(content)
    compared: Mapping[str, Any] = setting["metrics"][counterpart(metric)]["difference"] or {}
    above = {"above_base": compared.get("mean"), "p": compared.get("p")}
    counts = {"seeds": len(setting["seeds"]), "lost": len(setting["lost"])}
    cost = {key: content["cost"].get(key) for key in ("trials", "hours", "gpu_hours", "flops")}
    return _row(content, setting, metric) | {"sweep": name} | above | counts | cost


def _in_words(row: Row, content: Content) -> dict[str, str]:
    """A row of the joined table as it is shown."""
    metric, earlier = row["metric"], content.get("earlier") or {}

    def spent(key: str, words: Callable[[float], str]) -> str:
        both = [row[key], *([earlier.get(key)] if earlier else [])]
        return " + ".join(NONE if value is None else words(value) for value in both)

    def value(key: str, low: str, high: str) -> str:
        return in_cell(metric, row[key], None if row[low] is None else (row[low], row[high]))

    return {
        "sweep": marked(content, row["sweep"]),
        "protocol": content["protocol"],
        **({"metric": metric_name(metric)} if len(content["goals"]) > 1 else {}),
        "promised": cell(metric, row["promised"]) + content.get("promised_at", ""),
        "came out": value("mean", "low", "high"),
        "optimism": value("optimism", "optimism_low", "optimism_high"),
        "by selection": value("selection", "selection_low", "selection_high"),
        "validation to test": value("gap", "gap_low", "gap_high"),
        "above the setting as written": cell(metric, row["above_base"]),
        "seeds": f"{row['seeds']}" + (f" ({row['lost']} lost)" if row["lost"] else ""),
        "trials": spent("trials", "{:g}".format),
        "hours": spent("hours", "{:.3g}".format),
        "operations": spent("flops", operations),
    }


def _figure(panels: Mapping[str, Sequence[tuple[str, Row, Sequence[float | None]]]]) -> Figure:
    """A panel a metric, in it a line a setting or sweep: its name, its `_row`, the value of each seed."""
    figure = empty_figure(2.2 + 4.4 * len(panels), 1.6 + 0.5 * max(map(len, panels.values())))
    for position, (metric, lines) in enumerate(panels.items(), start=1):
        label = metric_name(metric) + ", %" * is_fraction(metric)
        axes = figure.add_subplot(1, len(panels), position, xlabel=label)
        for height, (_, row, values) in enumerate(lines):
            _draw_line(axes, height, row, values)
        axes.set_yticks(range(len(lines)), [name for name, _, _ in lines])
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.margins(x=0.08)
        axes.grid(alpha=0.25, axis="x")
    legend_below(figure)
    return figure


def _draw_line(axes: Axes, height: int, row: Row, values: Sequence[float | None]) -> None:
    """What was promised, each seed's value, what came out."""
    scale = 100.0 if is_fraction(row["metric"]) else 1.0
    promised, mean, low, high, fresh = (
        None if row[key] is None else scale * row[key]
        for key in ("promised", "mean", "low", "high", "fresh_validation")
    )
    if promised is not None and mean is not None:
        axes.plot([promised, mean], [height, height], "-", color=GREY, linewidth=1, zorder=1)
    known = [scale * value for value in values if value is not None]
    if known:
        heights = [height + 0.22 + 0.12 * (place * 0.618034 % 1 - 0.5) for place in range(len(known))]
        axes.plot(known, heights, ".", color=GREY, markersize=5, alpha=0.8, label="each fresh seed")
    if mean is not None:
        ends = None if low is None or high is None else [[mean - low], [high - mean]]
        label = "came out: mean, 95 % interval"
        axes.errorbar(mean, height, xerr=ends, fmt="o", color=BLUE, markersize=5, capsize=3, label=label)
    if fresh is not None:
        label = "validation data, fresh seeds"
        axes.plot(fresh, height, "D", color=ORANGE, markerfacecolor="none", markersize=6, label=label)
    if promised is not None:
        axes.plot(promised, height, "D", color=ORANGE, markersize=6, label="promised by the search")


def _metrics(content: Content) -> list[str]:
    return [goal["metric"] for goal in content["goals"]]


def _promising(content: Content, metric: str) -> list[Mapping[str, Any]]:
    """Settings of which the search promised something."""
    return [setting for setting in content["settings"] if metric in setting["promised"]]


def _values(setting: Mapping[str, Any], metric: str) -> Sequence[float | None]:
    """Of each fresh seed."""
    return setting["metrics"][counterpart(metric)]["values"]
