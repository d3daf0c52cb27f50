"""A user's own code, named by import path: found, run with its errors told as theirs, kept with the results."""

import importlib
import shutil
import sys
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypercl.config import Experiment, UserError, did_you_mean
from hypercl.config.models import ImportedMethod, ImportedStream, ImportedTarget

CODE_FOLDER = "code"
"""Folder of a results folder in which the user's modules are kept."""
SHOWN_LINES = 3


@contextmanager
def user_code(key: str, path: str, import_paths: Sequence[Path]) -> Generator[Callable[..., Any]]:
    """What an import path names, to be called inside of the block: there its errors are told as the user's.

    Args:
        key: where the import path stands in the file, such as `target.path`.
        path: `package.module:callable`.
        import_paths: folders searched before what is installed, for as long as the block lasts.

    Raises:
        UserError: nothing is found there, or importing it or what runs inside of the block fails; with the last lines
            of the traceback that are in the user's own file.
    """
    with _searching(import_paths):
        found = _found(key, path, import_paths)
        try:
            yield found
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(f"{key}: {path} failed: {_told(error, path, import_paths)}") from error


def keep_code(
    experiment: Experiment, import_paths: Sequence[Path], results: Path, replace_copy: bool = False
) -> tuple[Path, ...]:
    """Copies the modules (or packages) of an imported target, method and stream into `code/` of a results folder, once.

    The copy is what best.yaml and config.yaml are trained with elsewhere, and what other nodes of a cluster import.
    Modules that a module itself imports from beside it are not followed, unless they are in its package.

    Args:
        experiment: what imports.
        import_paths: folders in which modules are looked for.
        results: the results folder.
        replace_copy: no result came from the copy yet: a copy with other content is replaced.

    Returns:
        The folders in which to look for modules: the copy first.

    Raises:
        UserError: a module was changed since the copy was made: what is in the folder came from the older one.
    """
    named = [
        section.path
        for section in (experiment.target, experiment.method, experiment.tasks)
        if isinstance(section, ImportedTarget | ImportedMethod | ImportedStream)
    ]
    sources = dict.fromkeys(place for path in named if (place := _place(path, import_paths)) is not None)
    for source in sources:
        _keep(source, results, replace_copy)
    return (results / CODE_FOLDER, *import_paths) if sources else tuple(import_paths)


def _keep(source: Path, results: Path, replace_copy: bool) -> None:
    copy = results / CODE_FOLDER / source.name
    changed = copy.exists() and _content(copy) != _content(source)
    if changed and replace_copy:
        shutil.rmtree(copy) if copy.is_dir() else copy.unlink()
    elif changed:
        raise UserError(
            f"{source} was changed since the results in {results} were begun with it (their copy: {copy})\n"
            "    fix:     give the new code another --name, or restore the old code to resume"
        )
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy)


def _place(path: str, import_paths: Sequence[Path]) -> Path | None:
    """The file or package of the user's in which an import path begins; None for what is installed."""
    top = path.partition(":")[0].partition(".")[0]
    packages = [Path(folder) / top for folder in import_paths]
    found = [place for package in packages for place in (package, package.with_name(f"{top}.py")) if _regular(place)]
    plain = [package for package in packages if any(package.rglob("*.py"))]  # a package without __init__.py comes last
    return next(iter([*found, *plain]), None)


def _regular(place: Path) -> bool:
    """Whether Python imports this before all else of the name; a folder of data beside a module is no package."""
    return (place / "__init__.py").is_file() or (place.suffix == ".py" and place.is_file())


def _content(place: Path) -> dict[str, bytes]:
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return {str(file.relative_to(place)): file.read_bytes() for file in files}


def _found(key: str, path: str, import_paths: Sequence[Path]) -> Callable[..., Any]:
    module_name, _, attributes = path.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        missing = (error.name or "") if isinstance(error, ModuleNotFoundError) else None
        if missing is None or (missing != module_name and not module_name.startswith(f"{missing}.")):
            told = _told(error, path, import_paths)
            raise UserError(f"{key}: importing {module_name} failed: {told}") from error
        folders = ", ".join(str(folder) for folder in import_paths) or "none"
        beside = [file.stem for folder in import_paths for file in sorted(Path(folder).glob("*.py"))]
        fix = did_you_mean(missing, beside) or "put the file into one of these folders, or install the package"
        raise UserError(
            f"{key}: there is no module '{missing}'\n    given:   {path}\n    searched: {folders}, and what is "
            f"installed\n    fix:     {fix}"
        ) from error
    for attribute in attributes.split("."):
        if not hasattr(value, attribute):
            known = [name for name in dir(value) if not name.startswith("_")]
            fix = did_you_mean(attribute, known)
            raise UserError(f"{key}: {module_name} has no '{attribute}'" + (f": {fix}" if fix else ""))
        value = getattr(value, attribute)
    if not callable(value):
        raise UserError(f"{key}: {path} is a {type(value).__name__}, which cannot be called")
    return value


def _told(error: BaseException, path: str, import_paths: Sequence[Path]) -> str:
    """An error as its type and text, and where in the user's own file it came from, innermost last."""
    place = _place(path, import_paths)
    frames = [
        f"    {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"
        for frame in traceback.extract_tb(error.__traceback__)
        if place is not None and Path(frame.filename).resolve().is_relative_to(place.resolve())
    ]
    text = str(error).strip()
    return "\n".join([f"{type(error).__name__}: {text}" if text else type(error).__name__, *frames[-SHOWN_LINES:]])


@contextmanager
def _searching(folders: Sequence[Path]) -> Generator[None]:
    """These folders come first in the search for modules, for a while."""
    before = list(sys.path)
    sys.path[:0] = [str(Path(folder).resolve()) for folder in folders]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
