"""The console script `hypercl`: its commands, and the options of those that train."""

import argparse
from collections.abc import Sequence

from hypercl.cli.light_commands import (
    add_analyse,
    add_cluster,
    add_completion,
    add_dashboard,
    add_doctor,
    add_explain,
    add_init,
    add_list,
    add_predict,
    add_report,
    add_schema,
    add_tail,
    add_upload,
)
from hypercl.cli.options import (
    YAML_FILE,
    Commands,
    add_address,
    add_budget,
    add_data,
    add_file,
    add_machine,
    add_telling,
    bare_command,
    command,
    exit_codes,
    runs,
)
from hypercl.cli.values import count, path, seconds
from hypercl.config import did_you_mean
from hypercl.version import __version__


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    groups: list[Commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(groups[0].choices)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """As `parse_args`, with a suggestion for an unknown option."""
    parser = parser_of_all()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        command = commands_of(parser)[options.command]
        hint = did_you_mean(unknown[0].partition("=")[0], list(command._option_string_actions))
        command.error(f"unrecognized arguments: {' '.join(unknown)}" + (f"; {hint}" if hint else ""))
    return options


def parser_of_all() -> argparse.ArgumentParser:
    """The parser of `hypercl` with all its commands."""
    parser = argparse.ArgumentParser(
        prog="hypercl",
        allow_abbrev=False,
        description="Hyperparameter search for continual learning with hypernetworks.",
    )
    parser.add_argument("--version", action="version", version=f"hypercl {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_train, _add_fetch, _add_sweep, _add_submit, _add_enqueue, _add_final, _add_reproduce):
        add(commands)
    for add in (add_analyse, add_cluster, add_dashboard, add_doctor, add_explain, add_init, add_list):
        add(commands)
    for add in (add_predict, add_report, add_schema, add_tail, add_upload, add_completion):
        add(commands)
    return parser


def _add_train(commands: Commands) -> None:
    parser = command(commands, "train", "Train one experiment: the section `experiment` of a file.")
    parser.add_argument("--device", metavar="D", help="auto (cuda, else mps, else cpu), cpu, mps, cuda, cuda:1")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of initial weights, batches and augmentation")
    parser.add_argument(
        "--threads",
        type=count,
        metavar="N",
        help="number of CPU threads; part of the result, since it changes rounding",
    )
    parser.add_argument(
        "--test", action="store_true", help="open the test data and measure on it too; not while you tune"
    )
    parser.add_argument("--fetch", action="store_true", help="download, decode and check the data only; train nothing")
    parser.set_defaults(run=_train, nodes=None)


def _add_fetch(commands: Commands) -> None:
    purpose = "Download, decode and check the data of a file, here or on the nodes of a Ray cluster."
    parser = bare_command(commands, "fetch", purpose)
    add_file(parser)
    add_data(parser)
    parser.add_argument(
        "--nodes", metavar="NODES", help="all nodes of the cluster (all), or names separated by commas; default: here"
    )
    parser.add_argument("--address", metavar="A", help="Ray cluster of --nodes (also RAY_ADDRESS); default: auto")
    parser.set_defaults(run=runs("fetch", "fetch_command"))


def _add_sweep(commands: Commands) -> None:
    purpose = "Sweep over an experiment. Rerun the same command to resume."
    parser = command(commands, "sweep", purpose, False, f"{YAML_FILE}; with --show, also a results folder")
    add_budget(parser)
    parser.add_argument(
        "--fork", metavar="NEW", help="begin results/NEW, of another space or stream, with what this sweep knows so far"
    )
    add_address(parser)
    add_telling(parser)
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="check everything and time two steps; start nothing")
    instead.add_argument(
        "--show", type=int, metavar="N", help="print trial N: its setting, progress, accuracy matrix or failure"
    )
    instead.add_argument(
        "--status", type=path, metavar="RESULTS", help="print the status of a sweep, also while it runs; needs no FILE"
    )
    parser.set_defaults(run=_sweep)


def _add_enqueue(commands: Commands) -> None:
    purpose = "Add a setting to a sweep, running or not: `hypercl enqueue RESULTS method.beta=0.3`."
    parser = bare_command(commands, "enqueue", purpose)
    parser.add_argument("results", type=path, metavar="RESULTS", help="results folder of a sweep")
    parser.add_argument(
        "setting", nargs="+", metavar="KEY=VALUE", help="a key of the space; one that is left out is as written"
    )
    parser.set_defaults(run=runs("enqueue", "enqueue_command"))


def _add_submit(commands: Commands) -> None:
    purpose = "Sweep as a job of a Ray cluster, and follow its log. Submit again to resume."
    parser = command(commands, "submit", purpose, False)
    add_budget(parser)
    parser.add_argument(
        "--address",
        metavar="URL",
        help="Ray's job server (also RAY_API_SERVER_ADDRESS); default: http://127.0.0.1:8265",
    )
    parser.add_argument(
        "--pip", nargs="+", default=[], metavar="PACKAGE", help="packages that the job needs beside what the nodes have"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--detach", action="store_true", help="submit, and do not follow the log")
    instead.add_argument("--follow", metavar="JOB", help="follow the log of a job; needs no FILE")
    instead.add_argument("--stop", metavar="JOB", help="stop a job, with checkpoints; needs no FILE")
    instead.add_argument("--status", metavar="JOB", help="print the state of a job; needs no FILE")
    instead.add_argument("--list", action="store_true", help="list the submitted sweeps; needs no FILE")
    parser.set_defaults(run=runs("submit", "submit_command"))


def _add_final(commands: Commands) -> None:
    purpose = "Run only the final step of a sweep; this opens its test data. Rerun the same command to resume."
    parser = bare_command(commands, "final", purpose, **exit_codes())
    parser.add_argument("results", type=path, metavar="RESULTS", help="results folder of a sweep")
    parser.add_argument("--settings", metavar="K", help="number of best settings, or all of the front (final.settings)")
    parser.add_argument("--seeds", type=count, metavar="N", help="number of fresh seeds per setting (final.seeds)")
    parser.add_argument(
        "--again", action="store_true", help="choose again and open test data once more; every output says so"
    )
    add_machine(parser)
    add_address(parser)
    add_telling(parser)
    add_data(parser)
    parser.set_defaults(run=runs("sweep", "final_command"))


def _add_reproduce(commands: Commands) -> None:
    purpose = "Reproduce a table of published results. Rerun the same command to resume."
    what = "a shipped table, such as split_mnist or cifar, or one of your own (YAML)"
    parser = command(commands, "reproduce", purpose, what=what)
    parser.add_argument("--only", nargs="+", metavar="CELL", help="cells such as ewc-class, whole rows, or scenarios")
    parser.add_argument("--seeds", type=count, metavar="N", help="number of seeds per cell (training.replicas)")
    parser.add_argument(
        "--budget",
        type=seconds,
        metavar="T",
        help="time limit, such as 30m, 2h or 1h30m; stops with checkpoints, resumable",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="check every cell and print the plan; run nothing")
    instead.add_argument("--table", type=path, metavar="CSV", help="print a table.csv as Markdown; run nothing")
    parser.set_defaults(run=runs("reproduce", "reproduce_command"))


def _train(args: argparse.Namespace) -> int:
    return runs("fetch", "fetch_command")(args) if args.fetch else runs("train", "train")(args)


def _sweep(args: argparse.Namespace) -> int:
    if args.status is not None:
        return runs("show", "status_command")(args)
    return runs("sweep", "sweep_command")(args)
