"""What commands of `hypercl` have in common: their file, data, results and machine."""

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from hypercl.cli.values import amount, amount_or_none, count, path, seconds, trusted
from hypercl.exit_codes import EXIT_CODES
from hypercl.formatting import default_data_dir

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""The group of commands of a parser."""
YAML_FILE = "YAML file, such as search_spaces/quickstart.yaml"


def bare_command(commands: Commands, name: str, purpose: str, **more: Any) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False, **more)


def runs(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """A command's function, imported when it runs: each command imports only what it needs."""
    return lambda args: getattr(import_module(f"hypercl.cli.{module}"), function)(args)


def command(
    commands: Commands,
    name: str,
    purpose: str,
    needs_file: bool = True,
    what: str = YAML_FILE,
) -> argparse.ArgumentParser:
    """A command with what those that train share."""
    parser = bare_command(commands, name, purpose, **exit_codes())
    add_file(parser, needs_file, what)
    parser.add_argument(
        "--results",
        type=path,
        default=Path("results"),
        metavar="DIR",
        help="where results folders are written; default: ./results",
    )
    parser.add_argument("--name", help="name of the results folder; default: the file's name")
    add_data(parser)
    return parser


def add_file(parser: argparse.ArgumentParser, needs_file: bool = True, what: str = YAML_FILE) -> None:
    parser.add_argument(
        "file",
        nargs=None if needs_file else "?",
        metavar="FILE",
        help=what,
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change one key of the file, such as method.beta=0.1; repeatable",
    )


def exit_codes() -> dict[str, Any]:
    """What a command's help ends with."""
    return {
        "epilog": "exit codes:\n" + "\n".join(f"  {code.value:<4} {meaning}" for code, meaning in EXIT_CODES.items()),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def add_data(parser: argparse.ArgumentParser) -> None:
    """Where data comes from, and whose code may run."""
    add_data_folder(parser)
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        type=trusted,
        metavar="PATH",
        help="code that may run: an installed package, an import path, or a folder of results (also HYPERCL_TRUST)",
    )


def add_data_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        type=path,
        default=default_data_dir(),
        metavar="DIR",
        help="directory of the data sets; default: $HYPERCL_DATA, else ./data",
    )
    parser.add_argument("--offline", action="store_true", help="use no network at all (also HYPERCL_OFFLINE=1)")


def add_telling(parser: argparse.ArgumentParser) -> None:
    """How much is printed while it runs."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--quiet", dest="telling", action="store_const", const="quiet", default="", help="print only how it ended"
    )
    how.add_argument(
        "--json", dest="telling", action="store_const", const="json", help="print one JSON object a line and event"
    )


def add_machine(parser: argparse.ArgumentParser) -> None:
    """On what a sweep runs, and how long."""
    parser.add_argument(
        "--time",
        type=seconds,
        metavar="T",
        help="time limit, such as 90s, 30m, 2h or 1h30m; stops with checkpoints, resumable",
    )
    parser.add_argument("--cpus", type=amount, metavar="N", help="maximum total number of CPUs")
    parser.add_argument("--gpus", type=amount_or_none, metavar="N", help="maximum total number of GPUs")
    parser.add_argument("--max-concurrent", type=count, metavar="N", help="maximum number of trials at once")
    parser.add_argument(
        "--max-gpu-hours", type=amount, metavar="H", help="stop, resumable, once the whole sweep has used H GPU-hours"
    )
    parser.add_argument("--max-cost", type=amount, metavar="M", help="the same for money; needs --price-per-gpu-hour")
    parser.add_argument(
        "--price-per-gpu-hour", type=amount, metavar="X", help="price of a GPU-hour, for plan, table and report"
    )


def add_budget(parser: argparse.ArgumentParser) -> None:
    """How much a sweep does, and on what."""
    parser.add_argument("--trials", type=count, metavar="N", help="total number of trained trials (search.trials)")
    parser.add_argument("--no-final", action="store_true", help="no final step now, whatever final.auto says")
    parser.add_argument("--join", action="store_true", help="work on a study that another driver began (study.storage)")
    add_machine(parser)
    parser.add_argument(
        "--prefer",
        metavar="PREFERENCE",
        help="which trade-off between several objectives goes into best.yaml: 'knee' (default), weights such as "
        "'validation/final_accuracy: 1, compression_ratio: 0.2', or a condition such as 'compression_ratio <= 0.5'",
    )


def add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--address", metavar="A", help="Ray cluster to attach to (also RAY_ADDRESS); default: this machine"
    )
