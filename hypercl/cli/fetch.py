"""`hypercl train FILE --fetch`: the data of an experiment is fetched, decoded and checked; nothing is trained."""

import argparse

from rich.console import Console
from rich.table import Table

from hypercl.cli.paths import import_paths, offline
from hypercl.config import assign, load
from hypercl.exit_codes import ExitCode
from hypercl.tasks import TaskStream, data_place, open_with_test

NAMED = 6
"""Classes of a task named in the table."""


def fetch(given: argparse.Namespace) -> int:
    """Makes sure that training and test data of a file are there and whole, and prints how much of them there is.

    Where the network may be used, what is missing is fetched, whether the file says `download: true` or not. Decoded
    images are left in their cache. Nothing is written to the results.
    """
    console = Console(soft_wrap=True, highlight=False)
    experiment = load(given.file, given.overrides).experiment
    if hasattr(experiment.tasks, "download") and not offline(given):
        experiment = assign(experiment, {"tasks.download": True}, given.file)
    stream = open_with_test(experiment.tasks, given.data_dir, offline(given), import_paths(given))
    console.print(_table(stream))
    place = data_place(experiment.tasks, given.data_dir)
    console.print(f"data: {'comes with scikit-learn' if place is None else place.resolve()}", markup=False)
    return ExitCode.DONE


def _table(stream: TaskStream) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("task", justify="right")
    table.add_column("classes", overflow="fold")
    for name in ("training", "validation", "test"):
        table.add_column(name, justify="right")
    for index in range(stream.shape.num_tasks):
        task = stream.task(index)
        names = ", ".join(task.classes[:NAMED]) + (", ..." if len(task.classes) > NAMED else "")
        samples = (len(task.train), len(task.validation), len(stream.test(index)))
        table.add_row(str(index + 1), f"{len(task.classes)}: {names}", *(f"{count:,}" for count in samples))
    return table
