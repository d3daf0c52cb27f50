"""Faces of packages that look their names up when they are used.

A trial's process imports `hypercl.sweep.workers` and needs no Optuna; `hypercl explain` needs no torch.
"""

import ast
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy(package: str, file: str) -> tuple[list[str], Callable[[str], Any]]:
    """`__all__` and `__getattr__` of a package whose `__init__` imports its names under TYPE_CHECKING only.

    Args:
        package: its `__name__`.
        file: its `__file__`, whose imports say in which module each name is defined.
    """
    home = {known: at for known, at in _imports(Path(file)) if at[0].startswith(f"{package}.")}

    def look_up(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        module, defined = home[name]
        return getattr(import_module(module), defined)

    return sorted(home), look_up


def _imports(file: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each imported name, the module that it comes from, and its name there."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                yield alias.asname or alias.name, (node.module, alias.name)
