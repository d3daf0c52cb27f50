"""The one place that orders trials: feasible ones first, then by the goal, or by how they compromise between goals."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from optuna.trial import FrozenTrial

from hypercl.analysis import RaceRecord, race_record_of
from hypercl.config import SweepFile, UserError
from hypercl.sweep.study.belief import beliefs_of
from hypercl.sweep.study.outcome import is_complete, outcome_of
from hypercl.sweep.study.preference import KNEE, PREFER, Weights, parse_preference

FINAL = "final"
"""The user attribute of the study that holds every opening of test data (`hypercl.sweep.final.selection`)."""
RACE = "race"
"""The user attribute of the study: `races`, each with its settings, level, values, rounds and end, and the `standing`
after the last of them. No value of a race enters a trial."""


def best_trial(file: SweepFile, trials: Sequence[FrozenTrial], attributes: Mapping[str, Any]) -> FrozenTrial | None:
    """The best trial of a study, the one of best.yaml, status, report and final step: what the confirming stage or the
    race decided, without one what a person prefers, of several goals the knee of the front.

    Args:
        file: whose objective counts.
        trials: all of the study, in the order of numbers.
        attributes: the study's user attributes.

    Returns:
        None where nothing is complete and feasible, or passes what is preferred.
    """
    race = deciding_race(file, attributes)
    return preferred_trial(file, trials, attributes.get(PREFER)) if race is None else trials[race.order[0]]


def deciding_race(file: SweepFile, attributes: Mapping[str, Any]) -> RaceRecord | None:
    """The last race or confirming stage that decides which trial is the best, unless the file has no `search.race` and
    a person said with --prefer what counts instead."""
    if file.search.race is None and attributes.get(PREFER) not in (None, KNEE):
        return None
    return last_race(attributes)


def last_race(attributes: Mapping[str, Any]) -> RaceRecord | None:
    """The last race that had a round, or confirming stage that ended."""
    return next((race for race in reversed(races_of(attributes)) if race.decides), None)


def further_values(races: Sequence[RaceRecord]) -> dict[int, list[float]]:
    """Trial number -> the values of its setting in confirming stages."""
    values: dict[int, list[float]] = {}
    for race in races:
        for number, own in race.values.items() if race.kind == "confirm" else ():
            values.setdefault(number, []).extend(own)
    return values


def races_of(attributes: Mapping[str, Any]) -> list[RaceRecord]:
    """The races in the user attributes of a study, in order."""
    return [race_record_of(stored) for stored in attributes.get(RACE, {}).get("races", ())]


def ranked_trials(
    file: SweepFile, trials: Sequence[FrozenTrial], further: Mapping[int, Sequence[float]] | None = None
) -> list[FrozenTrial]:
    """The complete ones of some trials, best first; where nothing else tells them apart, in the order of numbers.

    Those that keep every bound on what training measures come first, the others after them, the nearest to their bounds
    first (Deb 2000). With one goal its expected value orders the rest (`hypercl.sweep.study.belief`): the largest of
    many noisy values is mostly luck. With several goals the front comes first (what no other
    trial beats in one goal without losing in another), then the front of what is left, and so on; within a front the
    knee, then by crowding distance, the loneliest first (NSGA-II, Deb et al. 2002).

    Args:
        file: whose objective counts.
        trials: in any order, complete or not.
        further: trial number -> values of its setting on further seeds.
    """
    complete = sorted((trial for trial in trials if is_complete(trial)), key=lambda trial: trial.number)
    if not complete:
        return []
    costs, broken = _costs(file, complete), np.array([_broken(trial) for trial in complete])
    if len(file.objective.goals) == 1:
        beliefs, sign = beliefs_of(file, complete, further), file.objective.goals[0].sign
        known = [sign * beliefs[trial.number].mean if beliefs else 0.0 for trial in complete]
        return [complete[place] for place in np.lexsort((costs[:, 0], np.round(known, 9), broken))]
    levels = [np.flatnonzero(broken == level) for level in np.unique(broken)]
    fronts = [level[members] for level in levels for members in _fronts(costs[level])]
    return [complete[members[place]] for members in fronts for place in _knee_first(costs[members])]


def pareto_front(file: SweepFile, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The feasible complete trials that no other one beats in one goal without losing in another, best in the first
    goal first. With one goal the best, and those as good."""
    feasible = feasible_of(trials)
    if not feasible:
        return []
    costs = _costs(file, feasible)
    members = _fronts(costs)[0]
    return [feasible[place] for place in members[np.lexsort(costs[members].T[::-1])]]


def knee_trial(file: SweepFile, trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The feasible complete trial that stands for all: the best; of several goals the knee of the front.

    Each goal is scaled over the front to 0 (the best there) to 1 (the worst there). The knee is the setting farthest
    from the line through the two ends of the front, towards the best of both (Das 1999; Branke et al. 2004). That is
    the one with the least sum of scaled goals, and so it is defined for more than two goals: farthest from the plane of
    equal sums. A tie goes to the better in the first goal. None where nothing is feasible and complete.
    """
    if len(file.objective.goals) == 1:
        return next(iter(ranked_trials(file, feasible_of(trials))), None)
    found = pareto_front(file, trials)
    return found[_knee(_costs(file, found))] if found else None


def check_passed(file: SweepFile, trials: Sequence[FrozenTrial], prefer: str) -> None:
    """Refuses a preference that no trial meets before it takes the place of another, once the search is over.

    Raises:
        UserError: no complete trial passes.
    """
    if feasible_of(trials) and preferred_trial(file, trials, prefer) is None:
        raise UserError(
            f"--prefer: no complete trial passes '{prefer}', and the search is over; best.yaml stays as it is\n"
            f"    fix:     a test that one passes, or '{KNEE}', the default"
        )


def preferred_trial(file: SweepFile, trials: Sequence[FrozenTrial], prefer: str | None) -> FrozenTrial | None:
    """The feasible complete trial that a person prefers: the knee where nothing is said.

    Args:
        file: whose objective counts.
        trials: in any order, complete or not.
        prefer: `knee`, or as for `hypercl.sweep.study.preference.parse_preference`. By weights it is the trial with the
            best weighted sum of the goals' values as they were measured; by a test the best in the first goal of
            those that pass.

    Raises:
        UserError: `prefer` is neither.

    Returns:
        None where nothing is complete and feasible, or passes.
    """
    if prefer in (None, KNEE):
        return knee_trial(file, trials)
    wish = parse_preference(file.objective, prefer)
    order = {trial.number: place for place, trial in enumerate(ranked_trials(file, trials))}
    feasible = sorted(feasible_of(trials), key=lambda trial: order[trial.number])
    if len(file.objective.goals) == 1:
        passing = (
            feasible if isinstance(wish, Weights) else [one for one in feasible if wish.passes(measured(file, one))]
        )
        return next(iter(passing), None)
    if isinstance(wish, Weights):
        weights = np.array([wish.weights.get(goal.metric, 0.0) for goal in file.objective.goals])
        costs = _costs(file, feasible) @ weights if feasible else np.empty(0)
    else:
        feasible = [trial for trial in feasible if wish.passes(measured(file, trial))]
        costs = _costs(file, feasible)[:, 0] if feasible else np.empty(0)
    return feasible[int(np.argmin(costs))] if feasible else None


def leaders(
    file: SweepFile, ranked: Sequence[FrozenTrial], settings: int | Literal["all"], prefer: str | None = None
) -> list[FrozenTrial]:
    """The trials whose settings the final step trains on fresh seeds, best first.

    With one goal the best feasible trials. With several the preferred one, then trials spread over the front: the most
    crowded one is dropped until the number is met (Kukkonen and Deb 2006); or the whole front.

    Args:
        file: as the trials were trained.
        ranked: complete trials, best first.
        settings: how many, or the whole front.
        prefer: as for `preferred_trial`.
    """
    order = [trial for trial in ranked if outcome_of(trial).feasible]
    first = preferred_trial(file, order, prefer)
    if first is None:
        return []
    several = len(file.objective.goals) > 1
    rest = [trial for trial in (pareto_front(file, order) if several else order) if trial.number != first.number]
    if settings == "all":
        return [first, *rest]
    while several and len(rest) >= settings and rest:
        rest.pop(int(np.argmin(_crowding(_costs(file, [first, *rest]))[1:])))
    return [first, *rest][:settings]


def feasible_of(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The complete ones of some trials that keep every bound, in the order of numbers."""
    found = [trial for trial in trials if is_complete(trial) and outcome_of(trial).feasible]
    return sorted(found, key=lambda trial: trial.number)


def goal_values(file: SweepFile, trial: FrozenTrial) -> dict[str, float]:
    """Metric -> value, of each goal, of a complete trial."""
    return dict(zip((goal.metric for goal in file.objective.goals), trial.values, strict=True))


def measured(file: SweepFile, trial: FrozenTrial) -> dict[str, float]:
    """Metric -> value, of whatever a complete trial was measured by."""
    return {**outcome_of(trial).metrics, **goal_values(file, trial)}


def _costs(file: SweepFile, trials: Sequence[FrozenTrial]) -> np.ndarray:
    """The goals' values, `(trials, goals)`, the smaller the better."""
    return np.array([trial.values for trial in trials]) * [goal.sign for goal in file.objective.goals]


def _broken(trial: FrozenTrial) -> float:
    return sum(max(0.0, value) for value in outcome_of(trial).violations.values())


def _fronts(costs: np.ndarray) -> list[np.ndarray]:
    """The places of each front's trials, the best front first."""
    one, other = costs[:, None], costs[None]
    beats = np.all(one <= other, axis=2) & np.any(one < other, axis=2)
    left = np.arange(len(costs))
    found: list[np.ndarray] = []
    while len(left):
        beaten = beats[np.ix_(left, left)].any(axis=0)
        found.append(left[~beaten])
        left = left[beaten]
    return found


def _scaled(costs: np.ndarray) -> np.ndarray:
    """Each goal from 0, the best of these, to 1, the worst of these."""
    span = np.ptp(costs, axis=0)
    return (costs - costs.min(axis=0)) / np.where(span > 0, span, 1.0)


def _knee(costs: np.ndarray) -> int:
    """The place of the least sum; of equal ones the best in the first goal that tells them apart, then the first."""
    sums = _scaled(costs).sum(axis=1).round(12)
    return int(np.lexsort((*costs.T[::-1], sums))[0])


def _knee_first(costs: np.ndarray) -> list[int]:
    """The places of a front's trials: the knee, then by crowding distance."""
    first = _knee(costs)
    rest = [int(place) for place in np.argsort(-_crowding(costs), kind="stable") if place != first]
    return [first, *rest]


def _crowding(costs: np.ndarray) -> np.ndarray:
    """How lonely each trial of a front is: the gap between its neighbours, summed over the goals; ends infinite."""
    scaled, found = _scaled(costs), np.zeros(len(costs))
    for goal in range(costs.shape[1]):
        order = np.argsort(scaled[:, goal], kind="stable")
        values = scaled[order, goal]
        found[order[[0, -1]]] = np.inf
        found[order[1:-1]] += values[2:] - values[:-2]
    return found
