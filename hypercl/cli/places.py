"""What the options of a command say about names and folders."""

import argparse
import os
import re
from pathlib import Path

from hypercl.config import SweepFile, UserError


def name_of(given: argparse.Namespace, file: SweepFile) -> str:
    """Name of the results folder: --name, else the file's `name`, else the name of the file.

    Raises:
        UserError: the name could lead out of the results folder.
    """
    name = given.name or file.name or Path(given.file).stem
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise UserError(f"--name: '{name}' cannot name a folder; use letters, digits, '.', '_' and '-'")
    return name


def offline(given: argparse.Namespace) -> bool:
    """Whether the network must not be used: --offline or HYPERCL_OFFLINE."""
    return given.offline or os.environ.get("HYPERCL_OFFLINE", "") not in ("", "0")


def import_paths(given: argparse.Namespace) -> tuple[Path, ...]:
    """Folders in which a user's modules are looked for: the file's own and the working directory."""
    return tuple(dict.fromkeys([Path(given.file).resolve().parent, Path.cwd()]))
