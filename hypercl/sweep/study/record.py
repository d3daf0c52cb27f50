"""What a study holds at one moment: the one view of it for everything that reads, live or from a sweep's folder."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from optuna.storages import BaseStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial

from hypercl.analysis import RaceRecord, t_interval
from hypercl.config import SweepFile, UserError, load
from hypercl.sweep.study.belief import Belief, beliefs_of
from hypercl.sweep.study.database import database, database_fault, member_of
from hypercl.sweep.study.journal import JOURNAL, records_of, replayed
from hypercl.sweep.study.outcome import TRAINED, Outcome, outcome_of
from hypercl.sweep.study.preference import PREFER
from hypercl.sweep.study.progress_study import names_of, with_progress
from hypercl.sweep.study.protocols import search_config
from hypercl.sweep.study.ranking import best_trial, deciding_race, further_values, races_of, ranked_trials
from hypercl.sweep.study.resume_check import SWEEP_YAML
from hypercl.sweep.study.run_folders import bring_run

THREADS = "threads"
"""The study's user attribute that holds the CPU threads of a trial."""


@dataclass(frozen=True)
class Promise:
    """What a setting is expected to reach."""

    values: tuple[float, ...]
    """One a goal."""
    interval: tuple[float, float] | None
    """95 %, of one goal; None where nothing is known of the noise."""


@dataclass(frozen=True)
class StudyRecord:
    """What a sweep's study holds at one moment. `SweepStudy.record()` takes it from a live study, `read_sweep` from a
    folder."""

    folder: Path
    """The sweep's results."""
    asked: SweepFile
    """The file as it was written."""
    trials: tuple[FrozenTrial, ...]
    """In the order of their numbers."""
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The study's user attributes: threads and GPUs of a trial, and what races, the final step and a person decided.
    """

    @cached_property
    def file(self) -> SweepFile:
        """The file as its trials train it (`hypercl.sweep.study.protocols.search_config`)."""
        return search_config(self.asked)

    @property
    def name(self) -> str:
        """The folder's name, which a person may have changed."""
        return self.folder.name

    @cached_property
    def beliefs(self) -> dict[int, Belief]:
        """Trial number -> its setting's expected value (`hypercl.sweep.study.belief.beliefs_of`)."""
        return beliefs_of(self.file, self.trials, further_values(self.races))

    def promised(self, trial: FrozenTrial) -> Promise | None:
        """What a complete trial's setting is expected to reach, as the final step holds against it: its expected value,
        or what was measured where that is exact. After a race, and where trials were shortened (`search.fidelity`), it
        is the mean over further seeds; None of a setting that has none."""
        race, number = self.deciding_race, trial.number
        alone = race is not None and (race.kind == "race" or bool(self.file.fidelity))
        if race is not None and alone and len(values := race.values.get(number, ())) == race.rounds[-1].seeds > 1:
            return Promise((fmean(values),), t_interval(values))
        if race is not None and self.file.at_fidelity:
            return None
        if number in self.beliefs:
            return Promise((self.beliefs[number].mean,), self.beliefs[number].interval)
        return Promise(tuple(trial.values), None)

    def ranked(self) -> list[FrozenTrial]:
        """Complete trials, best first (`hypercl.sweep.study.ranking.ranked_trials`): what a race or the confirming
        stage decided comes before what is expected."""
        ranked, race = ranked_trials(self.file, self.trials, further_values(self.races)), self.deciding_race
        return sorted(ranked, key=lambda trial: race is not None and trial.number != race.order[0])

    def best(self) -> FrozenTrial | None:
        """The best feasible trial (`hypercl.sweep.study.ranking.best_trial`)."""
        return best_trial(self.file, self.trials, self.attributes)

    def counts(self) -> Counter[str]:
        """Trials by how they ended ('complete', 'pruned', ...), and 'running', 'waiting', 'trained'."""
        counts: Counter[str] = Counter(state_of(trial) for trial in self.trials)
        counts["trained"] = self.trained
        return counts

    @property
    def trained(self) -> int:
        """Number of trials that count towards `search.trials`."""
        return sum(state_of(trial) in TRAINED for trial in self.trials)

    @property
    def threads(self) -> int:
        """CPU threads of every trial."""
        return int(self.attributes.get(THREADS, 1))

    @property
    def prefer(self) -> str | None:
        """Which compromise is the best, as a person last said with --prefer."""
        return self.attributes.get(PREFER)

    @property
    def races(self) -> list[RaceRecord]:
        """The races and confirming stages so far, in order."""
        return races_of(self.attributes)

    @property
    def deciding_race(self) -> RaceRecord | None:
        """What decides which trial is the best (`hypercl.sweep.study.ranking.deciding_race`)."""
        return deciding_race(self.file, self.attributes)

    def trial(self, number: int) -> FrozenTrial:
        """A trial by its number.

        Raises:
            UserError: unknown number.
        """
        if not 0 <= number < len(self.trials):
            there = f"it has trials 0 to {len(self.trials) - 1}" if self.trials else "it has none yet"
            raise UserError(f"{self.folder} has no trial {number}: {there}")
        return self.trials[number]

    def trial_folder(self, number: int) -> Path:
        """The folder with a trial's files; those that are at a URI (`study.run_folders`) are brought there first.

        Raises:
            UserError: they cannot be.
        """
        over = decided(self.trials[number]) is not None
        return bring_run(self.folder, self.attributes, self.folder / "trials" / str(number), over)


def read_sweep(folder: Path) -> StudyRecord:
    """Reads a sweep's folder without its lock and changes nothing; an incomplete last line, which a driver may be
    writing, is not read.

    Raises:
        UserError: the folder holds no sweep, or its journal is damaged.
    """
    if not (folder / SWEEP_YAML).is_file():
        raise UserError(_no_sweep(folder))
    file = load(folder / SWEEP_YAML)
    trials, attributes = _study(folder / JOURNAL) if file.study.storage is None else _stored(folder, file)
    return StudyRecord(folder, file, tuple(trials), attributes)


def decided(trial: FrozenTrial) -> Outcome | None:
    """How a trial ended, whether Optuna was told yet or not; None while it has not ended."""
    try:
        return outcome_of(trial)
    except KeyError:
        return None


def state_of(trial: FrozenTrial) -> str:
    """How a trial ended ('complete', 'pruned', ...), or 'running' or 'waiting'."""
    outcome = decided(trial)
    return outcome.kind if outcome is not None else trial.state.name.lower()


def progress_of(file: SweepFile, trial: FrozenTrial) -> list[tuple[int, float]]:
    """Steps and mean validation accuracies over the whole stream (0 to 1) that a trial reported."""
    rising = file.objective.direction == "maximize" or len(file.objective.goals) > 1
    values = sorted(trial.intermediate_values.items())
    return [(step, value if rising else 1.0 - value) for step, value in values]


class _Records(BaseJournalBackend):
    """The records of a journal as they were at one moment."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        self._records = records

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._records[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise RuntimeError("a sweep that is only read cannot be written")


def _study(path: Path) -> tuple[list[FrozenTrial], Mapping[str, Any]]:
    """Trials and user attributes of the study in a journal."""
    if not path.is_file():
        return [], {}
    return _studies(replayed(path, _Records(records_of(path))))


def _stored(folder: Path, file: SweepFile) -> tuple[list[FrozenTrial], Mapping[str, Any]]:
    """Trials and user attributes of the study in a database."""
    member = member_of(folder)
    if member is None or file.study.storage is None:
        return [], {}
    try:
        return _studies(database(file.study.storage), member.study)
    except Exception as error:
        fault = database_fault(error)
        if fault is None:
            raise
        raise UserError(fault) from None


def trials_in(path: Path, content: bytes) -> list[FrozenTrial]:
    """The trials in the content of a journal, or in what is left of one.

    Raises:
        UserError: its records contradict each other.
    """
    return _studies(replayed(path, _Records([json.loads(line) for line in content.splitlines()])))[0]


def _studies(storage: BaseStorage, name: str | None = None) -> tuple[list[FrozenTrial], Mapping[str, Any]]:
    """Of the study of this name, which is the first where none is given."""
    studies = [study.study_name for study in storage.get_all_studies()]
    names = names_of(studies if name is None else [each for each in studies if each == name])
    if names is None:
        return [], {}
    ids = [storage.get_study_id_from_name(name) for name in names if name in studies]
    own, *mirrored = [storage.get_all_trials(study, deepcopy=False) for study in ids]
    trials = with_progress(own, mirrored[0]) if mirrored else own
    return trials, storage.get_study_user_attrs(ids[0])


def _no_sweep(folder: Path) -> str:
    text = f"{folder} holds no sweep (it has no {SWEEP_YAML})"
    if not folder.is_dir():
        return f"there is no folder {folder}"
    if (folder / "config.yaml").is_file():
        return f"{text}: it is the folder of a single run"
    inside = sorted(path.parent.name for path in folder.glob(f"*/{SWEEP_YAML}"))
    return text + (f"\n    fix:     name one of those inside it: {', '.join(inside)}" if inside else "")
