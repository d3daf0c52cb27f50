"""`hypercl sweep`: the plan, the sweep, the ranked table."""

import argparse
import os
from typing import Any

from rich.console import Console
from rich.table import Table

from hypercl.cli.places import import_paths, name_of, offline, results_of
from hypercl.config import SweepFile, load_sweep
from hypercl.sweep import SweepOptions, dry_run, listener_for, plan, sweep

SHOWN = 10


def sweep_command(given: argparse.Namespace) -> int:
    """Prints the plan, sweeps, prints the best; the same command again goes on."""
    console = Console(soft_wrap=True, highlight=False)
    trials = [] if given.trials is None else [f"search.trials={given.trials}"]
    file = load_sweep(given.file, [*given.overrides, *trials])
    options = _options(given, file, console)
    console.print(_rows(plan(file, options)))
    if given.dry_run:
        console.print(_rows(dry_run(file, options)))
        return 0
    result = sweep(file, options)
    if result.table:
        console.print(_ranked(result.table[:SHOWN], file))
    console.print(result.message, markup=False)
    console.print(f"results: {options.folder}", markup=False)
    return result.exit_code


def _options(given: argparse.Namespace, file: SweepFile, console: Console) -> SweepOptions:
    return SweepOptions(
        folder=results_of(given) / name_of(given, file),
        data_dir=given.data_dir.resolve(),
        offline=offline(given),
        address=given.address or os.environ.get("RAY_ADDRESS") or None,
        cpus=given.cpus,
        gpus=given.gpus,
        max_concurrent=given.max_concurrent,
        time_limit_s=given.time,
        import_paths=import_paths(given),
        source=given.file,
        listener=listener_for(file, console),
    )


def _rows(rows: list[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, text)
    return table


def _ranked(rows: list[dict[str, Any]], file: SweepFile) -> Table:
    table = Table(title=f"best trials by {file.objective.metric}", title_justify="left", box=None, pad_edge=False)
    table.add_column("rank", justify="right")
    for name in rows[0]:
        heading = {"number": "trial"}.get(name, name.rpartition(".")[2].replace("_", " "))
        table.add_column(heading, justify="right", overflow="fold")
    for rank, row in enumerate(rows, start=1):
        table.add_row(str(rank), *(_short(value) for value in row.values()))
    return table


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
