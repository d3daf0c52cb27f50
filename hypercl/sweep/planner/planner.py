"""The seam between a sweep and what says which trial comes next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from optuna.trial import FrozenTrial

from hypercl.config import SweepFile
from hypercl.config.models import VARYING, StabilityDecay, key_of
from hypercl.exit_codes import ExitCode
from hypercl.sweep.study import REPEAT, Grid, Outcome, Suggestion, SweepStudy, settings_of

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Part:
    """What a trial trains of its experiment: by default all of it, from the start."""

    changes: Mapping[str, Any]
    """Key path -> value, over the experiment of the suggestion."""
    until_task: int | None = None
    """The task, from 0, after which it ends; None trains the whole stream."""
    parent: int | None = None
    """The trial from whose newest checkpoint it starts."""


class Planner(Protocol):
    """Says what is tried next, and what follows from how it ended. Its only memory is the study."""

    @property
    def one_task(self) -> bool:
        """Whether a trial trains one task. The number of trials is then unknown until the end."""
        ...

    @property
    def most_trials(self) -> int:
        """Maximum number of trained trials."""
        ...

    def next(self, study: SweepStudy) -> Suggestion | None:
        """The next trial, enqueued ones first; None where nothing is left, or running trials must end first."""
        ...

    def beside(self, study: SweepStudy, first: Suggestion) -> Suggestion | None:
        """A trial to be trained in one bundle with another: the scalars of `VARYING` are suggested, all else is the
        other's. Enqueued ones come first, whatever they are. None where there is none."""
        ...

    def over(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether nothing is left to try, whatever the budget."""
        ...

    def part(self, trial: FrozenTrial) -> Part:
        """What a trial trains."""
        ...

    def judged(self, trial: FrozenTrial, outcome: Outcome) -> Outcome:
        """The outcome to write for a trial that ended this way."""
        ...

    def settings(self, trial: FrozenTrial) -> dict[str, Any]:
        """Key path -> value: a trial's setting, over the experiment as written."""
        ...

    def tried(self, trial: FrozenTrial) -> dict[str, Any]:
        """Key path -> value: what a trial tries, for tables."""
        ...

    def columns(self, trial: FrozenTrial) -> dict[str, Any]:
        """Further columns of a trial in tables."""
        ...

    def complete_in_words(self, outcome: Outcome) -> str:
        """A complete trial's end in words; '' where its value says all."""
        ...

    def plan_rows(self) -> Rows:
        """The plan; nothing where the search section says all."""
        ...

    def status_rows(self, trials: Sequence[FrozenTrial]) -> Rows:
        """How far the plan is."""
        ...

    def ending(self, trials: Sequence[FrozenTrial]) -> tuple[ExitCode, str] | None:
        """How the search ended; None where the number of trained trials says all."""
        ...

    def trace(self, trials: Sequence[FrozenTrial]) -> tuple[str, list[dict[str, Any]]]:
        """The strength's name and a row an attempt, with the columns of `hypercl.analysis.stability`; no rows where
        trials are settings of the whole stream."""
        ...


def planner_of(file: SweepFile) -> Planner:
    """The planner of a sweep. Settings follow the experiment of this file: as written, or as the trials train it."""
    if isinstance(file.protocol, StabilityDecay):
        from hypercl.sweep.planner.stability_decay import StabilityDecayPlanner

        return StabilityDecayPlanner(file)
    return GridPlanner(file) if file.search.sampler == "grid" else SamplerPlanner(file)


class SamplerPlanner:
    """The study's sampler suggests each trial, a setting for the whole stream."""

    one_task = False

    def __init__(self, file: SweepFile) -> None:
        self._file = file

    @property
    def most_trials(self) -> int:
        return self._file.search.trials

    def next(self, study: SweepStudy) -> Suggestion | None:
        return study.ask()

    def beside(self, study: SweepStudy, first: Suggestion) -> Suggestion | None:
        if not study.waiting:
            held = {path: value for path, value in first.params.items() if key_of(path) not in VARYING}
            params = None if len(held) == len(first.params) else self._beside(study, held)
            if params is None:
                return None
            study.enqueue(params)
        return study.ask()

    def _beside(self, study: SweepStudy, held: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The parameters of a trial that has these; those left out are suggested."""
        return held

    def over(self, trials: Sequence[FrozenTrial]) -> bool:
        return False

    def part(self, trial: FrozenTrial) -> Part:
        training, before = self._file.experiment.training, trial.user_attrs.get(REPEAT, 0)
        return Part({"training.seed": training.seed + before * training.replicas} if before else {})

    def judged(self, trial: FrozenTrial, outcome: Outcome) -> Outcome:
        return outcome

    def settings(self, trial: FrozenTrial) -> dict[str, Any]:
        return settings_of(self._file.experiment, self._file.space, trial.params)

    def tried(self, trial: FrozenTrial) -> dict[str, Any]:
        return self.settings(trial)

    def columns(self, trial: FrozenTrial) -> dict[str, Any]:
        return {}

    def complete_in_words(self, outcome: Outcome) -> str:
        return ""

    def plan_rows(self) -> Rows:
        return []

    def status_rows(self, trials: Sequence[FrozenTrial]) -> Rows:
        return []

    def ending(self, trials: Sequence[FrozenTrial]) -> tuple[ExitCode, str] | None:
        return None

    def trace(self, trials: Sequence[FrozenTrial]) -> tuple[str, list[dict[str, Any]]]:
        return "", []


class GridPlanner(SamplerPlanner):
    """Every cell of the grid once (`hypercl.sweep.study.samplers.Grid`)."""

    @cached_property
    def _grid(self) -> Grid:
        return Grid(self._file.space, self._file.search.seed)

    @property
    def most_trials(self) -> int:
        """No more than the grid has cells, besides the experiment as written and enqueued settings.

        Raises:
            UserError: a range that cannot be listed, or too many cells.
        """
        search = self._file.search
        return min(search.trials, self._grid.cells + len(search.enqueue) + int(bool(search.include_base)))

    def next(self, study: SweepStudy) -> Suggestion | None:
        if not study.waiting:
            cell = self._grid.next_cell(study.trials())
            if cell is None:
                return None
            study.enqueue(cell)
        return study.ask()

    def _beside(self, study: SweepStudy, held: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return self._grid.next_cell(study.trials(), held)
