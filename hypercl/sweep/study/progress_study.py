"""Progress of trials that have several goals: in a second study, since Optuna's trials of several goals report none."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from hypercl.sweep.study.outcome import ENDINGS, Outcome

ENDING = "/progress"
"""The second study's name is the first one's with this; no name of a sweep holds a slash."""


class ProgressStudy:
    """A study of one goal whose trial n holds the intermediate values of trial n of the sweep's study.

    It is created after the sweep's, in the same journal. Its goal is to raise the mean validation accuracy over the
    whole stream, whatever the goals of the sweep are; it suggests nothing and only serves the pruner. (In a study of
    several goals `Trial.report` raises, and values written past it make TPE raise once a trial is pruned: Optuna 5.0.)

    Args:
        storage: of both studies.
        name: of the sweep's study.
        pruner: asked about its trials.
    """

    def __init__(self, storage: BaseStorage, name: str, pruner: BasePruner) -> None:
        self.optuna = optuna.create_study(
            storage=storage,
            study_name=name + ENDING,
            direction="maximize",
            sampler=RandomSampler(),
            pruner=pruner,
            load_if_exists=True,
        )
        self._storage, self._study_id = storage, storage.get_study_id_from_name(self.optuna.study_name)
        self._live: dict[int, Trial] = {}

    def trials(self) -> list[FrozenTrial]:
        """Those that the sweep has brought about so far; not to be changed."""
        return self.optuna.get_trials(deepcopy=False)

    def values(self, number: int) -> Mapping[int, float]:
        """The intermediate values of a trial, by step."""
        return self._frozen(number).intermediate_values if number < self._count() else {}

    def report(self, number: int, step: int, value: float) -> None:
        """Writes an intermediate value; once a step."""
        self._trial(number).report(value, step)

    def should_prune(self, number: int) -> bool:
        """Whether the pruner would stop the trial after its last report."""
        return self._trial(number).should_prune()

    def settle(self, number: int, outcome: Outcome) -> None:
        """Ends a trial as it ends in the sweep's study, complete ones with the last value reported: pruners count
        them."""
        self._trial(number)
        values, state = self.values(number), TrialState[ENDINGS[outcome.kind].state]
        if state == TrialState.COMPLETE and not values:
            state = TrialState.PRUNED
        last = values[max(values)] if state == TrialState.COMPLETE else None
        self.optuna.tell(number, last, state, skip_if_finished=True)
        self._live.pop(number, None)

    def _trial(self, number: int) -> Trial:
        """A trial by its number; it and those before it are made where they are missing."""
        while self._count() <= number:
            self.optuna.ask()
        if number not in self._live:
            self._live[number] = Trial(self.optuna, self._id(number))
        return self._live[number]

    def _frozen(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)

    def _count(self) -> int:
        return self._storage.get_n_trials(self._study_id)


def names_of(names: Iterable[str]) -> tuple[str, str] | None:
    """The names of the sweep's study and of the second one, which need not be there; None in an empty journal."""
    own = [name for name in names if not name.endswith(ENDING)]
    return (own[0], own[0] + ENDING) if own else None


def with_progress(trials: Sequence[FrozenTrial], mirrored: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Copies of trials that hold the intermediate values of those of the same numbers."""
    return [_joined(trial, mirrored) for trial in trials]


def _joined(trial: FrozenTrial, mirrored: Sequence[FrozenTrial]) -> FrozenTrial:
    if trial.number >= len(mirrored):
        return trial
    found = copy(trial)
    found.intermediate_values = mirrored[trial.number].intermediate_values
    return found
