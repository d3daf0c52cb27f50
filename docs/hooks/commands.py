"""The command reference, written from the parser of `hypercl` when the site is built."""

import argparse
import os
from typing import Any

PAGE = "reference/commands.md"


def on_files(files: Any, config: Any) -> Any:
    """MkDocs asks for the site's files: the generated page is added."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=page()))
    return files


def page() -> str:
    """The page as Markdown."""
    from hypercl.exit_codes import EXIT_CODES

    os.environ["COLUMNS"] = "100"
    lines = [
        "# Commands",
        "",
        "`hypercl` and `python -m hypercl` are the same. The scripts in `launch/` are the commands of their names: "
        "`python launch/sweep.py FILE` is `hypercl sweep FILE`.",
        "",
    ]
    for name, parser in commands().items():
        usage = parser.format_usage().removeprefix("usage: ").strip()
        lines += [f"## hypercl {name}", "", parser.description or "", "", "```text", usage, "```", "", *_table(parser)]
    lines += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code.value} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join([*lines, ""])


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    from hypercl.cli.parser import parser_of_all

    actions = parser_of_all()._actions
    return dict(next(action for action in actions if isinstance(action, argparse._SubParsersAction)).choices)


def _table(parser: argparse.ArgumentParser) -> list[str]:
    shown = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    if not shown:
        return []
    rows = [f"| `{_name(action)}` | {_help(parser, action)} |" for action in shown]
    return ["| argument | meaning |", "|---|---|", *rows, ""]


def _name(action: argparse.Action) -> str:
    wanted = f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.metavar or action.dest.upper()
    value = "" if action.nargs == 0 else str(wanted)
    return f"{', '.join(action.option_strings)} {value}".strip()


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    return text.replace("|", "\\|").replace("<", "&lt;")
