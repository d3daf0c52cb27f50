"""After the search: its best settings get further seeds, in a confirming stage until it is clear whether one of them is
better than the setting as written, in a race until a paired test separates them or the seeds are spent.

It lies outside the study's steps, which are tasks: its runs are no trials, and no value of it enters one. What was
decided stands in the study's user attribute `race` before it is acted on; the runs in `confirm/<label>/<seeds>/` or
`race/<label>/<seeds>/` are done once their summary.json is there. So rerunning the command resumes an interrupted one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypercl.analysis import RaceRecord, Round, confirming_round, race_markdown, race_table
from hypercl.config import SweepFile
from hypercl.config.models import Confirm, Goal
from hypercl.files import write_text
from hypercl.sweep.planner import planner_of
from hypercl.sweep.race.results import race_in_words, standing_of
from hypercl.sweep.race.schedule import confirm_plan, race_plan, race_points, stage_kind, stage_of
from hypercl.sweep.study import (
    RACE,
    StudyRecord,
    SweepStudy,
    beliefs_of,
    feasible_of,
    further_values,
    has_orders,
    is_written,
    leaks,
    outcome_of,
    race_config,
)
from hypercl.sweep.workers import PlannedRun, RanRun, RunSession, train_all
from hypercl.training import WORST, SeedResult, seeds_name


@dataclass(frozen=True)
class Racing:
    """The races of a sweep, or its confirming stage, in one session."""

    study: SweepStudy
    session: RunSession
    """What trains runs."""

    @property
    def file(self) -> SweepFile:
        """The file as the trials train it."""
        return self.study.file

    def go(self, point: int) -> None:
        """Starts or resumes what is due after this number of trained trials, until it or the session ends."""
        races = self.study.record().races
        kind = stage_kind(self.file)
        open_race = next((race for race in races if (race.point, race.kind) == (point, kind)), None)
        race = open_race or self._begun(point, races)
        if race is None or race.ended:
            return
        while not race.ended:
            further = self._trained(race)
            if further is None:
                return
            before, race = len(race.rounds), further
            self._write(race)
            for one in race.rounds[before:]:
                self._say(round_in_words(one))
        self._say(race_in_words(race))

    def _begun(self, point: int, races: Sequence[RaceRecord]) -> RaceRecord | None:
        """A new race or confirming stage, written down; None where there is nothing to compare."""
        asked = stage_of(self.file)
        assert asked is not None
        if isinstance(asked, Confirm):
            return self._confirm_begun(asked, point, races)
        settings = contenders(self.study.record(), [race for race in races if race.kind == "race"], asked.settings)
        if not settings:
            self._say("no trial is complete and within the bounds: there is nothing to race")
            return None
        if len(settings) < asked.settings:
            self._say(f"{len(settings)} settings are complete, within the bounds and not dropped, of {asked.settings}")
        count = len({*race_points(self.file), *(race.point for race in races), point})
        known = {number: values for race in races for number, values in race.values.items() if number in settings}
        maximize = self.file.objective.direction == "maximize"
        plan = race_plan(asked, len(settings), count)
        race = RaceRecord(point, tuple(settings), plan, asked.alpha, maximize, known)
        self._write(race)
        if not race.ended:
            names = ", ".join(map(str, settings))
            self._say(f"trials {names} get {plan.block} further seeds a round, at most {plan.seeds} each")
        return race

    def _confirm_begun(self, asked: Confirm, point: int, races: Sequence[RaceRecord]) -> RaceRecord:
        record = self.study.record()
        written = next((trial.number for trial in feasible_of(record.trials) if is_written(trial)), None)
        found = challengers(record, asked.settings)
        settings = (*found, *(() if written is None else (written,)))
        plan = confirm_plan(asked, self.file, max(1, len(found)), written is not None)
        start = sum(race.plan.seeds for race in races)
        race = RaceRecord(
            point,
            settings,
            plan,
            asked.alpha,
            self.file.objective.direction == "maximize",
            written=written,
            start=start,
        )
        self._write(race)
        if not race.ended:
            names = f"trial{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"
            other = "" if written is None else f" and the setting as written (trial {written})"
            self._say(f"{names}{other} get the same further seeds, {plan.seeds} at most")
        return race

    def _trained(self, race: RaceRecord) -> RaceRecord | None:
        """The race with the values of one more round; None where the session was stopped before it was whole."""
        target = next_count(race)
        missing = {number: len(race.values.get(number, ())) for number in race.settings if number in race.left}
        runs = [
            run
            for number, done in missing.items()
            if done < target
            for run in self._runs(race, number, race.start + done, race.start + target)
        ]
        values, lost = dict(race.values), list(race.lost)
        ran = train_all(runs, self.session)
        if not all(one.ended for one in ran):
            return None
        for number in missing:
            own = [one for one in ran if one.run.label == label_of(number)]
            told = values_in(own, self.file.objective.goals[0])
            values[number] = (*values.get(number, ()), *(value for _, value, _ in told))
            lost += [f"trial {number}, seed {seed}: {why}" for seed, _, why in told if why]
        further = replace(race, values=values, lost=tuple(lost))
        return self._decided(further, target) if race.kind == "confirm" else further

    def _decided(self, race: RaceRecord, count: int) -> RaceRecord:
        """A confirming stage with what its values decide."""
        entrants = {number: race.values[number] for number in race.settings if number in race.left}
        expected = None
        if not self.file.fidelity:
            before = [one for one in self.study.record().races if one.point != race.point]
            known = beliefs_of(self.file, self.study.trials(), further_values([*before, race]))
            expected = {number: (known[number].mean, known[number].sd) for number in entrants}
        decided = confirming_round(entrants, count, race.plan, race.written, race.maximize, expected)
        return replace(race, decided=(*race.decided, decided))

    def _runs(self, race: RaceRecord, number: int, start: int, end: int) -> list[PlannedRun]:
        """The runs of a setting from one seed to another: one bundle, or one run a seed where each has an order."""
        asked = self.study.asked
        settings = planner_of(asked).settings(self.study.trial(number))
        alone = has_orders(self.file.experiment)
        parts = [(place, 1) for place in range(start, end)] if alone else [(start, end - start)]
        found: list[PlannedRun] = []
        for first, count in parts:
            experiment = race_config(asked, settings, first, count)
            place = self.study.folder / race.kind / label_of(number) / seeds_name(experiment)
            found.append(PlannedRun(label_of(number), experiment, place, "leak" if leaks(self.file) else "tune"))
        return found

    def _write(self, race: RaceRecord) -> None:
        """Into the study first, then as files for people."""
        races = [one for one in self.study.record().races if (one.point, one.kind) != (race.point, race.kind)]
        races = sorted([*races, race], key=lambda one: one.point)
        plain: dict[str, Any] = {"races": [one.plain() for one in races]}
        plain["standing"] = standing_of(self.study.record().ranked(), {RACE: plain})
        self.study.optuna.set_user_attr(RACE, plain)
        write_account(self.study.record())

    def _say(self, text: str) -> None:
        self.session.listener.said(f"{self.session.what}: {text}")


def challengers(record: StudyRecord, count: int) -> list[int]:
    """The settings that a confirming stage compares with the one as written: the best of the search by their expected
    values, feasible ones only, and of equal settings the first."""
    written = {trial.number for trial in record.trials if is_written(trial)}
    order = [*written, *(trial.number for trial in record.ranked() if outcome_of(trial).feasible)]
    return [number for number in _distinct(record, order) if number not in written][:count]


def contenders(record: StudyRecord, races: Sequence[RaceRecord], count: int) -> list[int]:
    """Whose settings race: the leader of the race before, then the best of the search, feasible ones only; none that
    was dropped before, and of equal settings the first.

    Args:
        record: of the sweep's study.
        races: those before.
        count: how many, at most.
    """
    out = {number for race in races for one in race.rounds for number in one.dropped}
    first = [number for race in races[-1:] for number in race.left[:1]]
    feasible = [trial.number for trial in record.ranked() if outcome_of(trial).feasible and trial.number not in out]
    return _distinct(record, [*first, *feasible])[:count]


def _distinct(record: StudyRecord, numbers: Sequence[int]) -> list[int]:
    """Of trials with equal settings the first."""
    planner = planner_of(record.file)
    settings: dict[str, int] = {}
    for number in dict.fromkeys(numbers):
        settings.setdefault(json.dumps(planner.settings(record.trial(number)), sort_keys=True), number)
    return list(settings.values())


def next_count(race: RaceRecord) -> int:
    """Seeds that each setting has after the next round."""
    done = race.rounds[-1].seeds if race.rounds else 0
    return next(count for count in race.plan.rounds if count > done)


def values_in(ran: Sequence[RanRun], goal: Goal) -> list[tuple[int, float, str]]:
    """Seed, value and why it is lost ('' where it is not) of every seed of some runs, in the order of seeds.

    A seed that is lost counts as the worst value (of a metric of the user's own the worst that is there): it is never
    averaged away.
    """
    metric, found = goal.metric, list[tuple[int, float | None, str]]()
    for one in ran:
        results = one.summary.seeds if one.summary is not None else [SeedResult(seed, {}) for seed in one.run.seeds]
        for seed, result in zip(one.run.seeds, results, strict=True):
            value = result.value(metric)
            why = one.why or result.diverged or ("" if value is not None else f"its summary holds no {metric}")
            found.append((seed, None if why else value, why))
    there = [goal.sign * value for _, value, _ in found if value is not None]
    worst = WORST.get(metric.split("/")[-1], goal.sign * max(there, default=0.0))
    return sorted((seed, worst if value is None else value, why) for seed, value, why in found)


def label_of(number: int) -> str:
    """The folder of a setting in those of races and of the final step."""
    return f"trial-{number}"


def round_in_words(one: Round) -> str:
    """A round as a line."""
    expected = " expected" if one.expected else ""
    seeds = "1 seed" if one.seeds == 1 else f"{one.seeds} seeds"
    text = f"after {seeds} each trial {one.leader} leads with {one.worth(one.leader):.4f}{expected}"
    for number in one.means:
        if number != one.leader:
            p = f", p {one.p[number]:.2g}" if number in one.p else ""
            text += f"; trial {number} {one.worth(number):.4f}{p}{' dropped' if number in one.dropped else ''}"
    return text


def write_account(record: StudyRecord) -> None:
    """Writes confirm/confirm.csv and confirm.md, or race/race.csv and race.md: what was decided, round by round."""
    file, planner = record.file, planner_of(record.file)
    for kind in dict.fromkeys(race.kind for race in record.races):
        races, folder = [race for race in record.races if race.kind == kind], record.folder / kind
        settings = {number: planner.settings(record.trial(number)) for race in races for number in race.settings}
        searched = {number: float(record.trial(number).value or 0.0) for number in settings}
        write_text(folder / f"{kind}.csv", race_table(races).to_csv(index=False))
        text = race_markdown(races, file.objective.metric, settings, searched, leaks(file), file.at_fidelity)
        write_text(folder / f"{kind}.md", text)
