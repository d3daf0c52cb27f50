"""What is wrong in a results folder, and how it is mended: nothing is deleted; files are moved to lost+found."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, partial
from math import inf
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from hypercl.analysis import read_final
from hypercl.config import ConfigError, Experiment, SweepFile, UserError, load, lookup
from hypercl.files import is_alive, partial_writer, write_bytes
from hypercl.folder_lock import driver_of
from hypercl.loggers import sound_rows
from hypercl.sweep.study import (
    JOURNAL,
    SWEEP_YAML,
    checksums,
    damage_of,
    decided,
    mend_journal,
    read_sweep,
    settings_of,
    sums_of,
    trials_in,
    whole_size,
    without_damage,
)
from hypercl.training import AccuracyMatrix, BrokenFile, RunSummary, read

LOST_AND_FOUND = "lost+found"
_HELPERS = (".stop", ".ray", ".wandb-offline", ".shared-*", f"{JOURNAL}.lock*")


class Weight(IntEnum):
    """How much a fault matters."""

    BLOCKING = 0
    """Nothing can be resumed or read before it is mended."""
    LOST = 1
    """Something measured is lost, or costs time to be measured again."""
    LEFTOVER = 2
    """Files of processes that are gone."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong."""

    weight: Weight
    path: Path
    what: str
    mend: Callable[["LostAndFound"], str] | None = None
    """Mends it and says what that did; None where only a person can."""


class LostAndFound:
    """The folder `lost+found` of a results folder.

    Args:
        folder: the results folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, path: Path) -> str:
        """Moves a file or folder there, under its own path; returns where it is."""
        place = wanted = self._folder / LOST_AND_FOUND / path.relative_to(self._folder)
        number = 1
        while place.exists():
            number += 1
            place = wanted.with_name(f"{wanted.name}.{number}")
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
        return str(place.relative_to(self._folder))


def faults_of(folder: Path) -> list[Fault]:
    """Everything wrong in the folder of a sweep, a run or several runs, what weighs most first. Changes nothing."""
    runs = (fault for run in _runs(folder) for fault in _run(run))
    found = [*_sweep(folder), *runs, *_wandb(folder), *_leftovers(folder)]
    return sorted(found, key=lambda fault: fault.weight)


def _runs(folder: Path) -> Iterator[Path]:
    """The folders of runs: those with a config.yaml, checkpoints or rows."""
    marks = ("config.yaml", "checkpoints", "metrics.jsonl", "summary.json")
    for place in sorted({path.parent for mark in marks for path in folder.rglob(mark)}):
        if LOST_AND_FOUND not in place.relative_to(folder).parts:
            yield place


def _moved(path: Path, then: str) -> Callable[[LostAndFound], str]:
    return lambda lost: f"moved to {lost.take(path)}; {then}"


def _sweep(folder: Path) -> Iterator[Fault]:
    """sweep.yaml, the journal, final.json."""
    if not (folder / SWEEP_YAML).is_file() and not (folder / JOURNAL).is_file():
        return
    file = None
    try:
        file = load(folder / SWEEP_YAML)
    except (UserError, OSError) as error:
        yield Fault(Weight.BLOCKING, folder / SWEEP_YAML, f"cannot be read: {_first(error)}; restore it from a copy")
    yield from _journal(folder, file) if file is None or file.study.storage is None else _database(folder)
    try:
        read_final(folder / "final")
    except UserError:
        path = folder / "final" / "final.json"
        yield Fault(Weight.LOST, path, "damaged", _moved(path, "hypercl final writes it again"))


def _journal(folder: Path, file: SweepFile | None) -> Iterator[Fault]:
    path = folder / JOURNAL
    if not path.is_file():
        yield Fault(Weight.BLOCKING, path, "is missing: no trial is known; restore it from a copy")
        return
    content = path.read_bytes()
    whole = content[: whole_size(content)]
    damage = damage_of(whole, checksums(path))
    if damage is not None:
        line, what = damage
        yield Fault(Weight.BLOCKING, path, f"line {line}: {what}", lambda lost: _mend_journal(folder, file, lost))
        return
    if len(whole) < len(content):
        yield Fault(Weight.LEFTOVER, path, "its last line was cut short by a kill", lambda _: mend_journal(path))
    try:
        if file is not None:
            read_sweep(folder)
    except UserError as error:
        yield Fault(Weight.BLOCKING, path, f"cannot be read: {_first(error)}")
        return
    if file is not None and (strangers := _strangers(folder, file, whole)):
        numbers = ", ".join(map(str, strangers))
        yield Fault(
            Weight.BLOCKING,
            path,
            f"trials {numbers} are others than in trials/, or have no ending: a record is missing",
            lambda lost: _mend_journal(folder, file, lost),
        )


def _database(folder: Path) -> Iterator[Fault]:
    try:
        read_sweep(folder)
    except UserError as error:
        yield Fault(Weight.BLOCKING, folder / SWEEP_YAML, f"its study cannot be read: {_first(error)}")


def _mend_journal(folder: Path, file: SweepFile | None, lost: LostAndFound) -> str:
    """Leaves out what is damaged where all trials are then those in trials/; else cuts the journal before it."""
    path = folder / JOURNAL
    content = path.read_bytes()
    content = content[: whole_size(content)]
    if sums_of(path).is_file():
        lost.take(sums_of(path))
    kept = without_damage(content)
    whole = damage_of(kept, ()) is None and file is not None and not _strangers(folder, file, kept)
    if not whole:
        broken = damage_of(content, ())
        kept = content if broken is None else b"".join(content.splitlines(keepends=True)[: broken[0] - 1])
        while damage_of(kept, ()) is not None or (file is not None and _strangers(folder, file, kept)):
            kept = kept[: kept.rstrip(b"\n").rfind(b"\n") + 1]
    place = lost.take(path)
    write_bytes(path, kept)
    gone = len(content.splitlines()) - len(kept.splitlines())
    if whole:
        then = f"{_counted(gone, 'damaged record')} left out" if gone else "the missing records are lost"
        return f"moved to {place}; every trial is there, {then}"
    count = len(trials_in(path, kept))
    moved = [run for run in folder.glob("trials/*") if run.name.isdigit() and int(run.name) >= count]
    moved += [stage for name in ("confirm", "race", "final") if moved and (stage := folder / name).is_dir()]
    for each in moved:
        lost.take(each)
    left = _counted(count, "trial")
    return f"moved to {place}; cut before the damage: {left} left, the folders of later ones are moved too"


def _strangers(folder: Path, file: SweepFile, content: bytes) -> list[int]:
    """Numbers of trials whose parameters are not those in their config.yaml, or whose ending is not told."""
    found: list[int] = []
    try:
        trials = trials_in(folder / JOURNAL, content)
    except UserError:
        return [0]
    for trial in trials:
        path = folder / "trials" / str(trial.number) / "config.yaml"
        differs = path.is_file() and trial.params and not _agree(file, trial.params, path)
        if differs or not _has_ending(trial):
            found.append(trial.number)
    return found


def _has_ending(trial: FrozenTrial) -> bool:
    """Whether a trial that Optuna was told has its outcome."""
    try:
        decided(trial)
    except UserError:
        return False
    return True


def _agree(file: SweepFile, params: dict[str, Any], path: Path) -> bool:
    experiment = _experiment(path)
    if experiment is None:
        return True  # damaged, which is a fault of its own
    try:
        wanted = settings_of(file.experiment, file.space, params)
        return all(lookup(experiment, key) == value for key, value in wanted.items())
    except (UserError, KeyError):
        return False


@cache
def _experiment(path: Path) -> Experiment | None:
    try:
        return load(path).experiment
    except (UserError, OSError):
        return None


def _run(run: Path) -> Iterator[Fault]:
    """config.yaml, checkpoints, rows, summary and matrices of one run."""
    path = run / "config.yaml"
    try:
        if path.is_file():
            load(path)
    except (UserError, OSError) as error:
        again = _moved(path, "the run's command writes it again")
        yield Fault(Weight.BLOCKING, path, f"cannot be read: {_first(error)}", again)
    for path in sorted(run.glob("checkpoints/step-*.pt")):
        try:
            read(path)
        except BrokenFile as error:
            yield Fault(Weight.LOST, path, str(error).partition(": ")[2], _moved(path, "the run resumes without it"))
        except (UserError, OSError) as error:
            yield Fault(Weight.LOST, path, f"cannot be read: {_first(error)}")
    path = run / "metrics.jsonl"
    if path.is_file() and (lines := sound_rows(path.read_bytes(), inf)[1]):
        what = f"lines that are damaged: {len(lines)}, the first is line {lines[0][0]}"
        yield Fault(Weight.LOST, path, what, partial(_mend_rows, path))
    yield from _results(run)
    path = run / "wandb.json"
    try:
        if path.is_file():
            json.loads(path.read_bytes())
    except (ValueError, OSError):
        yield Fault(Weight.LOST, path, "damaged", _moved(path, "W&B gets the run under its own name again"))


def _mend_rows(path: Path, lost: LostAndFound) -> str:
    content = path.read_bytes()
    place = lost.take(path)
    write_bytes(path, b"".join(line + b"\n" for _, line in sound_rows(content, inf)[0]))
    return f"moved to {place}; all sound rows are kept"


def _results(run: Path) -> Iterator[Fault]:
    try:
        RunSummary.read(run)
    except (UserError, OSError):
        parts = [path for name in ("summary.json", "checkpoints") if (path := run / name).exists()]
        again = parts if (run / "accuracy_matrix_test.csv").exists() else parts[:1]

        def mend(lost: LostAndFound) -> str:
            places = [lost.take(path) for path in again]
            return f"moved to {' and '.join(places)}; the run's command measures it again"

        yield Fault(Weight.LOST, run / "summary.json", "damaged", mend)
    for path in sorted(run.glob("accuracy_matrix*.csv")):
        try:
            AccuracyMatrix.read(path)
        except UserError as error:
            yield Fault(Weight.LOST, path, str(error).partition(": ")[2], _moved(path, "it is not drawn any more"))


def _wandb(folder: Path) -> Iterator[Fault]:
    for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        with path.open("rb") as file:
            head = file.read(4)
        if head != b":W&B":
            then = "wandb sync uploads the other runs"
            yield Fault(Weight.LOST, path.parent, "holds no W&B run", _moved(path.parent, then))


def _leftovers(folder: Path) -> Iterator[Fault]:
    """Of processes that are gone; none while another process holds the folder."""
    driver = driver_of(folder)
    if driver is not None and driver.alive is not False and driver.pid != os.getpid():
        return
    if driver is not None and driver.pid != os.getpid():
        path = folder / ".driver.json"
        yield Fault(
            Weight.LEFTOVER, path, f"names process {driver.pid}, which is gone", _moved(path, "nobody holds it")
        )
    for path in sorted(path for pattern in _HELPERS for path in folder.glob(pattern)):
        yield Fault(Weight.LEFTOVER, path, "of a session that was killed", _moved(path, "it is not needed"))
    for path in sorted(folder.rglob("*.partial-*")):
        writer = partial_writer(path)
        if writer is not None and not is_alive(writer) and LOST_AND_FOUND not in path.parts:
            yield Fault(
                Weight.LEFTOVER, path, "half written by a process that is gone", _moved(path, "it is not needed")
            )


def _counted(number: int, what: str) -> str:
    return f"{number} {what} is" if number == 1 else f"{number} {what}s are"


def _first(error: Exception) -> str:
    """What is wrong, on a line."""
    if isinstance(error, ConfigError):
        problem = error.problems[0]
        return f"line {problem.line}: {problem.message}" if problem.line else problem.message
    return str(error).strip().partition("\n")[0]
