"""What the options of a command say about names and folders."""

import argparse
import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryFile

from hypercl.config import SweepFile, UserError
from hypercl.formatting import shown
from hypercl.user_code import CODE_FOLDER, require_kept

_RAY_PACKAGE = "_ray_pkg_"
"""How the folder begins that `ray job submit --working-dir` unpacks the working directory to."""


def name_of(args: argparse.Namespace, file: SweepFile) -> str:
    """Name of the results folder: --name, else the file's `name`, else the name of the file.

    Raises:
        UserError: the name could lead out of the results folder.
    """
    return folder_name(file.name or Path(args.file).stem if args.name is None else args.name)


def folder_name(name: str) -> str:
    """A name for a folder in the results.

    Raises:
        UserError: it could lead out of them.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise UserError(f"--name: '{name}' cannot name a folder; use letters, digits, '.', '_' and '-'")
    return name


def results_of(args: argparse.Namespace) -> Path:
    """The folder of all results, absolute.

    Raises:
        UserError: it lies in the package that a submitted Ray job is unpacked to, which is gone after the job.
    """
    folder = args.results.resolve()
    if any(part.startswith(_RAY_PACKAGE) for part in folder.parts):
        raise UserError(
            f"--results: {folder} is the copy of the working directory that Ray made for this job, and goes with it\n"
            "    fix:     --results with an absolute path, on storage that every node shares"
        )
    require_writable("--results", folder)
    return folder


def require_writable(option: str, folder: Path) -> None:
    """Makes sure that a folder can be written to, or be made; makes nothing.

    Raises:
        UserError: it cannot, and why.
    """
    there = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        TemporaryFile(dir=there).close()
    except OSError as error:
        why = f"{there} is no folder" if not there.is_dir() else f"in {there}: {error.strerror}"
        raise UserError(f"{option}: {folder} cannot be written to: {why}\n    fix:     name another folder") from None


def offline(args: argparse.Namespace) -> bool:
    """Whether the network must not be used: --offline or HYPERCL_OFFLINE."""
    return args.offline or os.environ.get("HYPERCL_OFFLINE", "") not in ("", "0")


def import_paths(args: argparse.Namespace) -> tuple[Path, ...]:
    """Folders in which the modules of a command's file are looked for."""
    return paths_beside(Path(args.file))


def paths_beside(file: Path) -> tuple[Path, ...]:
    """Folders in which a user's modules are looked for: the file's own and the working directory.

    For a file inside of a results folder, the code that is kept there comes first; which that is, is printed.

    Raises:
        UserError: that code is not what the results were begun with, and is not trusted.
    """
    beside = file.resolve().parent
    results = [
        folder
        for folder in (beside, *beside.parents[:3])
        if (folder / "sweep.yaml").exists() or (folder / "config.yaml").exists()
    ]
    return tuple(dict.fromkeys([*(code for folder in results for code in kept_code(folder)), beside, Path.cwd()]))


def kept_code(results: Path) -> list[Path]:
    """The folder of the code kept with some results, if there is one; prints what is in it.

    Raises:
        UserError: as `import_paths`.
    """
    folder = results / CODE_FOLDER
    if not folder.is_dir():
        return []
    for name, digest in require_kept(results).items():
        print(f"code of these results: {shown(folder / name)}, SHA-256 {digest[:16]}", file=sys.stderr)
    return [folder]
