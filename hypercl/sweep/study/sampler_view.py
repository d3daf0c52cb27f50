"""What a sampler is shown of a study: samplers that read complete trials only learn of the others from a view."""

import copy
from collections.abc import Container, Sequence
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hypercl.config.models import Goal
from hypercl.sweep.study.outcome import is_complete

CONSTRAINT = "constraints:"
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
    view = copy.copy(study)
    vars(view)["_storage"] = _View(vars(study)["_storage"], goals, constraints)
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
        kept = {f"{CONSTRAINT}{name}": 0.0 for name in self._constraints}
        seen.system_attrs = {**trial.system_attrs, **{n: v for n, v in kept.items() if n not in trial.system_attrs}}
        seen.state, seen.values = TrialState.COMPLETE, worst
        return seen
