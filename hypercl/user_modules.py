"""A user's modules in a process that imports them repeatedly (a notebook): the present files count."""

import hashlib
import importlib
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path

_imported: dict[str, tuple[Path, str]] = {}
"""Name -> file, and its SHA-256 when it was imported: modules that a block of `searching` imported from its folders."""


@contextmanager
def searching(folders: Sequence[Path]) -> Generator[None]:
    """Inside the block these folders come first in the search for modules.

    If any module that an earlier block imported was edited since, or would be found elsewhere now, all of them are
    forgotten, since they may have imported each other. What the user imported before is left as it is.
    """
    before, writes_no_cache = list(sys.path), sys.dont_write_bytecode
    roots = [Path(folder).resolve() for folder in folders]
    sys.path[:0] = map(str, roots)
    sys.dont_write_bytecode = True  # an edit within the same second and of the same length would go unnoticed
    importlib.invalidate_caches()
    if any(_is_stale(name) for name in _imported):
        for name in _imported:
            sys.modules.pop(name, None)
        _imported.clear()
    known = set(sys.modules)
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = before, writes_no_cache
        for name in set(sys.modules) - known:
            _remember(name, roots)


def _is_stale(name: str) -> bool:
    file, content = _imported[name]
    if not file.is_file() or _digest(file) != content:
        return True
    top = name.partition(".")[0]
    if top not in _imported:
        return False
    spec = PathFinder.find_spec(top, sys.path)
    return spec is None or spec.origin is None or Path(spec.origin).resolve() != _imported[top][0]


def _remember(name: str, roots: Sequence[Path]) -> None:
    """Takes note of a module from one of the folders, unless it is installed below it or is one of hypercl's."""
    origin = getattr(sys.modules[name], "__file__", None)
    if not origin or name.partition(".")[0] == "hypercl":
        return
    file = Path(origin).resolve()
    inside = any(file.is_relative_to(root) for root in roots)
    if inside and file.is_file() and not {"site-packages", "dist-packages"} & set(file.parts):
        _imported[name] = (file, _digest(file))


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
