"""The Optuna study of a sweep: the one truth about what was suggested, reported and decided."""

import json
import math
import uuid
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from hypercl.config import SweepFile, UserError, to_yaml
from hypercl.sweep.study.database import ASKED, BEGUN_BY, connected, database, database_fault, joined
from hypercl.sweep.study.gpu_time import GPU_TIME, GpuTime
from hypercl.sweep.study.journal import open_journal
from hypercl.sweep.study.outcome import (
    AS_WRITTEN,
    ENDINGS,
    ENQUEUED,
    FATAL,
    OUTCOME,
    REPEAT,
    TRAINED,
    Kind,
    Outcome,
    attributes,
    is_written,
    outcome_of,
)
from hypercl.sweep.study.preference import PREFER
from hypercl.sweep.study.progress_study import ProgressStudy, names_of, with_progress
from hypercl.sweep.study.protocols import search_config
from hypercl.sweep.study.pruners import final_step, pruner_of
from hypercl.sweep.study.record import THREADS, StudyRecord
from hypercl.sweep.study.samplers import sampler_of
from hypercl.sweep.study.space import distributions, params_of, suggested
from hypercl.sweep.study.warm_start import kept_earlier

if TYPE_CHECKING:
    from hypercl.sweep.study.drivers import Drivers

PLANNED = "attempt"
"""The user attribute of a trial whose values its planner set itself; none is suggested."""
_UID, _BUNDLE = "uid", "bundle"


@dataclass(frozen=True)
class Suggestion:
    """A trial of the study that is to be trained."""

    number: int
    params: Mapping[str, Any]


class SweepStudy:
    """The study in a sweep's journal or database. Everything is written before anything acts on it.

    Intermediate values are the mean validation accuracy over the whole stream where the objective is maximised, and
    one minus it where it is minimised, so that 'better' means the same to pruner and sampler. With several goals they
    are that mean, and stand in a second study (`hypercl.sweep.study.progress_study`).

    Args:
        journal: `study.journal`, mended; with `study.storage`, only its folder matters (`check_study` comes first).
        name: the study's name, where it is created; with `study.storage` it is the folder's.
        file: the sweep, as written.
        threads: CPU threads of a trial, where the study is created; afterwards the stored number holds.
        import_paths: folders in which a sampler or pruner by import path is looked for.

    Raises:
        UserError: one of these cannot be made.
    """

    def __init__(
        self, journal: Path, name: str, file: SweepFile, threads: int, import_paths: Sequence[Path] = ()
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self.asked = journal.parent, file
        self.file = file = search_config(file)
        self._distributions = distributions(file.space)
        url, own = file.study.storage, ""
        storage = open_journal(journal) if url is None else database(url)
        names = names_of(optuna.get_all_study_names(storage))
        if url is not None:
            member, every = joined(self.folder), optuna.get_all_study_names(storage)
            own, name = member.driver, member.study
            names = (name, name) if name in every else None
        there = 0
        self.joined = False
        """Whether another driver began this study; that one also races, confirms and reports."""
        if names is not None:
            name = names[0]
            before = optuna.load_study(study_name=name, storage=storage)
            there = len(before.get_trials(deepcopy=False))
            self.joined = before.user_attrs.get(BEGUN_BY, own) != own
        self.gpus = 0.0
        """The share of GPUs of a trial that this driver trains, at the start."""
        self.shares: dict[int, float] = {}
        """That of each trial, by number, once it is trained."""
        drawn = there + (int(own, 16) if self.joined else 0)
        try:
            self.optuna = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=[goal.direction for goal in file.objective.goals],
                sampler=sampler_of(file, drawn, import_paths, kept_earlier(self.folder)),
                pruner=pruner_of(file, import_paths),
                load_if_exists=url is None or names is not None,
            )
        except DuplicatedStudyError:
            raise UserError(f"another driver has just begun the study '{name}'\n    fix:     --join") from None
        several = len(file.objective.goals) > 1
        self._progress = ProgressStudy(storage, name, self.optuna.pruner) if several else None
        if THREADS not in self.optuna.user_attrs:
            self.optuna.set_user_attr(_UID, uuid.uuid4().hex[:8])
            self.optuna.set_user_attr(THREADS, threads)
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                self.optuna.set_metric_names([goal.metric for goal in file.objective.goals])
        self._storage, self._study_id = storage, storage.get_study_id_from_name(name)
        self._drivers = None if url is None else self._one_of_several(url, own)
        if not self.joined:
            self._enqueue(not there)
        self._ids: dict[int, int] = {}
        self._live: dict[int, Trial] = {}
        self._counted: set[int] = set()
        self._ended: Counter[Kind] = Counter()
        self._count()
        self._settle_decided()

    @property
    def threads(self) -> int:
        """CPU threads of every trial of this study: part of the results."""
        return int(self.optuna.user_attrs[THREADS])

    def record(self) -> StudyRecord:
        """What the study holds now, for everything that reads."""
        return StudyRecord(self.folder, self.asked, tuple(self.trials()), self.optuna.user_attrs)

    @property
    def uid(self) -> str:
        """Eight characters that no other study has."""
        return str(self.optuna.user_attrs[_UID])

    def trials(self) -> list[FrozenTrial]:
        """Every trial, in the order of numbers; not to be changed."""
        found = self.optuna.get_trials(deepcopy=False)
        return found if self._progress is None else with_progress(found, self._progress.trials())

    def trial(self, number: int) -> FrozenTrial:
        """One trial; not to be changed. Takes equally long however many there are."""
        return self._storage.get_trial(self._id(number))

    @property
    def trained(self) -> int:
        """Trials that count towards `search.trials`, without those running."""
        self._count_others()
        return sum(self._ended[kind] for kind in TRAINED)

    @property
    def ended(self) -> int:
        """Number of ended trials."""
        self._count_others()
        return self._ended.total()

    def room(self, running: int, budget: int) -> bool:
        """Whether one more trial may be begun; in a database, the right to is then this driver's.

        Args:
            running: trials of this driver that have not ended.
            budget: trials that count towards it.
        """
        if self._drivers is not None:
            return self._drivers.reserve(budget)
        return self.trained + running < budget

    def taken_over(self) -> Suggestion | None:
        """A trial of another driver that is gone, which is this driver's from now on; None where there is none."""
        if self._drivers is None or not self._drivers.look_due():
            return None
        for number in self._drivers.lost(self.trials()):
            with suppress(UpdateFinishedTrialError):
                self._trial(number).set_user_attr(OUTCOME, Outcome("failed", "its driver died as it began").plain())
                self.optuna.tell(number, None, TrialState.FAIL, skip_if_finished=True)
        number = self._drivers.take_over(self.trials())
        if number is not None and self.settle(number) is None:
            return self._taken_up(self.trial(number))
        return None

    def unmet(self, budget: int) -> bool:
        """Whether this is a study of several drivers, and they have not met the budget yet."""
        return self._drivers is not None and self.trained < budget

    def beat(self) -> None:
        """Tells other drivers of the same study that this one lives; to be called a few times a minute."""
        if self._drivers is not None:
            self._drivers.beat()

    def leave(self) -> None:
        """Tells them that this driver has ended; where the database is gone, missing signs of life do."""
        try:
            if self._drivers is not None:
                self._drivers.leave()
        except Exception as error:
            if database_fault(error) is None:
                raise

    @property
    def waiting(self) -> bool:
        """Whether a trial is enqueued."""
        return any(trial.state == TrialState.WAITING for trial in self.trials())

    def enqueue(self, params: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> None:
        """Writes a trial that `ask` hands out before the sampler's own.

        Args:
            params: its parameters; missing ones are suggested, unless `PLANNED` is among the attributes.
            attributes: user attributes.
        """
        self.optuna.enqueue_trial(dict(params), dict(attributes or {}))

    def leftovers(self) -> list[Suggestion]:
        """Trials still RUNNING from a driver that died; they go first, under their own numbers."""
        running = [trial for trial in self.trials() if trial.state == TrialState.RUNNING]
        return [self._taken_up(one) for one in running if one.number not in self._live and self._owns(one.number)]

    def ask(self) -> Suggestion:
        """The next trial, enqueued ones first."""
        trial = self.optuna.ask()
        self._live[trial.number] = trial
        if self._drivers is not None:
            self._drivers.bind(trial.number)
        params = self._suggested(trial)
        before = sum(other.params == params for other in self.trials()[: trial.number]) if params else 0
        if before:
            trial.set_user_attr(REPEAT, before)
        return Suggestion(trial.number, params)

    def bundle_of(self, number: int) -> int | None:
        """The first trial of the bundle that a trial was last trained in; None where it was trained by itself."""
        return self.trial(number).user_attrs.get(_BUNDLE)

    def set_bundle(self, number: int, first: int) -> None:
        """Writes which bundle a trial is trained in."""
        self._trial(number).set_user_attr(_BUNDLE, first)

    def constrain(self, number: int, violations: Mapping[str, float]) -> None:
        """Writes constraint values of a running trial, zero and below being within; written ones stay."""
        trial = self._trial(number)
        for name, value in violations.items():
            if name not in trial.constraints:
                trial.set_constraint(name, value)

    def report(self, number: int, step: int, value: float) -> bool:
        """Writes an intermediate value, once a step.

        Args:
            number: the trial.
            step: its place on the scale of progress.
            value: mean validation accuracy over the whole stream, tasks not met counting 0.

        Returns:
            whether the pruner would stop the trial here; never at the final step, nor the setting as written: all
            others are compared with it. Also whether another driver has taken the trial over.
        """
        if not self._owns(number):
            return True
        if not math.isfinite(value) or step in self.reported(number):
            return False
        if self._progress is not None:
            self._progress.report(number, step, value)
            pruned = step < final_step(self.file) and self._progress.should_prune(number)
            return pruned and not is_written(self.trial(number))
        trial = self._trial(number)
        trial.report(value if self.file.objective.direction == "maximize" else 1.0 - value, step)
        # asked for every trial, the one as written too: halving keeps its ranks in what it is asked
        return step < final_step(self.file) and trial.should_prune() and not is_written(self.trial(number))

    def reported(self, number: int) -> Mapping[int, float]:
        """The intermediate values of a trial, by step."""
        return self.trial(number).intermediate_values if self._progress is None else self._progress.values(number)

    def decide(self, number: int, outcome: Outcome) -> None:
        """Writes how a trial ends; `settle` tells the study. A second decision is ignored."""
        if self.decided(number) is None and self._owns(number):
            outcome = self._with_gpu_time(number, outcome)
            for name, value in attributes(self.file, outcome).items():
                self._trial(number).set_user_attr(name, value)
            self._trial(number).set_user_attr(OUTCOME, outcome.plain())

    def keep_gpu_time(self, number: int, time: GpuTime) -> None:
        """Writes the GPU time of a trial that has not ended; of one that has, its outcome holds it."""
        if not self.trial(number).state.is_finished() and self.decided(number) is None and self._owns(number):
            self._trial(number).set_user_attr(GPU_TIME, time.plain)

    def _with_gpu_time(self, number: int, outcome: Outcome) -> Outcome:
        kept, share = self.trial(number).user_attrs, self.shares.get(number, self.gpus)
        if not share and GPU_TIME not in kept:
            return outcome
        time = GpuTime.of(kept)
        time = time if outcome.seconds is None else time.at(outcome.seconds, share)
        return replace(outcome, gpu_seconds=time.gpu_seconds)

    def decided(self, number: int) -> Outcome | None:
        """The written decision on a trial."""
        stored = self.trial(number).user_attrs.get(OUTCOME)
        return Outcome(**stored) if stored else None

    def settle(self, number: int) -> Outcome | None:
        """Tells the study a trial's decided end, once; None while nothing is decided."""
        outcome = self.decided(number)
        if outcome is None or self.trial(number).state.is_finished() or not self._owns(number):
            return outcome
        state = TrialState[ENDINGS[outcome.kind].state]
        fatal = {kind: float(outcome.kind == kind) for kind in FATAL}
        known = dict.fromkeys(self.file.constraints.known_before, 0.0)
        measured = dict.fromkeys(self.file.constraints.measured if state == TrialState.COMPLETE else (), 0.0)
        # What was not trained to its end has no values of what training measures.
        self.constrain(number, {"valid": 0.0, **known, **fatal, **measured, **outcome.violations})
        if self._progress is not None:
            self._progress.settle(number, outcome)
        values = outcome.values([goal.metric for goal in self.file.objective.goals])
        self.optuna.tell(number, values, state, skip_if_finished=True)
        self._live.pop(number, None)
        self._counted.add(number)
        self._ended[outcome.kind] += 1
        if self._drivers is not None:
            self._drivers.settled(number, outcome.kind in TRAINED)
        return outcome

    def set_prefer(self, prefer: str) -> None:
        """Says which compromise is the best from now on."""
        self.optuna.set_user_attr(PREFER, prefer)

    def _enqueue(self, new: bool) -> None:
        """The experiment as written and each setting of `search.enqueue`, once however often a sweep is resumed."""
        base, space, search = self.file.experiment, self.file.space, self.file.search
        if new and search.include_base:
            self.optuna.enqueue_trial(params_of(base, space, {}), {AS_WRITTEN: True})
        there = {trial.user_attrs.get(ENQUEUED) for trial in self.trials()}
        for given in search.enqueue:
            key = json.dumps(given, sort_keys=True)
            if key not in there:
                self.optuna.enqueue_trial(params_of(base, space, given), {ENQUEUED: key})

    def _settle_decided(self) -> None:
        for trial in self.trials():
            if trial.state == TrialState.RUNNING and OUTCOME in trial.user_attrs:
                self.settle(trial.number)

    def _one_of_several(self, url: str, own: str) -> "Drivers":
        from hypercl.sweep.study.drivers import Drivers

        if not self.joined:
            self.optuna.set_user_attr(BEGUN_BY, own)
            self.optuna.set_user_attr(ASKED, to_yaml(self.asked))
        return Drivers(connected(url), self.optuna, self._study_id, own, self.folder)

    def _owns(self, number: int) -> bool:
        return self._drivers is None or self._drivers.owns(number)

    def _count_others(self) -> None:
        if self._drivers is not None:
            self._count()

    def _count(self) -> None:
        """Counts the trials that have ended since."""
        for trial in self.trials():
            if trial.state.is_finished() and trial.number not in self._counted:
                self._ended[outcome_of(trial).kind] += 1
                self._counted.add(trial.number)

    def _trial(self, number: int) -> Trial:
        if number not in self._live:
            self._live[number] = Trial(self.optuna, self._id(number))
        return self._live[number]

    def _id(self, number: int) -> int:
        if number not in self._ids:
            self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        return self._ids[number]

    def _taken_up(self, frozen: FrozenTrial) -> Suggestion:
        """A driver killed inside `ask` leaves a trial without some of its parameters: they are suggested now."""
        return Suggestion(frozen.number, self._suggested(self._trial(frozen.number)))

    def _suggested(self, trial: Trial) -> dict[str, Any]:
        """The parameters of a trial: stored ones stay, what is missing is suggested, conditions first. A planned
        trial has none."""
        if PLANNED in trial.user_attrs:
            return {}
        return suggested(self.file.space, lambda path: self._suggest(trial, path))

    def _suggest(self, trial: Trial, path: str) -> Any:
        one = self._distributions[path]
        if isinstance(one, CategoricalDistribution):
            return trial.suggest_categorical(path, one.choices)
        if isinstance(one, IntDistribution):
            return trial.suggest_int(path, one.low, one.high, step=one.step, log=one.log)
        assert isinstance(one, FloatDistribution)
        return trial.suggest_float(path, one.low, one.high, step=one.step, log=one.log)
