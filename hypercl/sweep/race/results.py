"""Results of a sweep's races, as stored in the study: which trial leads in best.yaml and the final step."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from hypercl.analysis import NORMAL, RaceRecord, t_interval, to_tell
from hypercl.config import UserError
from hypercl.sweep.race.schedule import race_points, stage_kind, stage_of
from hypercl.sweep.study import FINAL, KNEE, StudyRecord, last_race


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
    """Trained trials after which the search pauses for a race or confirming stage that is not over yet; its end alone
    where there is neither."""
    stage = stage_of(record.file)
    if stage is None:
        return [record.file.search.trials]
    ended = {race.point for race in record.races if race.ended and race.kind == stage_kind(record.file)}
    every = race_points(record.file)
    later = [*every[1:], math.inf]
    return [here for here, then in zip(every, later, strict=True) if then > record.trained and here not in ended]


def race_due(record: StudyRecord) -> bool:
    """Whether a race or the confirming stage remains to be run when the search is over."""
    if not race_points(record.file) or not search_stages(record) or record.best() is None:
        return False
    return record.file.search.race is not None or confirmable(record)


def confirmable(record: StudyRecord) -> bool:
    """Whether the confirming stage may still decide: not over trials whose test data was opened, nor against a person's
    wish."""
    opened = max((opening.get("trained", record.trained) for opening in record.attributes.get(FINAL, ())), default=-1)
    return record.trained > opened and record.prefer in (None, KNEE)


def check_races(record: StudyRecord) -> None:
    """Refuses to resume races under other rules than they started with.

    Raises:
        UserError: `search.race` differs in what the races so far rest on.
    """
    asked = record.file.search.race
    for race in [race for race in record.races if race.kind == "race"] if asked is not None else ():
        for key, old in (("seeds", race.plan.seeds), ("block", race.plan.block), ("alpha", race.alpha)):
            new = getattr(asked, key)
            if old != new:
                raise UserError(
                    f"search.race.{key} is {new}, and this sweep has raced with {old}\n"
                    f"    fix:     --set search.race.{key}={old}, or remove search.race to race no more"
                )


def race_in_words(race: RaceRecord) -> str:
    """How a race or confirming stage stands or ended, as a sentence without a full stop."""
    if race.kind == "confirm":
        return _confirm_in_words(race)
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


def _confirm_in_words(race: RaceRecord) -> str:
    if race.ended == "alone":
        return "there was nothing to confirm: no setting but the one as written is complete"
    best = race.challenger
    if best is None:
        return f"the confirming stage is at {len(race.rounds)} of {len(race.plan.rounds)} rounds"
    last = race.rounds[-1]
    if race.written is None:
        return (
            f"trial {best} has the best mean, {last.means[best]:.4f} over {last.seeds} further seeds; the setting as "
            "written has no value to compare with"
        )
    ends = gain_interval(race)
    by = f"{100 * abs(race.gain):.1f} points {'better' if race.gain >= 0 else 'worse'} than the setting as written"
    found = f"95 % interval {100 * ends[0]:.1f} to {100 * ends[1]:.1f}, p {_p_in_words(last.p[best])}"
    if last.leader == best:
        return f"trial {best} is confirmed: {by} ({found}) after {last.seeds} further seeds of both"
    pairs = to_tell(race.differences, race.plan.level, race.gain)
    need = ""
    if pairs is not None and pairs > last.seeds:
        need = f"; to tell so little takes about {float(f'{pairs:.2g}'):,.0f} seeds of both"
    return (
        f"nothing better was found: best.yaml is the setting as written. The best challenger, trial {best}, is {by} "
        f"({found}; at most {race.plan.level:g} is needed) after {last.seeds} further seeds of both{need}"
    )


def gain_interval(race: RaceRecord) -> tuple[float, float]:
    """95 % interval of how much better the last challenger is than the setting as written, at the stage's end."""
    last = race.rounds[-1]
    spread = math.sqrt(sum(sd**2 for _, sd in last.expected.values())) if last.expected else 0.0
    return (race.gain - NORMAL * spread, race.gain + NORMAL * spread) if spread else t_interval(race.differences)


def _p_in_words(p: float) -> str:
    return f"= {p:.2g}" if p >= 0.001 else "< 0.001"
