"""The final step: test data is opened once, for chosen settings on fresh seeds."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.sweep.final.by_train import by_train_rows, note_opening
    from hypercl.sweep.final.data_used import data_used_rows
    from hypercl.sweep.final.selection import check_final, joined, most_settings, parts_of, selections_of
    from hypercl.sweep.final.status import final_is_open, final_rows, since_final
    from hypercl.sweep.final.step import FinalStep

__all__, __getattr__ = lazy(__name__, __file__)
