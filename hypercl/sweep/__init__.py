"""Sweeps: an Optuna study driven by Ray Tune.

The names below are looked up when they are used: a trial's process imports this package too, and needs no Optuna.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypercl.sweep.driver import sweep
    from hypercl.sweep.options import SweepOptions, SweepResult
    from hypercl.sweep.plan.dry_run import dry_run_rows
    from hypercl.sweep.plan.plan import plan_rows
    from hypercl.sweep.results.live import listener_for

_HOME = {
    "SweepOptions": "hypercl.sweep.options",
    "SweepResult": "hypercl.sweep.options",
    "dry_run_rows": "hypercl.sweep.plan.dry_run",
    "listener_for": "hypercl.sweep.results.live",
    "plan_rows": "hypercl.sweep.plan.plan",
    "sweep": "hypercl.sweep.driver",
}

__all__ = ["SweepOptions", "SweepResult", "dry_run_rows", "listener_for", "plan_rows", "sweep"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hypercl.sweep' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
