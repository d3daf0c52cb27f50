"""A table of published results beside one's own: raw numbers and Markdown."""

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import isna

from hypercl.analysis import BLUE, ORANGE, empty_figure
from hypercl.config import Experiment, UserError, differences, load
from hypercl.reproduce.table import Cell, Reproduction, cells_of, settings_of
from hypercl.training import RunSummary

Records = list[dict[Hashable, Any]]
COLUMNS: dict[str, Any] = {
    "cell": str,
    "method": str,
    "scenario": str,
    "seed": "Int64",
    "accuracy": float,
    "during_accuracy": float,
    "task_inference_accuracy": float,
    "seconds": float,
    "seeds_together": "Int64",
    "iterations": "Int64",
    "device": str,
    "hardware": str,
    "threads": "Int64",
    "torch": str,
    "hypercl": str,
    "settings": str,
    "changed": str,
    "note": str,
}
"""Of table.csv, a row for each cell and seed. Accuracies are fractions of test data; `seconds` and `iterations` are of
the run that trained `seeds_together` seeds at once; `settings` is a hash of what was trained, `changed` where that
differs from what was published (`path=value; ...`). A cell without a result has one row, whose `note` says why."""
HEADS = {"task": "CL1: task given", "domain": "CL2: domain", "class": "CL3: class"}
NONE = "-"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def reproduction_results(cells: Sequence[tuple[Cell, Experiment]], folder: Path) -> pd.DataFrame:
    """The results of the runs of some cells.

    Args:
        cells: each with its experiment as published.
        folder: holds a folder for each cell, with a folder for each of its runs.

    Returns:
        A row for each cell and seed; columns `COLUMNS`.
    """
    rows: list[dict[str, Any]] = []
    for cell, published in cells:
        runs = sorted((folder / cell.name).glob("seed*"))
        done = [row for run in runs for row in _rows(run, published)]
        by_seed = {row["seed"]: row for row in sorted(done, key=lambda row: row["seeds_together"])}
        found = [by_seed[seed] for seed in sorted(by_seed)] or [{"note": _why_none(runs)}]
        rows += [{"cell": cell.name, "method": cell.label, "scenario": cell.scenario, **row} for row in found]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def read_reproduction(path: Path) -> pd.DataFrame:
    """A table.csv.

    Raises:
        UserError: it is not there, or is none.
    """
    try:
        frame = pd.read_csv(path, dtype={**COLUMNS})
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as the table of a reproduction: {error}") from None
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise UserError(f"{path} is no table of a reproduction: it has no column {', '.join(missing)}")
    texts = [name for name, kind in COLUMNS.items() if kind is str]
    return frame.fillna(dict.fromkeys(texts, ""))


def reproduction_markdown(table: Reproduction, frame: pd.DataFrame) -> str:
    """The table for people: a line a method, ours beside the published for each scenario, what is missing and why.

    Args:
        table: names the lines and what was published.
        frame: as from `read_reproduction`; cells that it does not know are named as not begun.
    """
    cells, records = cells_of(table), frame.to_dict("records")
    scenarios = [scenario for scenario in HEADS if any(cell.scenario == scenario for cell in cells)]
    changes = sorted({record["changed"] for record in records if record["changed"]})
    marks = {text: f" ({LETTERS[index % len(LETTERS)]})" for index, text in enumerate(changes)}
    columns = ["method", *(part for scenario in scenarios for part in (HEADS[scenario], "published")), "time"]
    lines = [_line(columns), _line(["---"] * len(columns))]
    for name, row in table.rows.items():
        by_scenario = {cell.scenario: cell for cell in cells if cell.row == name}
        parts, times = [row.label], []
        for scenario in scenarios:
            cell = by_scenario.get(scenario)
            known = _known(records, cell) if cell else []
            mark = marks.get(known[0]["changed"], "") if known else ""
            parts += [_mean(known) + mark if cell else "", _percent(cell.published if cell else None)]
            times += [_time(known[0]["seconds"]) if known else NONE] if cell else []
        lines.append(_line([*parts, ", ".join(times)]))
    return "\n".join([*lines, "", *_notes(cells, records, marks)]) + "\n"


def _rows(run: Path, published: Experiment) -> list[dict[str, Any]]:
    """A row for each seed of a run; none while it is not finished."""
    summary = RunSummary.read(run)
    if summary is None:
        return []
    trained = load(run / "config.yaml").experiment
    settings = settings_of(trained)
    changed = differences(settings_of(published), settings)
    common = {
        "seconds": summary.seconds,
        "seeds_together": len(summary.seeds),
        "iterations": summary.iterations,
        **{name: getattr(summary, name) for name in ("device", "hardware", "threads")},
        **{name: summary.versions[name] for name in ("torch", "hypercl")},
        "settings": hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12],
        "changed": "; ".join(f"{path}={json.dumps(new)}" for path, _, new in changed),
    }
    return [
        {
            "seed": result.seed,
            "accuracy": result.value("test/final_accuracy"),
            "during_accuracy": result.value("test/during_accuracy"),
            "task_inference_accuracy": result.value("test/task_inference_accuracy"),
            **common,
            "note": f"diverged: {result.diverged}" if result.diverged else "",
        }
        for result in summary.seeds
    ]


def _why_none(runs: Sequence[Path]) -> str:
    """Why a cell has no result."""
    failed = [run / "error.txt" for run in runs if (run / "error.txt").exists()]
    if failed:
        return failed[-1].read_text().splitlines()[0]
    return "begun, not finished" if any(any((run / "checkpoints").glob("*")) for run in runs) else "not begun"


def _notes(cells: Sequence[Cell], records: Records, marks: Mapping[str, str]) -> list[str]:
    """What a reader of the table needs to know beside it, a paragraph each."""
    known = {cell.name: _known(records, cell) for cell in cells}
    lines = []
    if any(known.values()):
        counts = sorted({len(own) for own in known.values() if own})
        where = {_machine(record): None for own in known.values() for record in own}
        lines.append(
            "Test accuracy in percent, mean over the tasks, ± standard deviation over seeds (so many: "
            f"{', '.join(map(str, counts))}); time (h:mm:ss) of one run, its seeds trained together, on "
            f"{'; '.join(where)}."
        )
    sources: dict[str, dict[str, None]] = {}
    for cell in cells:
        if cell.published is not None:
            sources.setdefault(cell.source, {})[cell.label] = None
    told = [f"{', '.join(labels)}: {source}" for source, labels in sources.items()]
    lines += [f"Published: {'; '.join(told)}."] if told else []
    lines += [f"{mark.strip()} not as published: `{text}`." for text, mark in marks.items()]
    lost = [record for record in records if record["note"] and not isna(record["seed"])]
    lines += [f"`{record['cell']}`, seed {record['seed']}: {record['note']}." for record in lost]
    missing: dict[str, list[str]] = {}
    for name in (name for name, own in known.items() if not own):
        notes = [record["note"] for record in records if record["cell"] == name and record["note"]]
        missing.setdefault(notes[0] if notes else "not begun", []).append(f"`{name}`")
    lines += [f"Without a result, {why}: {', '.join(names)}." for why, names in missing.items()]
    return [part for line in lines for part in (line, "")][:-1]


def _known(records: Records, cell: Cell) -> Records:
    """A cell's seeds that have a result."""
    return [record for record in records if record["cell"] == cell.name and not isna(record["accuracy"])]


def _machine(record: Mapping[Hashable, Any]) -> str:
    threads = "" if record["device"].startswith("cuda") else f", threads: {record['threads']}"
    return record["hardware"] + threads


def _line(parts: Sequence[str]) -> str:
    return f"| {' | '.join(parts)} |"


def _mean(known: Records) -> str:
    """In percent, with the spread where there are several."""
    if not known:
        return NONE
    values = [100 * record["accuracy"] for record in known]
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


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
