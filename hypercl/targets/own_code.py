"""A user's own module is kept with the results made with it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from hypercl.config import UserError
from hypercl.config.target import ImportedTarget, Target

FOLDER = "code"


def keep_code(target: Target, import_paths: Sequence[Path], results: Path) -> tuple[Path, ...]:  # pyright: ignore[reportInvalidTypeForm]
    """Copies the module (or package) of an imported target into `code/` of a results folder, once.

    The copy is what best.yaml and config.yaml are trained with elsewhere, and what other nodes of a cluster import.
    Modules that the module itself imports from beside it are not followed, unless they are in its package.

    Returns:
        The folders in which to look for modules: the copy first.

    Raises:
        UserError: the module was changed since the copy was made: what is in the folder came from the older one.
    """
    if not isinstance(target, ImportedTarget):
        return tuple(import_paths)
    top = target.path.partition(":")[0].partition(".")[0]
    places = [Path(folder) / name for folder in import_paths for name in (top, f"{top}.py")]
    source = next((place for place in places if place.exists()), None)
    if source is None:
        return tuple(import_paths)
    copy = results / FOLDER / source.name
    if copy.exists() and _content(copy) != _content(source):
        raise UserError(
            f"{source} was changed since the results in {results} were begun with it (their copy: {copy})\n"
            "    fix:     give the new code another --name, or put the old code back to go on"
        )
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy)
    return (copy.parent, *import_paths)


def _content(place: Path) -> dict[str, bytes]:
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return {str(file.relative_to(place)): file.read_bytes() for file in files}
