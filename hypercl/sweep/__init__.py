"""Sweeps: an Optuna study driven by Ray Tune.

The names below are looked up when they are used: a trial's process imports this package too, and needs no Optuna.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypercl.sweep.driver import sweep
    from hypercl.sweep.options import SweepOptions, SweepResult

_HOME = {
    "SweepOptions": "hypercl.sweep.options",
    "SweepResult": "hypercl.sweep.options",
    "sweep": "hypercl.sweep.driver",
}

__all__ = ["SweepOptions", "SweepResult", "sweep"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hypercl.sweep' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
