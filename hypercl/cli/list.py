"""`hypercl list [DIR]`: the sweeps and runs in a folder of results."""

import argparse
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from hypercl.cli.tables import Fitted, widened
from hypercl.config import UserError
from hypercl.formatting import shown
from hypercl.sweep.results import stage_of, status_of
from hypercl.sweep.study import JOURNAL, SWEEP_YAML

Row = dict[str, str]
DAMAGED = "damaged"
"""Its own commands say what is wrong."""


def list_command(args: argparse.Namespace) -> int:
    """Prints a row for each sweep and each run (`NAME/seed-1`): whether it is done, its best value.

    Raises:
        UserError: there is no such folder.
    """
    folder = args.folder
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}\n    fix:     hypercl list DIR, the folder given to --results")
    rows = [row for path in sorted(folder.iterdir()) if path.is_dir() for row in _rows(path)]
    console = widened(Console(soft_wrap=True, highlight=False, markup=False))
    console.print(Fitted(rows) if rows else f"{shown(folder)} holds no results yet")
    return 0


def _rows(folder: Path) -> Iterator[Row]:
    """A sweep, and the runs of `hypercl train` beside it."""
    if (folder / SWEEP_YAML).is_file():
        yield _sweep(folder)
    for run in sorted(folder.glob("runs/*/config.yaml")):
        yield _run(folder, run.parent)


def _sweep(folder: Path) -> Row:
    try:
        status = status_of(folder)
    except UserError:
        return _row(folder.name, DAMAGED, "", "", folder)
    best, file = status.record.best(), status.record.file
    promise = None if best is None else status.record.promised(best)
    value = f"{promise.values[0]:.4g}" if promise else ""
    trained = f"{status.trained} of {file.search.trials}"
    journal = folder / JOURNAL
    newest = journal if journal.exists() else folder / "trials.csv"
    return _row(folder.name, stage_of(status), trained, value, newest)


def _run(folder: Path, run: Path) -> Row:
    path = run / "summary.json"
    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        accuracy = summary.get("validation", {}).get("final_accuracy")
    except (OSError, ValueError, AttributeError):
        return _row(f"{folder.name}/{run.name}", DAMAGED, "", "", run)
    value = "" if accuracy is None else f"{accuracy:.4g}"
    state = "done" if summary else "to be resumed"
    return _row(f"{folder.name}/{run.name}", state, "", value, path if summary else run)


def _row(name: str, state: str, trials: str, value: str, newest: Path) -> Row:
    changed = datetime.fromtimestamp(newest.stat().st_mtime) if newest.exists() else None
    when = "" if changed is None else f"{changed:%Y-%m-%d %H:%M}"
    return {"name": name, "state": state, "trials": trials, "best": value, "changed": when}
