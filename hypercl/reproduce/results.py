"""A table of published results beside one's own: raw numbers and Markdown."""

import hashlib
import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hypercl.analysis import BLUE, ORANGE, empty_figure, legend_below
from hypercl.config import Experiment, UserError, differences, load
from hypercl.formatting import duration, markdown_table, percent
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
        results = [by_seed[seed] for seed in sorted(by_seed)] or [{"note": _why_none(runs)}]
        rows += [{"cell": cell.name, "method": cell.label, "scenario": cell.scenario, **row} for row in results]
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
    known = {cell.name: _known(records, cell) for cell in cells}
    changes = sorted({record["changed"] for record in records if record["changed"]})
    marks = {text: f" ({LETTERS[index % len(LETTERS)]})" for index, text in enumerate(changes)}
    spread = " ± SD" if any(len(seeds) > 1 for seeds in known.values()) else ""
    rows: list[dict[str, str]] = []
    for name, row in table.rows.items():
        shown = {"method": row.label}
        times: list[str] = []
        for scenario in _scenarios(cells):
            cell = next((cell for cell in cells if (cell.row, cell.scenario) == (name, scenario)), None)
            seeds = known[cell.name] if cell else []
            mark = marks.get(seeds[0]["changed"], "") if seeds else ""
            shown[f"{HEADS[scenario]}{spread}"] = _mean(seeds) + mark if cell else ""
            shown[f"{HEADS[scenario][:3]} published"] = (
                f"{cell.published:.2f}" if cell and cell.published is not None else ""
            )
            times += [duration(seeds[0]["seconds"]) if seeds else NONE] if cell else []
        rows.append({**shown, "time": ", ".join(times)})
    return "\n\n".join([markdown_table(rows), *_notes(cells, known, records, marks)]) + "\n"


def _scenarios(cells: Sequence[Cell]) -> list[str]:
    """Those of some cells, in the order of the columns."""
    return [scenario for scenario in HEADS if any(cell.scenario == scenario for cell in cells)]


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


def _notes(
    cells: Sequence[Cell], known: Mapping[str, Records], records: Records, marks: Mapping[str, str]
) -> Iterator[str]:
    """What a reader of the table needs to know beside it, a paragraph each."""
    if any(known.values()):
        counts = ", ".join(map(str, sorted({len(seeds) for seeds in known.values() if seeds})))
        where = "; ".join(dict.fromkeys(_machine(record) for seeds in known.values() for record in seeds))
        yield (
            f"Test accuracy in percent, mean over the tasks, ± standard deviation over seeds ({counts} per cell); time "
            f"of one run, its seeds trained together, on {where}."
        )
    sources: dict[str, dict[str, None]] = {}
    for cell in cells:
        if cell.published is not None:
            sources.setdefault(cell.source, {})[cell.label] = None
    if sources:
        yield "Published: " + "; ".join(f"{', '.join(labels)}: {source}" for source, labels in sources.items()) + "."
    for text, mark in marks.items():
        yield f"{mark.strip()} not as published: `{text}`."
    for record in records:
        if record["note"] and not pd.isna(record["seed"]):
            yield f"`{record['cell']}`, seed {record['seed']}: {record['note']}."
    missing: dict[str, list[str]] = {}
    for name in (name for name, seeds in known.items() if not seeds):
        notes = (record["note"] for record in records if record["cell"] == name and record["note"])
        missing.setdefault(next(notes, "not begun"), []).append(f"`{name}`")
    for why, names in missing.items():
        yield f"Without a result, {why}: {', '.join(names)}."


def _known(records: Records, cell: Cell) -> Records:
    """A cell's seeds that have a result."""
    return [record for record in records if record["cell"] == cell.name and not pd.isna(record["accuracy"])]


def _machine(record: Mapping[Hashable, Any]) -> str:
    threads = "" if record["device"].startswith("cuda") else f", threads: {record['threads']}"
    return record["hardware"] + threads


def _mean(seeds: Records) -> str:
    """In percent, with the spread where there are several."""
    if not seeds:
        return NONE
    values = [record["accuracy"] for record in seeds]
    return percent(fmean(values)) + (f" ± {percent(stdev(values))}" if len(values) > 1 else "")


def reproduction_figure(table: Reproduction, frame: pd.DataFrame) -> Figure:
    """Ours, with the spread over seeds, beside the published; a panel a scenario, a line a method.

    Args:
        table: names the lines and what was published.
        frame: as from `read_reproduction`.
    """
    cells, labels = cells_of(table), [row.label for row in table.rows.values()]
    scenarios = _scenarios(cells)
    figure = empty_figure(2.0 + 2.6 * len(scenarios), 1.4 + 0.27 * len(labels))
    panels = figure.subplots(1, len(scenarios), squeeze=False, sharey=True)[0]
    for axes, scenario in zip(panels, scenarios, strict=True):
        for cell in (cell for cell in cells if cell.scenario == scenario):
            _draw_cell(axes, list(table.rows).index(cell.row), cell, frame)
        axes.set(title=HEADS[scenario], xlabel="test accuracy, %", ylim=(len(labels) - 0.5, -0.5))
        axes.grid(alpha=0.25)
    panels[0].set_yticks(range(len(labels)), labels)
    legend_below(figure)
    return figure


def _draw_cell(axes: Axes, height: int, cell: Cell, frame: pd.DataFrame) -> None:
    if cell.published is not None:
        axes.plot(cell.published, height, "D", color=ORANGE, fillstyle="none", markersize=6, label="published")
    values = [100 * float(value) for value in frame["accuracy"][frame["cell"] == cell.name] if not pd.isna(value)]
    if values:
        spread = [stdev(values)] if len(values) > 1 else None
        axes.errorbar(fmean(values), height, xerr=spread, fmt="o", color=BLUE, markersize=4, capsize=2, label="ours")
