"""What races will do and cost at most, for the plan."""

from hypercl.config import SweepFile
from hypercl.formatting import duration
from hypercl.sweep.race.schedule import most_seeds, planned, points
from hypercl.sweep.study.protocols import APART, Role, has_orders
from hypercl.sweep.workers.resources import Slots


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


def trials_worth(file: SweepFile) -> float:
    """As many trials have as many seeds as all races at most."""
    return sum(most_seeds(file)) / file.experiment.training.replicas
