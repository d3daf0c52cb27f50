"""What is tried next: the study's sampler or grid, or protocol stability_decay with its attempts."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.sweep.planner.planner import Part, Planner, planner_of

__all__, __getattr__ = lazy(__name__, __file__)
