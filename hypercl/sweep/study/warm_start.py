"""What earlier sweeps found out, for the sampler of a new one: trials of theirs, as settings of this one's space."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from optuna.trial import FrozenTrial
from pydantic import TypeAdapter

from hypercl.config import Experiment, SweepFile, UserError, lookup
from hypercl.config.checks import drawn, is_active, ordered
from hypercl.files import write_bytes
from hypercl.formatting import shown
from hypercl.sweep.study.constraints import METRIC_OF, violation
from hypercl.sweep.study.cost import tuning_cost
from hypercl.sweep.study.outcome import is_complete, is_written, outcome_of
from hypercl.sweep.study.protocols import leaks
from hypercl.sweep.study.ranking import FINAL
from hypercl.sweep.study.record import StudyRecord, read_sweep
from hypercl.sweep.study.space import encoded, settings_of

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
    spent: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict[str, Mapping[str, float | None]])
    """Folder -> what its tuning cost (`hypercl.sweep.study.cost.tuning_cost`), and how often its test data had been
    `opened`: its own, and those that it knew. Empty in a file of before this was kept."""

    @property
    def in_words(self) -> str:
        """What is used and what is not, as a sentence."""
        source = shown(Path(self.source))
        if self.why:
            return f"nothing of {source}: {self.why}"
        used, outside = len(self.params), self.trials - len(self.params)
        beyond = f"; {outside} lie outside of this space" if outside else ""
        level = "its setting as written" if self.of_written else "its median"
        opened = "; its test data had been opened" if (self.spent.get(self.source) or {}).get("opened") else ""
        return f"{used} of {self.trials} complete trials of {source}, each as its distance from {level}{beyond}{opened}"


_FILE = TypeAdapter(list[Earlier])


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
        write_bytes(folder / WARM_START, _FILE.dump_json(list(earlier), indent=1) + b"\n")


def earlier_cost(earlier: Sequence[Earlier]) -> dict[str, float | None] | None:
    """What the tuning of earlier sweeps cost, each counted once: `sweeps` and the sums of what is `spent`, None where
    one is unknown; None where nothing of them is used."""
    spent = {path: cost for one in earlier if not one.why for path, cost in (one.spent or {one.source: {}}).items()}
    found: dict[str, float | None] = {"sweeps": len(spent)}
    for key in ("trials", "hours", "gpu_hours", "flops", "opened"):
        parts = [cost.get(key) for cost in spent.values()]
        found[key] = None if None in parts else sum(part for part in parts if part is not None)
    return found if spent else None


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
    if leaks(record.asked) and not leaks(file):
        return _nothing(source, "it was tuned on test data (protocol test_leak), of which this sweep must know nothing")
    if goals != [(goal.metric, goal.direction) for goal in file.objective.goals]:
        sought = " and ".join(f"{direction} {metric}" for metric, direction in goals)
        return _nothing(source, f"its objective is another ({sought})")
    if not complete:
        return _nothing(source, "it has no complete trial")
    pairs = [(found, trial.values) for trial in complete if (found := _as_setting(file, record, trial)) is not None]
    if not pairs:
        return _nothing(source, f"none of its {len(complete)} complete trials is a setting of this space")
    of_written = any(map(is_written, complete))
    centre = centre_of(complete, of_written) or ()
    params, values = tuple(found for found, _ in pairs), tuple(tuple(values) for _, values in pairs)
    before = {path: cost for one in kept_earlier(path) if not one.why for path, cost in one.spent.items()}
    spent = {**before, source: {**tuning_cost(record), "opened": len(record.attributes.get(FINAL, ()))}}
    return Earlier(source, len(complete), params, values, centre, of_written, spent=spent)


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
        return _FILE.validate_json(path.read_bytes())
    except ValueError as error:
        raise UserError(
            f"{path} is damaged: {type(error).__name__}\n"
            "    fix:     restore it from a copy, or delete it: what search.warm_start names is then read again"
        ) from None
