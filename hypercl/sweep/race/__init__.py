"""The best settings of a search compared on further seeds."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.sweep.race.race import Racing
    from hypercl.sweep.race.results import (
        check_races,
        gain_interval,
        race_due,
        race_in_words,
        race_order,
        search_stages,
    )
    from hypercl.sweep.race.schedule import (
        confirm_plan,
        confirm_seeds,
        most_seeds,
        race_plan,
        race_points,
        stage_kind,
        stage_of,
    )
__all__, __getattr__ = lazy(__name__, __file__)
