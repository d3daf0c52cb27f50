"""What earlier sweeps found out, for the sampler of a new one: trials of theirs, as settings of this one's space."""

import copy
import json
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from hypercl.config import Experiment, SweepFile, UserError, lookup
from hypercl.config.checks import drawn, is_active, ordered
from hypercl.files import write_text
from hypercl.formatting import shown
from hypercl.sweep.study.constraints import METRIC_OF, violation
from hypercl.sweep.study.outcome import OUTCOME, Outcome, constraint_names, is_complete, is_written, outcome_of
from hypercl.sweep.study.record import StudyRecord, read_sweep
from hypercl.sweep.study.sampler_view import CONSTRAINT
from hypercl.sweep.study.space import distributions, encoded, settings_of

WARM_START = "warm_start.json"
"""In a sweep's folder: what it was given of earlier ones, so that it is resumed without them."""


@dataclass(frozen=True)
class Earlier:
    """What one earlier sweep knows of the settings of this one's space."""

    source: str
    """Its results folder, absolute."""
    trials: int
    """Its complete trials."""
    params: tuple[Mapping[str, Any], ...]
    """Of those that are settings of this space, as Optuna knows them."""
    values: tuple[tuple[float, ...], ...]
    """Of these, one a goal."""
    centre: tuple[float, ...]
    """Its level in each goal: the setting as written; where that is not complete the median."""
    of_written: bool
    """Whether that is the setting as written."""
    why: str = ""
    """Why nothing of it is used; '' where something is."""

    @property
    def in_words(self) -> str:
        """What is used and what is not, as a sentence."""
        source = shown(Path(self.source))
        if self.why:
            return f"nothing of {source}: {self.why}"
        used, outside = len(self.params), self.trials - len(self.params)
        beyond = f"; {outside} lie outside of this space" if outside else ""
        level = "its setting as written" if self.of_written else "its median"
        return f"{used} of {self.trials} complete trials of {source}, each as its distance from {level}{beyond}"


def earlier_of(folder: Path, file: SweepFile) -> list[Earlier]:
    """What a sweep knows of those in `search.warm_start`: what its folder holds, then what is named since.

    Args:
        folder: of the sweep; need not be there.
        file: as its trials train it.

    Raises:
        UserError: a folder holds no sweep, or what the sweep's own folder holds is damaged.
    """
    kept = kept_earlier(folder)
    known = [Path(one.source) for one in kept]
    named = dict.fromkeys(Path(source).expanduser().resolve() for source in file.search.warm_start)
    moved = [path for path in named if not path.exists() and path.name in {one.name for one in known}]
    return [*kept, *(_read(path, folder, file) for path in named if path not in known + moved)]


def keep_earlier(folder: Path, earlier: Sequence[Earlier]) -> None:
    """Writes what is known into the sweep's folder, where it is not yet."""
    if earlier and list(earlier) != kept_earlier(folder):
        write_text(folder / WARM_START, json.dumps([asdict(one) for one in earlier], indent=1) + "\n")


def seen_with(study: Study, earlier: Sequence[Earlier], file: SweepFile) -> Study:
    """A study that reads and writes what another does, and in which the trials of earlier sweeps come first, moved to
    this one's level. The journal holds none of them.

    Args:
        study: the sweep's.
        earlier: as from `earlier_of`.
        file: as its trials train it.
    """
    view = copy.copy(study)
    view._thread_local = type(study._thread_local)()  # where Optuna keeps the trials it has read
    view._storage = _With(study._storage, earlier, file)  # pyright: ignore[reportAttributeAccessIssue]
    return view


class _With:
    """A study's storage with the trials of earlier sweeps. They have no number, so that they stay the first."""

    def __init__(self, storage: BaseStorage, earlier: Sequence[Earlier], file: SweepFile) -> None:
        self._storage, self._earlier = storage, earlier
        self._space = distributions(file.space)
        self._kept = {f"{CONSTRAINT}{name}": 0.0 for name in constraint_names(file)}

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


def centre_of(trials: Sequence[FrozenTrial], of_written: bool) -> tuple[float, ...] | None:
    """The level of some trials in each goal; None where none is known yet."""
    complete = [trial for trial in trials if is_complete(trial)]
    written = [trial for trial in complete if is_written(trial)]
    if of_written and written:
        return tuple(written[0].values)
    return tuple(map(median, zip(*(trial.values for trial in complete), strict=True))) if complete else None


def _read(path: Path, folder: Path, file: SweepFile) -> Earlier:
    """What a sweep knows, from its folder."""
    source = str(path)
    if path == folder.resolve():
        raise UserError(f"search.warm_start: {source} is the sweep's own folder\n    fix:     name another sweep's")
    try:
        record = read_sweep(path)
    except UserError as error:
        raise UserError(f"search.warm_start: {error}") from None
    goals = [(goal.metric, goal.direction) for goal in record.file.objective.goals]
    complete = [trial for trial in record.trials if is_complete(trial)]
    if goals != [(goal.metric, goal.direction) for goal in file.objective.goals]:
        sought = " and ".join(f"{direction} {metric}" for metric, direction in goals)
        return _nothing(source, f"its objective is another ({sought})")
    if not complete:
        return _nothing(source, "it has no complete trial")
    pairs = [(found, trial.values) for trial in complete if (found := _as_setting(file, record, trial)) is not None]
    if not pairs:
        return _nothing(source, f"none of its {len(complete)} complete trials is a setting of this space")
    params, values = zip(*pairs, strict=True)
    of_written = any(map(is_written, complete))
    centre = centre_of(complete, of_written) or ()
    return Earlier(source, len(complete), params, tuple(map(tuple, values)), centre, of_written)


def _nothing(source: str, why: str) -> Earlier:
    return Earlier(source, 0, (), (), (), of_written=False, why=why)


def _as_setting(file: SweepFile, record: StudyRecord, trial: FrozenTrial) -> dict[str, Any] | None:
    """A trial of another sweep as a suggestion of this one; None where it lies outside of the space or the bounds.

    A key that the other space does not have is what the other experiment has, else this one's own value.
    """
    bounds, metrics = {**file.constraints.known_before, **file.constraints.measured}, outcome_of(trial).metrics
    of = {name: METRIC_OF.get(name, name) for name in bounds}
    if any(metric in metrics and violation(metrics[metric], bounds[name]) > 0 for name, metric in of.items()):
        return None
    theirs = settings_of(record.file.experiment, record.file.space, trial.params)
    values: dict[str, Any] = {}
    for path in ordered(file.space):
        one = file.space[path]
        if one.equals is not None or not is_active(file.space, path, values):
            continue
        value = theirs[path] if path in theirs else _own(record.file.experiment, file.experiment, path)
        if not one.contains(value):
            return None
        values[path] = drawn(one, value)
    return {path: encoded(file.space[path], value) for path, value in values.items()}


def _own(theirs: Experiment, own: Experiment, path: str) -> Any:
    for experiment in (theirs, own):
        with suppress(KeyError):
            return lookup(experiment, path)
    return None


def kept_earlier(folder: Path) -> list[Earlier]:
    """What a sweep's folder holds of earlier ones.

    Raises:
        UserError: it is damaged.
    """
    path = folder / WARM_START
    if not path.is_file():
        return []
    try:
        return [
            Earlier(
                **{
                    **one,
                    "params": tuple(one["params"]),
                    "values": tuple(map(tuple, one["values"])),
                    "centre": tuple(one["centre"]),
                }
            )
            for one in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged: {type(error).__name__}: {error}\n"
            "    fix:     restore it from a copy, or delete it: what search.warm_start names is then read again"
        ) from None
