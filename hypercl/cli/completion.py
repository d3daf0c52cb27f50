"""`hypercl completion`: scripts that complete commands, options, files and key paths in a shell."""

import argparse

import shtab

from hypercl.cli.parsers import commands_of
from hypercl.config.explain.explain import known_keys

YAML, FOLDER = shtab.glob("*.yaml", "*.yml"), shtab.DIRECTORY
_TAKES = {
    ("train", "file"): YAML,
    ("sweep", "file"): YAML,
    ("report", "results"): FOLDER,
    ("report", "to"): FOLDER,
    ("sweep", "status"): FOLDER,
    ("init", "to"): shtab.FILE,
    ("schema", "write"): shtab.FILE,
}
"""(command, argument) -> what it takes; `--results` and `--data-dir` take a folder everywhere."""


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script of a shell for a parser with commands, whose arguments are marked with what they take."""
    for command, own in commands_of(parser).items():
        for action in own._actions:
            takes = FOLDER if action.dest in ("results", "data_dir") else _TAKES.get((command, action.dest))
            if (command, action.dest) == ("explain", "path"):
                takes = _words(known_keys())
            if takes is not None:
                action.complete = takes  # pyright: ignore[reportAttributeAccessIssue] - where shtab looks for it
    return shtab.complete(parser, shell=shell)


def _words(words: tuple[str, ...]) -> dict[str, object]:
    """One of some words; not `choices`, since an unknown word gets a better answer from the command."""
    text = " ".join(words)
    body = f'_hypercl_keys() {{\n  compgen -W "{text}" -- "$1"\n}}'
    return {"bash": "_hypercl_keys", "zsh": f"({text})", "fish": text, "preamble": {"bash": body}}
