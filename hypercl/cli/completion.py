"""`hypercl completion`: a shell's completion script."""

import argparse

from hypercl.cli.parser import commands_of, parser_of_all


def completion_command(args: argparse.Namespace) -> int:
    print(completion_script(parser_of_all(), args.shell))
    return 0


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script of a shell for a parser with commands, whose arguments are marked with what they take."""
    import shtab

    from hypercl.config.explain import known_keys

    yaml, folder = shtab.glob("*.yaml", "*.yml"), shtab.DIRECTORY
    completions = {
        ("train", "file"): yaml,
        ("fetch", "file"): yaml,
        ("sweep", "file"): yaml,
        ("submit", "file"): yaml,
        ("report", "to"): folder,
        ("list", "folder"): folder,
        ("sweep", "status"): folder,
        ("init", "to"): shtab.FILE,
        ("schema", "write"): shtab.FILE,
        ("explain", "path"): _words(known_keys()),
    }
    for command, own in commands_of(parser).items():
        for action in own._actions:
            takes = folder if action.dest in ("results", "data_dir") else completions.get((command, action.dest))
            if takes is not None:
                action.complete = takes  # pyright: ignore[reportAttributeAccessIssue] - where shtab looks for it
    return shtab.complete(parser, shell=shell)


def _words(words: tuple[str, ...]) -> dict[str, object]:
    """One of some words; not `choices`, since an unknown word gets a better answer from the command."""
    text = " ".join(words)
    body = f'_hypercl_keys() {{\n  compgen -W "{text}" -- "$1"\n}}'
    return {"bash": "_hypercl_keys", "zsh": f"({text})", "fish": text, "preamble": {"bash": body}}
