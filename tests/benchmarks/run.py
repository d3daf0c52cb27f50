"""`python -m tests.benchmarks.run`: measures, prints a table; the exit code says whether all goals are met."""

import argparse
import importlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from hypercl.config import UserError
from hypercl.training.memory import keep_freed_memory
from tests.benchmarks.options import Options
from tests.benchmarks.sides import ignore_old_calls
from tests.benchmarks.table import Row, show, write_json, write_markdown

GROUPS = {
    "step": "step",
    "growth": "growth",
    "memory": "memory",
    "run": "whole_run",
    "replicas": "replicas",
    "inference": "inference",
    "kernels": "kernels",
    "sweep": "sweep",
    "search": "search.group",
}
"""Name of a group -> the module of this package whose `measures` it runs."""
MISSED, NOT_MEASURED = 1, 2


def measures_of(group: str, options: Options) -> Iterator[Row]:
    """The rows of a group as they are measured. Ours keeps freed memory, as a run has its process do; `Apart` does not.

    Raises:
        UserError: data is missing; `Disagreement`, where hypnettorch computes something else.
    """
    threads = torch.get_num_threads()
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    try:
        with warnings.catch_warnings():
            ignore_old_calls()
            yield from importlib.import_module(f"tests.benchmarks.{GROUPS[group]}").measures(options)
    finally:
        torch.set_num_threads(threads)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: all that was measured is met; 1: a miss; 2: no miss, but a group stopped with a message."""
    given = _parser().parse_args(arguments)
    if given.list:
        print("\n".join(GROUPS))
        return 0
    options, console, rows, failed = _options(given), Console(width=None if sys.stdout.isatty() else 180), [], False
    for group in given.only or GROUPS:
        try:
            for row in measures_of(group, options):
                rows.append(row)
                print(f"{group}: {row.measure}: {row.ratio} ({row.goal})", file=sys.stderr, flush=True)
        except UserError as error:
            failed = True
            print(f"{group}: {error}", file=sys.stderr)
    show(rows, console)
    if given.json:
        write_json(rows, given.json)
    if given.markdown:
        write_markdown(rows, given.markdown)
    if any(row.met is False for row in rows):
        return MISSED
    return NOT_MEASURED if failed else 0


def _options(given: argparse.Namespace) -> Options:
    names = ("threads", "seconds", "iterations", "trials", "sweeps", "data_dir")
    chosen = {name: getattr(given, name) for name in names}
    return replace(Options(), **{name: value for name, value in chosen.items() if value is not None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.benchmarks.run", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as a list of objects")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as Markdown")
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), metavar="NAME", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--list", action="store_true", help="print the groups and measure nothing")
    parser.add_argument("--threads", type=int, help="CPU threads of both sides (2, which the goals are for)")
    parser.add_argument("--seconds", type=float, help="of timing for each row of step and growth (15)")
    parser.add_argument("--iterations", type=int, help="steps a task in run and replicas, for a try-out")
    parser.add_argument("--trials", type=int, help="of the sweep (40)")
    parser.add_argument("--sweeps", type=int, help="simulated in search for each strategy and problem, 2 or more (20)")
    parser.add_argument("--data-dir", type=Path, help="where MNIST lies (HYPERCL_DATA, or /tmp/data)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
