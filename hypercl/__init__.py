"""Hyperparameter sweeps of task-conditioned hypernetworks for continual learning.

`train`, `sweep`, `open` and `load` return objects, and `commands` has every command as a function. None of them is
imported before it is used.
"""
# pyright: reportUnusedImport=false

from types import ModuleType
from typing import TYPE_CHECKING, Any

from hypercl import sweep as _package
from hypercl.faces import lazy
from hypercl.version import __version__ as __version__

if TYPE_CHECKING:
    from hypercl.api import Failed, Model, Report, Run, Sweep, commands, load, load_file, open, sweep, train
    from hypercl.config import UserError


class _Sweeping(ModuleType):
    """The package `hypercl.sweep`, which can be called, too."""

    def __call__(self, *args: Any, **options: Any) -> "Sweep":
        from hypercl import api

        return api.sweep(*args, **options)


_package.__class__ = _Sweeping  # pyright: ignore[reportAttributeAccessIssue] - as the data model of Python allows
__all__, __getattr__ = lazy(__name__, __file__)
