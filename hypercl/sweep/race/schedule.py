"""When a sweep races, how, and what it costs at most: known before anything is trained."""

from hypercl.analysis import Plan, level_of
from hypercl.config import SweepFile
from hypercl.config.models import Race, Search


def race_points(search: Search) -> list[int]:
    """Trained trials after which a race is due, the last at the end of the search; none where nothing is raced."""
    if search.race is None:
        return []
    every = search.race.every
    return [*(range(every, search.trials, every) if every is not None else ()), search.trials]


def race_plan(race: Race, settings: int, races: int) -> Plan:
    """The rounds and the level of a race.

    Args:
        race: as it is asked for.
        settings: that race.
        races: of the whole sweep; they share `alpha`.
    """
    rounds = Plan(race.seeds, race.block, 1.0)
    return Plan(race.seeds, race.block, level_of(race.alpha, len(rounds.looks), settings - 1, races))


def most_seeds(file: SweepFile) -> list[int]:
    """Seeds that each race trains at most: a later one finds its leader's, and no other's, trained."""
    race = file.search.race
    assert race is not None
    return [race.seeds * (race.settings - (1 if place else 0)) for place in range(len(race_points(file.search)))]
