"""What follows a search, when and how, and what it costs at most: known before anything is trained."""

from math import prod
from typing import Literal

from hypercl.analysis import Plan, halving_plan, level_of
from hypercl.config import SweepFile
from hypercl.config.checks import no_confirm
from hypercl.config.models import Confirm, Race

LEAST_SEEDS = 3
"""Trainings of one seed for each setting of a confirming stage, at least."""


def stage_of(file: SweepFile) -> Race | Confirm | None:
    """What compares settings on further seeds: a race, the confirming stage, or nothing.

    Args:
        file: as from `hypercl.sweep.study.search_config`.
    """
    confirm = file.search.confirm
    if confirm == "auto":
        confirm = None if no_confirm(file) else Confirm()
    return file.search.race or confirm or None


def stage_kind(file: SweepFile) -> Literal["race", "confirm"]:
    """The word for it, as in `hypercl.analysis.RaceRecord.kind`."""
    return "race" if file.search.race is not None else "confirm"


def race_points(file: SweepFile) -> list[int]:
    """Trained trials after which a race or the confirming stage is due, the last at the end of the search; none where
    there is neither."""
    stage, trials = stage_of(file), file.search.trials
    if stage is None:
        return []
    every = stage.every if isinstance(stage, Race) else None
    return [*(range(every, trials, every) if every is not None else ()), trials]


def race_plan(race: Race, settings: int, races: int) -> Plan:
    """The rounds and the level of a race.

    Args:
        race: as it is asked for.
        settings: that race.
        races: of the whole sweep; they share `alpha`.
    """
    rounds = Plan(race.seeds, race.block, 1.0)
    return Plan(race.seeds, race.block, level_of(race.alpha, len(rounds.looks), settings - 1, races))


def confirm_plan(confirm: Confirm, file: SweepFile, challengers: int, written: bool = True) -> Plan:
    """The rounds and the level of a confirming stage.

    Args:
        confirm: as it is asked for.
        file: as from `hypercl.sweep.study.search_config`; the share is one of its search.
        challengers: one or more.
        written: whether the setting as written takes part.
    """
    searched = file.search.trials * file.experiment.training.replicas * prod(file.fidelity.values())
    trainings = max(LEAST_SEEDS * (challengers + written), int(confirm.share * searched))
    return halving_plan(trainings, challengers, written, confirm.alpha)


def confirm_seeds(plan: Plan, challengers: int) -> list[tuple[int, int]]:
    """Of each round of a confirming stage: the settings in it, the one as written included, and the seeds of each."""
    blocks = [after - before for before, after in zip((0, *plan.rounds), plan.rounds, strict=False)]
    return [(max(1, challengers >> place) + 1, block) for place, block in enumerate(blocks)]


def most_seeds(file: SweepFile) -> list[int]:
    """Seeds that each race, or the confirming stage, trains at most: a later race finds its leader's, and no other's,
    trained."""
    stage = stage_of(file)
    if isinstance(stage, Confirm):
        plan = confirm_plan(stage, file, stage.settings)
        return [sum(settings * seeds for settings, seeds in confirm_seeds(plan, stage.settings))]
    if stage is None:
        return []
    return [stage.seeds * (stage.settings - (1 if place else 0)) for place in range(len(race_points(file)))]
