"""Results of a sweep's races, as stored in the study: which trial leads in best.yaml and the final step."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from hypercl.analysis import RaceRecord
from hypercl.config import UserError
from hypercl.sweep.race.schedule import race_points
from hypercl.sweep.study import StudyRecord, last_race


def race_order(record: StudyRecord) -> list[int]:
    """Numbers of all complete trials: the best one, then those of the last race that had a round, in its order, then
    the others in the order of the search."""
    best, order = record.best(), standing_of(record.ranked(), record.attributes)
    return order if best is None else [best.number, *(one for one in order if one != best.number)]


def standing_of(ranked: Sequence[FrozenTrial], attributes: Mapping[str, Any]) -> list[int]:
    """As `standing`, of trials in the order of the search and the attributes of their study."""
    race = last_race(attributes)
    raced = race.order if race is not None else []
    return [*raced, *(trial.number for trial in ranked if trial.number not in raced)]


def search_stages(record: StudyRecord) -> list[int]:
    """Trained trials after which the search pauses for a race that is not over yet; without races its end alone."""
    search = record.file.search
    if search.race is None:
        return [search.trials]
    ended = {race.point for race in record.races if race.ended}
    every = race_points(search)
    later = [*every[1:], math.inf]
    return [here for here, then in zip(every, later, strict=True) if then > record.trained and here not in ended]


def race_due(record: StudyRecord) -> bool:
    """Whether a race remains to be run when the search is over."""
    return record.file.search.race is not None and bool(search_stages(record)) and record.best() is not None


def check_races(record: StudyRecord) -> None:
    """Refuses to resume races under other rules than they started with.

    Raises:
        UserError: `search.race` differs in what the races so far rest on.
    """
    asked = record.file.search.race
    for race in record.races if asked is not None else ():
        for key, old in (("seeds", race.plan.seeds), ("block", race.plan.block), ("alpha", race.alpha)):
            new = getattr(asked, key)
            if old != new:
                raise UserError(
                    f"search.race.{key} is {new}, and this sweep has raced with {old}\n"
                    f"    fix:     --set search.race.{key}={old}, or remove search.race to race no more"
                )


def race_in_words(race: RaceRecord) -> str:
    """How a race stands or ended, as a sentence without a full stop."""
    if race.ended == "alone":
        return f"there was no race: trial {race.settings[0]} is the only setting"
    if not race.rounds:
        return "the race has begun"
    last, leader = race.rounds[-1], race.left[0]
    over = f"over {last.seeds} further seeds (mean {last.means[leader]:.4f})"
    others = [number for number in race.left if number != leader]
    if race.ended == "separated":
        worse = f"the other {len(race.settings) - 1} settings are significantly worse"
        return f"trial {leader} won the race {over}; {worse}"
    if race.ended:
        alike = ", ".join(map(str, others))
        return f"trial {leader} won the race {over}, by its mean alone: trials {alike} are not significantly worse"
    return f"trial {leader} leads the race so far, {over}; rerun the same command to resume"
