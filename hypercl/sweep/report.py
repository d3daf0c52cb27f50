"""What a sweep found: ranked tables, what mattered, and the files of a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hypercl.analysis import (
    FinalResult,
    Joined,
    comparison_figure,
    comparison_table,
    draw_race,
    draw_sweep,
    importance_figure,
    joined_promises,
    matrix_figure,
    read_final,
    read_matrix,
    read_trials,
    write_promised,
)
from hypercl.config import UserError
from hypercl.config.sweep import Objective
from hypercl.files import write_text
from hypercl.sweep.importance import Importance
from hypercl.sweep.outputs import TrialsTable, ranked_rows
from hypercl.sweep.protocols import leaks
from hypercl.sweep.reading import SweepRecord, read_sweep
from hypercl.sweep.trace import write_trace

MATRIX = "accuracy_matrix"


def read_sweeps(folders: Sequence[Path]) -> dict[str, SweepRecord]:
    """Sweeps by names that tell them apart: the folder's, with its parent's where two have the same.

    Raises:
        UserError: a folder holds no sweep, or is named twice.
    """
    paths = [folder.resolve() for folder in folders]
    for path in paths:
        if paths.count(path) > 1:
            raise UserError(f"{path} is named twice")
    names = [path.name for path in paths]
    long = [path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}" for path in paths]
    clear = long if len(set(long)) == len(long) else [str(path) for path in paths]
    return {name: read_sweep(path) for name, path in zip(clear, paths, strict=True)}


def rankings(sweeps: Mapping[str, SweepRecord]) -> list[tuple[Objective, list[dict[str, Any]]]]:
    """One table for each metric and direction: complete trials of its sweeps, best first.

    A row holds `sweep` (where there are several), `trial`, `value` and every parameter; '' for one that a trial does
    not have.
    """
    groups: dict[Objective, list[dict[str, Any]]] = {}
    for name, record in sweeps.items():
        rows = [{"sweep": name, **row} for row in ranked_rows(record.file, record)]
        groups.setdefault(record.file.objective, []).extend(rows)
    return [(objective, _joined(rows, objective, len(sweeps) > 1)) for objective, rows in groups.items()]


def write_report(record: SweepRecord, folder: Path, found: Sequence[Importance]) -> list[Path]:
    """Writes a sweep's tables and figures: trials.csv, history, parameters, importance, the best trial's matrix.

    Args:
        record: the sweep.
        folder: where to; made where it is missing.
        found: as from `importances`; empty draws none.

    Returns:
        The pictures, each with its numbers as CSV beside; none while no trial is complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "trials.csv", TrialsTable(record.file).text(record.trials))
    pictures = write_trace(record, folder) or draw_sweep(record.file, read_trials(folder / "trials.csv"), folder)
    if found:
        table = pd.DataFrame([(each.path, each.share, each.chance) for each in found], columns=_COLUMNS)
        table.to_csv(folder / "importance.csv", index=False)
        importance_figure(table, f"{len(record.trained)} trained trials").savefig(folder / "importance.png")
        pictures.append(folder / "importance.png")
    pictures += draw_race(record.folder / "race" / "race.csv", record.file.objective.metric, folder)
    final = final_of(record)
    pictures += write_promised(final.content, folder) if final is not None else []
    return [*pictures, *_write_matrix(record, folder)]


def final_of(record: SweepRecord) -> FinalResult | None:
    """What the sweep's final step came to; None while none is done.

    Raises:
        UserError: its file is damaged.
    """
    return read_final(record.folder / "final")


def protocols_table(records: Mapping[str, SweepRecord]) -> Joined:
    """What each of several sweeps promised, what came out, and what the tuning cost.

    Args:
        records: by names that tell them apart; one whose final step is not done has no row.

    Raises:
        UserError: no final step is done.
    """
    finals = {name: final.content for name, record in records.items() if (final := final_of(record)) is not None}
    if not finals:
        raise UserError(f"no final step is done in {', '.join(records)}: there is nothing to set beside a promise")
    return joined_promises(finals)


def write_joined(
    sweeps: Mapping[str, SweepRecord], folder: Path, found: Mapping[str, Sequence[Importance]]
) -> list[Path]:
    """Writes the report of each sweep into a folder of its own, all trials into one trials.csv, and a comparison of
    those that have the same objective.

    Returns:
        The pictures.
    """
    pictures: list[Path] = []
    tables: dict[str, pd.DataFrame] = {}
    for name, record in sweeps.items():
        own = folder / name.strip("/").replace("/", "-")
        pictures += write_report(record, own, found[name])
        tables[name] = read_trials(own / "trials.csv")
    joined = pd.concat([table.assign(sweep=name) for name, table in tables.items()], ignore_index=True)
    joined = joined[["sweep", *(column for column in joined.columns if column != "sweep")]]
    write_text(folder / "trials.csv", joined.to_csv(index=False))
    for objective in dict.fromkeys(record.file.objective for record in sweeps.values()):
        same = {name: table for name, table in tables.items() if sweeps[name].file.objective == objective}
        complete = {name: table for name, table in same.items() if sweeps[name].ranked()}
        if len(complete) > 1:
            pictures.append(_write_comparison(complete, objective, folder))
    return [*pictures, *_write_protocols(sweeps, folder)]


_COLUMNS = ["parameter", "importance", "chance"]


def _write_comparison(tables: dict[str, pd.DataFrame], objective: Objective, folder: Path) -> Path:
    path = folder / f"comparison-{objective.direction}-{objective.metric.replace('/', '-')}.png"
    table = comparison_table(tables, objective)
    table.to_csv(path.with_suffix(".csv"), index=False)
    comparison_figure(table, objective).savefig(path)
    return path


def _write_protocols(sweeps: Mapping[str, SweepRecord], folder: Path) -> list[Path]:
    """promised.png with promised.csv and promised.md, of the sweeps whose final step is done."""
    if all(final_of(record) is None for record in sweeps.values()):
        return []
    found = protocols_table(sweeps)
    found.frame.to_csv(folder / "promised.csv", index=False, lineterminator="\n")
    write_text(folder / "promised.md", found.markdown)
    found.figure.savefig(folder / "promised.png")
    return [folder / "promised.png"]


def _write_matrix(record: SweepRecord, folder: Path) -> list[Path]:
    """The accuracy matrix of the best trial, if its folder still holds it."""
    best = record.ranked()[:1]
    source = record.trial_folder(best[0].number) / f"{MATRIX}.csv" if best else None
    if source is None or not source.is_file():
        return []
    frame = read_matrix(source)
    write_text(folder / f"{MATRIX}.csv", source.read_text())
    data = "TEST data, which was tuned on" if leaks(record.asked) else "validation data"
    title = f"Trial {best[0].number}, the best: accuracy on {data}"
    matrix_figure(frame, title).savefig(folder / f"{MATRIX}.png")
    return [folder / f"{MATRIX}.png"]


def _joined(rows: list[dict[str, Any]], objective: Objective, several: bool) -> list[dict[str, Any]]:
    sign = -1.0 if objective.direction == "maximize" else 1.0
    columns = dict.fromkeys(key for row in rows for key in row if several or key != "sweep")
    filled = [{key: row.get(key, "") for key in columns} for row in rows]
    return sorted(filled, key=lambda row: sign * row["value"])
