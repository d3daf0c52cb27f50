"""`hypercl init`: the shipped files, listed and copied."""

import argparse
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path

from rich.console import Console

from hypercl.cli.paths import require_writable
from hypercl.cli.tables import pairs
from hypercl.config import UserError, did_you_mean
from hypercl.config.reading import content_of
from hypercl.files import write_text
from hypercl.formatting import typed
from hypercl.shipped_files import folder, purpose, shipped

SCHEMA = "schema.json"


def init_command(args: argparse.Namespace) -> int:
    """Lists the shipped files, or copies one into the working directory, with what it includes and its schema."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    found = shipped()
    if args.name is None:
        console.print(pairs([(name, purpose(file.read_text(encoding="utf-8"))) for name, file in found.items()]))
        console.print("\nhypercl init NAME copies one into the working directory.")
        return 0
    if args.name not in found:
        hint = did_you_mean(args.name, list(found))
        fix = f"\n    fix:     {hint}" if hint else ""
        raise UserError(f"no file '{args.name}' is shipped; there are {', '.join(found)}{fix}")
    target = args.to or Path(f"{args.name}.yaml")
    if target.exists():
        raise UserError(f"{target} is there already and stays as it is\n    fix:     --to FILE names another place")
    require_writable("--to", target.parent.resolve())
    beside = _included(found[args.name])
    _refuse_rivals(args.name, target, beside)
    written = {target.name: found[args.name].read_text(encoding="utf-8")} | beside
    if not (target.parent / SCHEMA).exists():
        written[SCHEMA] = (folder() / SCHEMA).read_text(encoding="utf-8")
    for name, content in written.items():
        write_text(target.parent / name, content)
    included = f"includes {', '.join(beside)}; " if beside else ""
    console.print(f"written: {target} ({included}{SCHEMA} beside it is for editors)")
    console.print(f"next:    hypercl sweep {typed(target)}")
    return 0


def _refuse_rivals(name: str, target: Path, beside: Mapping[str, str]) -> None:
    """No file of the user's is written over, or included in place of the shipped one."""
    if target.name in beside:
        raise UserError(f"{name} includes a file of the name {target.name}\n    fix:     --to FILE, another name")
    for path, content in beside.items():
        other = target.parent / path
        if other.exists() and other.read_text(encoding="utf-8") != content:
            raise UserError(
                f"{name} includes {path}, and {other} is there already with other content, and stays as it is\n"
                "    fix:     --to FOLDER/FILE names another place"
            )


def _included(file: Traversable) -> dict[str, str]:
    """The files that a shipped one includes: path below the shipped files' folder -> text."""
    content = content_of(file.read_text(encoding="utf-8"), str(file))
    files = dict.fromkeys(path.resolve() for path in content.files)
    top = Path(str(folder())).resolve()
    return {path.relative_to(top).as_posix(): path.read_text(encoding="utf-8") for path in files}
