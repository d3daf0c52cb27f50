"""Rules that span several sections of a file."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.config.checks.bundle import are_alike, why_alone
    from hypercl.config.checks.check import check_sweep, load_sweep
    from hypercl.config.checks.conditions import (
        completed,
        conditions_in_words,
        drawn,
        is_active,
        ordered,
        setting,
        with_tied,
    )
    from hypercl.config.checks.protocol import RATE, strength_path
    from hypercl.config.checks.search import no_confirm
    from hypercl.config.checks.space_values import why_not_tunable
__all__, __getattr__ = lazy(__name__, __file__)
