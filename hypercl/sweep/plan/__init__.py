"""What a sweep would do, and what it would cost."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.sweep.plan.dry_run import dry_run_rows
    from hypercl.sweep.plan.final import final_row
    from hypercl.sweep.plan.plan import plan_rows

__all__, __getattr__ = lazy(__name__, __file__)
