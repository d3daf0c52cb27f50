"""Who hears what a sweep does."""

from collections.abc import Sequence
from typing import Any, Protocol

from hypercl.sweep.study import Outcome

Front = Sequence[tuple[int, Sequence[float]]]
"""Numbers of trials and their values, one a goal."""


class Listener(Protocol):
    """Hears what a sweep does: the live table, or lines of text."""

    def begun(self, trials: int, trained: int, front: Front) -> None:
        """The study is open: the budget, what of it is trained, and the best trial, of several goals the front."""

    def said(self, text: str) -> None:
        """Something a person should know."""

    def promised(self, number: int, value: float, interval: tuple[float, float] | None) -> None:
        """What the best setting is expected to reach, of one goal, with its 95 % interval; again when there is news."""

    def trial_started(self, number: int, params: dict[str, Any], again: bool) -> None:
        """A trial is handed to Ray; `again`: resumed after its driver died."""

    def trial_reported(self, number: int, step: int, value: float, accuracies: tuple[float, ...]) -> None:
        """A trial reported its accuracy on the tasks met."""

    def trial_ended(self, number: int, outcome: Outcome) -> None:
        """The study was told how a trial ended."""

    def trial_interrupted(self, number: int) -> None:
        """A trial wrote its checkpoint and stopped; the next driver resumes it."""

    def run_started(self, name: str, tasks: int) -> None:
        """A run that is no trial of the study (final step, race) is handed to Ray; `tasks` is its number of tasks."""

    def run_reported(self, name: str, step: int, accuracies: tuple[float, ...]) -> None:
        """It reported its accuracy on the tasks met."""

    def run_ended(self, name: str) -> None:
        """It is done, lost or interrupted; which of them is said in words."""

    def tick(self) -> None:
        """About ten times a second."""

    def close(self) -> None:
        """Nothing more will come."""


class Silent:
    """A listener that ignores everything."""

    def begun(self, trials: int, trained: int, front: Front) -> None: ...

    def said(self, text: str) -> None: ...

    def promised(self, number: int, value: float, interval: tuple[float, float] | None) -> None: ...

    def trial_started(self, number: int, params: dict[str, Any], again: bool) -> None: ...

    def trial_reported(self, number: int, step: int, value: float, accuracies: tuple[float, ...]) -> None: ...

    def trial_ended(self, number: int, outcome: Outcome) -> None: ...

    def trial_interrupted(self, number: int) -> None: ...

    def run_started(self, name: str, tasks: int) -> None: ...

    def run_reported(self, name: str, step: int, accuracies: tuple[float, ...]) -> None: ...

    def run_ended(self, name: str) -> None: ...

    def tick(self) -> None: ...

    def close(self) -> None: ...
