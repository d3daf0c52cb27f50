"""`hypercl fetch`: the data of a file, on this machine or on the nodes of a cluster."""

import argparse
import os
from functools import partial

from rich.console import Console
from rich.table import Table

from hypercl.cli.paths import import_paths, offline
from hypercl.config import Experiment, UserError, assign, load, resolved
from hypercl.control import Control
from hypercl.exit_codes import ExitCode
from hypercl.machine import MachineError
from hypercl.tasks import TaskStream, data_place, open_with_test

NAMED = 6
"""Classes of a task named in the table."""


def fetch_command(args: argparse.Namespace) -> int:
    """Makes sure that training and test data of a file are there and whole, and prints how much of them there is.

    Where the network may be used, what is missing is fetched, whether the file says `download: true` or not. Decoded
    images are left in their cache. Nothing is written to the results.

    Raises:
        UserError: it cannot be fetched; of nodes, the message names those.
    """
    experiment = load(args.file, args.overrides).experiment
    if hasattr(experiment.tasks, "download") and not offline(args):
        experiment = assign(experiment, {"tasks.download": True}, args.file)
    if args.nodes is not None:
        return _on_nodes(args, experiment)
    if getattr(args, "address", None) is not None:
        raise UserError("--address names a cluster, and --nodes its nodes\n    fix:     --nodes all")
    console = Console(soft_wrap=True, highlight=False)
    stream = open_with_test(experiment.tasks, args.data_dir, offline(args), import_paths(args))
    console.print(_table(stream))
    place = data_place(experiment.tasks, args.data_dir)
    console.print(f"data: {'comes with scikit-learn' if place is None else place.resolve()}", markup=False)
    return ExitCode.DONE


def _on_nodes(args: argparse.Namespace, experiment: Experiment) -> int:
    from hypercl.sweep.workers import attached_ray, fetch_on_nodes, why_no_data

    data_dir = args.data_dir.resolve()
    check = partial(why_no_data, resolved(experiment), data_dir, offline(args), import_paths(args), with_test=True)
    control = Control(say=print)
    with control.signals(), attached_ray(args.address or os.environ.get("RAY_ADDRESS") or "auto", control):
        fetch_on_nodes(args.nodes, check, control, print)
    if control.machine:
        raise MachineError(control.machine)
    if control.reason is None:
        print(f"data: {data_place(experiment.tasks, data_dir) or 'comes with scikit-learn'}")
    return control.exit_code


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
