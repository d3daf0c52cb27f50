"""The Python face: what the commands do, as functions that return objects and raise exceptions."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.api.as_functions import commands
    from hypercl.api.model import Model, load
    from hypercl.api.runs import Failed, Run, load_file, train
    from hypercl.api.sweeps import Report, Sweep, sweep
    from hypercl.api.sweeps import open_results as open

__all__, __getattr__ = lazy(__name__, __file__)
