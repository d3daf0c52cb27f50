"""What a search promised against what came out on test data with fresh seeds: the optimism of the best of many."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hypercl.analysis.final_table import markdown_table
from hypercl.analysis.final_text import LEAK, NONE, Content, counterpart, label_in_words, leading, marked, number, span
from hypercl.analysis.style import BLUE, GREY, ORANGE, empty_figure


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
    `optimism_high`. Accuracies are fractions.

    Args:
        content: as in final.json.
    """
    rows = []
    for goal in content["goals"]:
        for setting in _promising(content, goal["metric"]):
            found, promise = _found(setting, goal["metric"])
            low, high = found["t_interval"] or (None, None)
            low_optimism, high_optimism = promise["interval"] or (None, None)
            common = {"sweep": content["sweep"], "protocol": _protocol(content), "metric": goal["metric"]}
            common |= {"setting": setting["label"], "promised": promise["value"], "mean": found["mean"]}
            common |= {"low": low, "high": high, "optimism": promise["optimism"]}
            common |= {"optimism_low": low_optimism, "optimism_high": high_optimism}
            seeds = zip(setting["seeds"], found["values"], strict=True)
            rows += [{**common, "seed": seed, "came_out": value} for seed, value in seeds]
    return pd.DataFrame(rows)


def optimism_figure(content: Content) -> Figure:
    """A line a setting: what the search promised, each fresh seed's value, their mean and its t interval; a panel a
    goal.

    Args:
        content: as in final.json.
    """
    goals = [goal["metric"] for goal in content["goals"]]
    most = max(len(_promising(content, metric)) for metric in goals)
    figure = empty_figure(2.2 + 4.4 * len(goals), 1.6 + 0.5 * most)
    for place, metric in enumerate(goals, start=1):
        axes = figure.add_subplot(1, len(goals), place, xlabel=_label(metric))
        shown = _promising(content, metric)
        for line, setting in enumerate(shown):
            found, promise = _found(setting, metric)
            _pair(axes, line, metric, promise["value"], found, dots=True)
        _lines(axes, [label_in_words(setting["label"]) for setting in shown])
    _legend(figure)
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
    rows = [row for name, content in contents.items() for row in _joined_rows(name, content)]
    told = [_in_words(row, contents[row["sweep"]]) for row in rows]
    markdown = markdown_table(told) + "\n\n" + _joined_notes(contents)
    return Joined(pd.DataFrame(rows), told, markdown, _joined_figure(contents, rows))


def _joined_rows(name: str, content: Content) -> list[dict[str, Any]]:
    setting, rows = leading(content), []
    for goal in content["goals"]:
        found = setting["metrics"][counterpart(goal["metric"])]
        promise = setting["promised"].get(goal["metric"]) or {"value": None, "optimism": None, "interval": None}
        low, high = found["t_interval"] or (None, None)
        low_optimism, high_optimism = promise["interval"] or (None, None)
        rows.append(
            {
                "sweep": name,
                "protocol": _protocol(content),
                "metric": goal["metric"],
                "setting": setting["label"],
                "promised": promise["value"],
                "came_out": found["mean"],
                "low": low,
                "high": high,
                "optimism": promise["optimism"],
                "optimism_low": low_optimism,
                "optimism_high": high_optimism,
                "above_base": (found["difference"] or {}).get("mean"),
                "p": (found["difference"] or {}).get("p"),
                "seeds": len(setting["seeds"]),
                "lost": len(setting["lost"]),
                **{key: content["cost"].get(key) for key in ("trials", "hours", "gpu_hours", "flops")},
            }
        )
    return rows


def _in_words(row: Mapping[str, Any], content: Content) -> dict[str, str]:
    """A row of the joined table as it is shown."""
    metric, several = row["metric"], len(content["goals"]) > 1

    def told(value: float | None, low: float | None = None, high: float | None = None) -> str:
        if value is None:
            return NONE
        return number(metric, value) + ("" if low is None or high is None else f" ({span(metric, (low, high))})")

    hours, flops = row["hours"], row["flops"]
    return {
        "sweep": marked(content, row["sweep"]),
        "protocol": content["protocol"],
        **({"metric": metric.split("/")[-1].replace("_", " ")} if several else {}),
        "promised": told(row["promised"]) + content.get("promised_at", ""),
        "came out": told(row["came_out"], row["low"], row["high"]),
        "optimism": told(row["optimism"], row["optimism_low"], row["optimism_high"]),
        "above the setting as written": told(row["above_base"]),
        "seeds": f"{row['seeds']}" + (f" ({row['lost']} lost)" if row["lost"] else ""),
        "trials": NONE if row["trials"] is None else f"{row['trials']:g}",
        "hours": NONE if hours is None else f"{hours:.3g}",
        "operations": NONE if flops is None else f"{flops:.1e}".replace("e+", "e"),
    }


def _joined_notes(contents: Mapping[str, Content]) -> str:
    lines = [f"{marked(content, name)}: {content['described']}." for name, content in contents.items()]
    text = (
        "In percent and points, with 95 % t intervals over seeds. Promised: the best value of the search, on the data "
        "it tuned on. Came out: its setting retrained on fresh seeds, on the test data that the protocol reports "
        "on. Hours and floating-point operations are those of the search."
    )
    return "\n\n".join([text, *lines]) + "\n"


def _joined_figure(contents: Mapping[str, Content], rows: list[dict[str, Any]]) -> Figure:
    """A line a sweep, a panel a metric."""
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    figure = empty_figure(2.2 + 4.4 * len(metrics), 1.5 + 0.45 * len(contents))
    for place, metric in enumerate(metrics, start=1):
        axes = figure.add_subplot(1, len(metrics), place, xlabel=_label(metric))
        own = [row for row in rows if row["metric"] == metric]
        for line, row in enumerate(own):
            found = leading(contents[row["sweep"]])["metrics"][counterpart(metric)]
            _pair(axes, line, metric, row["promised"], found, dots=False)
        _lines(axes, [marked(contents[row["sweep"]], row["sweep"]) for row in own])
    _legend(figure)
    return figure


def _pair(axes: Axes, line: int, metric: str, promised: float | None, found: Mapping[str, Any], dots: bool) -> None:
    """One line of a panel: what was promised, what came out."""
    scale = 100.0 if "/" in metric else 1.0
    if promised is not None and found["mean"] is not None:
        axes.plot([scale * promised, scale * found["mean"]], [line, line], "-", color=GREY, linewidth=1, zorder=1)
    if dots:
        own = [scale * value for value in found["values"] if value is not None]
        heights = [line + 0.22 + 0.12 * (place * 0.618034 % 1 - 0.5) for place in range(len(own))]
        axes.plot(own, heights, ".", color=GREY, markersize=5, alpha=0.8, label="each fresh seed")
    if found["mean"] is not None:
        mean, interval = scale * found["mean"], found["t_interval"]
        ends = [[mean - scale * interval[0]], [scale * interval[1] - mean]] if interval else None
        axes.errorbar(
            mean, line, xerr=ends, fmt="o", color=BLUE, markersize=5, capsize=3, label="came out: mean, 95 % interval"
        )
    if promised is not None:
        axes.plot(scale * promised, line, "D", color=ORANGE, markersize=6, label="promised by the search")


def _lines(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.grid(alpha=0.25, axis="x")


def _legend(figure: Figure) -> None:
    each = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in figure.axes]
    found = {label: handle for pairs in each for handle, label in pairs}
    columns = len(found) if figure.get_figwidth() > 6 else 2
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def _promising(content: Content, metric: str) -> list[Mapping[str, Any]]:
    """Settings of which the search promised something."""
    return [setting for setting in content["settings"] if metric in setting["promised"]]


def _found(setting: Mapping[str, Any], metric: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return setting["metrics"][counterpart(metric)], setting["promised"][metric]


def _protocol(content: Content) -> str:
    return f"{LEAK}: tuned on test data" if content["protocol"] == "test_leak" else content["protocol"]


def _label(metric: str) -> str:
    name = metric.split("/")[-1].replace("_", " ")
    return f"{name}, %" if "/" in metric else name
