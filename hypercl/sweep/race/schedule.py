"""When a sweep races, how, and what it costs at most: known before anything is trained."""

from hypercl.analysis.racing import Plan, level_of
from hypercl.config import SweepFile
from hypercl.config.models.protocol import Race
from hypercl.config.models.sweep import Search
from hypercl.sweep.results.live import duration
from hypercl.sweep.study.protocols import APART, Role, has_orders
from hypercl.sweep.workers.resources import Slots


def points(search: Search) -> list[int]:
    """Trained trials after which a race is due, the last at the end of the search; none where nothing is raced."""
    if search.race is None:
        return []
    every = search.race.every
    return [*(range(every, search.trials, every) if every is not None else ()), search.trials]


def planned(race: Race, settings: int, races: int) -> Plan:
    """The rounds and the level of a race.

    Args:
        race: as it is asked for.
        settings: that race.
        races: of the whole sweep; they share `alpha`.
    """
    rounds = Plan(race.seeds, race.block, 1.0)
    return Plan(race.seeds, race.block, level_of(race.alpha, len(rounds.looks), settings - 1, races))


def race_rows(file: SweepFile) -> list[tuple[str, str]]:
    """What races will do and cost at most, for the plan; nothing where nothing is raced.

    Args:
        file: as from `hypercl.sweep.study.protocols.tuning`.
    """
    race = file.search.race
    if race is None:
        return []
    first = file.experiment.training.seed + Role.SELECTION * APART
    count = len(points(file.search))
    when = "after the search" if count == 1 else f"after every {race.every} trials and the search ({count} races)"
    each = ", each with an order of its own" if has_orders(file.experiment) else ", trained together"
    text = (
        f"{when} the best {race.settings} settings get {race.block} further seeds a round{each} (from seed {first} "
        f"on), {race.seeds} each at most; who is worse than the leader by a paired t test is dropped "
        f"(alpha {race.alpha:g})"
    )
    most = sum(most_seeds(file))
    return [("race", text), ("race cost", f"at most {most} seeds, as much as {trials_worth(file):.3g} trials")]


def race_time(file: SweepFile, slots: Slots, trial: float) -> list[tuple[str, str]]:
    """How long races take at most, for a dry run; nothing where nothing is raced.

    Args:
        file: as from `hypercl.sweep.study.protocols.tuning`.
        slots: what fits at once.
        trial: seconds of a trial of the largest setting; a bundle takes as long as its seeds one by one.
    """
    race = file.search.race
    if race is None:
        return []
    alone, rounds = has_orders(file.experiment), planned(race, race.settings, 1).rounds
    new = [after - before for before, after in zip((0, *rounds), rounds, strict=False)]
    runs = [(race.settings * count, 1) if alone else (race.settings, count) for count in new]
    bundles = sum(-(-number // slots.concurrent) * seeds for number, seeds in runs)
    seconds = bundles * trial / file.experiment.training.replicas * len(points(file.search))
    return [("races", f"at most about {duration(seconds)}")]


def most_seeds(file: SweepFile) -> list[int]:
    """Seeds that each race trains at most: a later one finds its leader's, and no other's, trained."""
    race = file.search.race
    assert race is not None
    return [race.seeds * (race.settings - (1 if place else 0)) for place in range(len(points(file.search)))]


def trials_worth(file: SweepFile) -> float:
    """As many trials have as many seeds as all races at most."""
    return sum(most_seeds(file)) / file.experiment.training.replicas
