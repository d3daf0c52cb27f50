"""Sweeps: an Optuna study driven by Ray Tune.

The names below are looked up when they are used: a trial's process imports this package too, and needs no Optuna.
"""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.sweep.driver import sweep
    from hypercl.sweep.options import SweepOptions, SweepResult
    from hypercl.sweep.plan import dry_run_rows, plan_rows
    from hypercl.sweep.results import listener_for

__all__, __getattr__ = lazy(__name__, __file__)
