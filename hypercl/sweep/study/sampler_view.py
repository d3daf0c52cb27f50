"""What a sampler is shown of a study: samplers that read complete trials only learn of the others from a view, all may
learn from earlier sweeps, and TPE sees a limited number of trials."""

import copy
from collections.abc import Callable, Container, Sequence
from heapq import nsmallest
from itertools import islice
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from hypercl.config.models import Goal, SweepFile
from hypercl.sweep.study.outcome import OUTCOME, Outcome, constraint_names, is_complete
from hypercl.sweep.study.space import distributions
from hypercl.sweep.study.warm_start import Earlier, centre_of

_CONSTRAINT = "constraints:"
"""Optuna's prefix of a constraint among a trial's system attributes (Optuna 5.0)."""


def seen_as_complete(study: Study, goals: Sequence[Goal], constraints: Sequence[str]) -> Study:
    """A study that reads and writes what another does, and in which a setting that cannot be trained (out of bounds,
    diverged, out of memory: a broken constraint) is complete, with the worst value of those measured in each goal. The
    journal holds none of it.

    Args:
        study: the sweep's.
        goals: in its order.
        constraints: names of all constraints; one that a trial has no value of counts as kept, since the Gaussian
            process stacks them (Optuna 5.0).
    """
    return _with_storage(study, lambda storage: _View(storage, goals, constraints))


def _with_storage(study: Any, wrapped: Callable[[BaseStorage], Any]) -> Study:
    """A copy of a study, or of Hyperband's study of one bracket (Optuna 5.0), with a storage around its own."""
    bracket_of = getattr(study, "_study", None)
    if bracket_of is not None:
        return study.pruner._create_bracket_study(_with_storage(bracket_of, wrapped), study._bracket_id)
    view = copy.copy(study)
    view._thread_local = type(study._thread_local)()  # where Optuna keeps the trials it has read
    view._storage = wrapped(study._storage)
    return view


class _View:
    """A study's storage, in which broken constraints end a trial as complete."""

    def __init__(self, storage: BaseStorage, goals: Sequence[Goal], constraints: Sequence[str]) -> None:
        self._storage, self._goals, self._constraints = storage, goals, constraints

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """As the storage's, with what is out of bounds as complete."""
        trials = self._storage.get_all_trials(study_id, deepcopy=False)
        measured = [trial.values for trial in trials if is_complete(trial)]
        if measured:
            columns = zip(self._goals, zip(*measured, strict=True), strict=True)
            worst = [max(column) if goal.direction == "minimize" else min(column) for goal, column in columns]
            trials = [self._seen(trial, worst) for trial in trials]
        found = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def _seen(self, trial: FrozenTrial, worst: list[float]) -> FrozenTrial:
        if trial.state != TrialState.PRUNED or all(value <= 0 for value in trial.constraints.values()):
            return trial
        seen = copy.copy(trial)
        kept = {f"{_CONSTRAINT}{name}": 0.0 for name in self._constraints}
        seen.system_attrs = {**trial.system_attrs, **{n: v for n, v in kept.items() if n not in trial.system_attrs}}
        seen.state, seen.values = TrialState.COMPLETE, worst
        return seen


def seen_with(study: Study, earlier: Sequence[Earlier], file: SweepFile) -> Study:
    """A study that reads and writes what another does, and in which the trials of earlier sweeps come first, moved to
    this one's level. The journal holds none of them.

    Args:
        study: the sweep's.
        earlier: as from `earlier_of`.
        file: as its trials train it.
    """
    return _with_storage(study, lambda storage: _With(storage, earlier, file))


class _With:
    """A study's storage with the trials of earlier sweeps. They have no number, so that they stay the first."""

    def __init__(self, storage: BaseStorage, earlier: Sequence[Earlier], file: SweepFile) -> None:
        self._storage, self._earlier = storage, earlier
        self._space = distributions(file.space)
        self._kept = {f"{_CONSTRAINT}{name}": 0.0 for name in constraint_names(file)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """As the storage's, behind the earlier ones."""
        own = self._storage.get_all_trials(study_id, deepcopy=False)
        trials = [*(trial for one in self._earlier for trial in self._moved(one, own)), *own]
        found = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def _moved(self, one: Earlier, own: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        here = centre_of(own, one.of_written) or (0.0,) * len(one.centre)
        return [
            create_trial(
                state=TrialState.COMPLETE,
                params=dict(params),
                distributions={path: self._space[path] for path in params},
                values=[value - there + to for value, there, to in zip(values, one.centre, here, strict=True)],
                user_attrs={OUTCOME: Outcome("complete").plain()},
                system_attrs=self._kept,
            )
            for params, values in zip(one.params, one.values, strict=True)
        ]


MOST, BEST = 1000, 25
"""Ended trials that TPE sees, and how many of them are the best ones: as many as it calls good with one goal."""


class SeenAtMost:
    """Makes a study that reads and writes what another does, and in which the number of ended trials is limited, since
    the time of a suggestion grows with it: the best `BEST` of each goal, then the newest. All others are there.

    Args:
        goals: in the study's order.
        most: complete and pruned trials.
    """

    def __init__(self, goals: Sequence[Goal], most: int = MOST) -> None:
        self._goals, self._most = goals, most
        self._places: dict[int, list[tuple[float, ...]]] = {}
        """Number of an ended trial -> its place in each goal; to work them out each time took as long as TPE."""

    def __call__(self, study: Study) -> Study:
        return _with_storage(study, lambda storage: _AtMost(storage, self.limited))

    def limited(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Trials without the old ones that are not among the best."""
        ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        if len(ended) <= self._most:
            return trials
        places = [self._placed(trial) for trial in ended]
        best = {index for goal in range(len(self._goals)) for index in _smallest([each[goal] for each in places])}
        others = (trial for index, trial in enumerate(ended) if index not in best)
        gone = {id(trial) for trial in islice(others, len(ended) - self._most)}
        return [trial for trial in trials if id(trial) not in gone]

    def _placed(self, trial: FrozenTrial) -> list[tuple[float, ...]]:
        if trial.number not in self._places or trial.number < 0:  # those of earlier sweeps have none, and move
            self._places[trial.number] = [_place(trial, at, goal) for at, goal in enumerate(self._goals)]
        return self._places[trial.number]


class _AtMost:
    """A study's storage without most of its old trials."""

    def __init__(self, storage: BaseStorage, limited: Callable[[list[FrozenTrial]], list[FrozenTrial]]) -> None:
        self._storage, self._limited = storage, limited

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """As the storage's, of a limited number."""
        trials = self._limited(self._storage.get_all_trials(study_id, deepcopy=False))
        found = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found


def _smallest(places: Sequence[tuple[float, ...]]) -> list[int]:
    return nsmallest(BEST, range(len(places)), key=places.__getitem__)


def _place(trial: FrozenTrial, index: int, goal: Goal) -> tuple[float, ...]:
    """A trial's place in TPE's own order, lowest first (Optuna 5.0): by value, then pruned ones by how far they came,
    then those that break a constraint by how far."""
    sign = 1 if goal.direction == "minimize" else -1
    broken = sum(value for value in trial.constraints.values() if value > 0)
    if broken:
        return 2, broken
    if trial.state == TrialState.COMPLETE:
        return 0, sign * trial.values[index]
    step, value = max(trial.intermediate_values.items(), default=(-1, 0.0))
    return 1, -step, sign * value
