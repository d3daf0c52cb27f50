"""The arguments of the commands that look and help: explain, init, report, schema, completion."""

import argparse
from pathlib import Path

SHELLS = ("bash", "zsh", "fish")


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Adds the commands to the parser of `hypercl`."""
    _explain(_command(commands, "explain", "What a key or a section of a file is for: `hypercl explain method.beta`."))
    _init(_command(commands, "init", "List the shipped files, or copy one into the working directory."))
    _report(_command(commands, "report", "Ranked table, what mattered, and figures of one or several sweeps."))
    _schema(_command(commands, "schema", "The JSON Schema of a file, for editors."))
    _completion(_command(commands, "completion", "The completion script of a shell."))


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(groups[0].choices)


def count(text: str) -> int:
    """A number of 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of 1 or more")
    return value


def _command(commands: argparse._SubParsersAction, name: str, purpose: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)


def _explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="?", metavar="PATH", help="such as method.beta; none lists the sections")

    def run(given: argparse.Namespace) -> int:
        from hypercl.cli.explain import explain_command

        return explain_command(given)

    parser.set_defaults(run=run)


def _init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="shipped file, such as quickstart; none lists them")
    parser.add_argument("--to", type=Path, metavar="FILE", help="where to; default: ./NAME.yaml")

    def run(given: argparse.Namespace) -> int:
        from hypercl.cli.init import init_command

        return init_command(given)

    parser.set_defaults(run=run)


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folder of a sweep")
    parser.add_argument("--top", type=count, default=10, metavar="N", help="rows of the table; default: 10")
    parser.add_argument(
        "--prefer",
        metavar="WISH",
        help="print another compromise than that of best.yaml and write preferred.yaml: as for hypercl sweep",
    )
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="where figures go; default: RESULTS/figures, of several sweeps ./report"
    )

    def run(given: argparse.Namespace) -> int:
        from hypercl.cli.report import report_command

        return report_command(given)

    parser.set_defaults(run=run)


def _schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", type=Path, metavar="FILE", help="write it there instead of printing it")

    def run(given: argparse.Namespace) -> int:
        from hypercl.cli.schema import schema_command

        return schema_command(given)

    parser.set_defaults(run=run)


def _completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help='put `eval "$(hypercl completion bash)"` into ~/.bashrc')

    def run(given: argparse.Namespace) -> int:
        from hypercl.cli.completion import completion_script
        from hypercl.cli.main import parser_of_all

        print(completion_script(parser_of_all(), given.shell))
        return 0

    parser.set_defaults(run=run)
