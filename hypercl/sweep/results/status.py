"""How a sweep stands, seen from another shell: nothing is locked or changed."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from optuna.trial import FrozenTrial

from hypercl.config.models import task_count
from hypercl.folder_lock import Driver, driver_of
from hypercl.formatting import duration
from hypercl.sweep.final import final_is_open, final_rows
from hypercl.sweep.planner import planner_of
from hypercl.sweep.race import race_due
from hypercl.sweep.results.bounds import kept_words
from hypercl.sweep.results.cost import cost_rows
from hypercl.sweep.results.goals import best_rows
from hypercl.sweep.study import (
    ENDINGS,
    TRAINED,
    StudyRecord,
    counts_in_words,
    gpu_seconds_of,
    progress_of,
    read_sweep,
    state_of,
)


@dataclass(frozen=True)
class Running:
    """A trial that has begun and not ended."""

    number: int
    task: int
    """The task that it learns, from 1."""
    tasks: int
    step: int
    """Reports so far."""
    steps: int
    """Reports in all."""
    accuracy: float | None
    """Mean validation accuracy, or R², on the tasks met; None before the first report."""
    age_s: float
    """Seconds since it first began."""
    heard_s: float | None
    """Seconds since its newest file was written; None where it has none."""
    gpu_hours: float = 0.0
    """So far, as last written."""


@dataclass(frozen=True)
class Status:
    """A sweep at one moment."""

    record: StudyRecord
    driver: Driver | None
    counts: Counter[str]
    """Trials by how they ended, 'running' and 'waiting'."""
    running: list[Running]
    per_hour: float | None
    """Trials trained an hour by the driver that is alive; None before its first."""

    @property
    def trained(self) -> int:
        """Trials that count towards the budget."""
        return sum(self.counts[kind] for kind in TRAINED)

    @property
    def left_s(self) -> float | None:
        """Seconds to the end at that pace."""
        left = self.record.file.search.trials - self.trained
        return left / self.per_hour * 3600 if self.per_hour and left > 0 else None


def status_of(folder: Path, now: datetime | None = None) -> Status:
    """Reads how a sweep stands.

    Raises:
        UserError: the folder holds no sweep.
    """
    record = read_sweep(folder)
    moment = now or datetime.now(UTC)
    driver = driver_of(folder)
    running = [_running(record, trial, moment) for trial in record.trials if state_of(trial) == "running"]
    return Status(record, driver, record.counts(), running, _pace(record, driver, moment))


def status_rows(status: Status) -> list[tuple[str, str]]:
    """The status as rows of a name and a sentence."""
    file = status.record.file
    ended = counts_in_words(status.counts)
    rows = [
        ("sweep", str(status.record.folder)),
        ("driver", _driver(status)),
        ("trained", f"{status.trained} of {file.search.trials}" + (f": {ended}" if ended else "")),
        *planner_of(file).status_rows(status.record.trials),
    ]
    rows += best_rows(status.record)
    kept = kept_words(file, status.record.trials)
    if kept:
        rows.append(("bounds", kept))
    rows += final_rows(status.record)
    rows += cost_rows(status.record)
    if status.per_hour:
        rows.append(("pace", f"{status.per_hour:.3g} trials an hour"))
    if status.left_s is not None:
        end = datetime.fromtimestamp(datetime.now().timestamp() + status.left_s)
        rows.append(("left", f"about {duration(status.left_s)}, until {end:%a %H:%M}"))
    if status.counts["waiting"]:
        rows.append(("waiting", f"{status.counts['waiting']} trials are to be tried first"))
    return rows


def state_words(folder: Path) -> dict[str, str]:
    """How a trial stands (`hypercl.sweep.study.record.state_of`) in words; without a driver nothing is running."""
    driver = driver_of(folder)
    alive = driver is not None and driver.alive is not False
    open_words = {"running": "running" if alive else "to be resumed", "waiting": "waiting"}
    return {kind: ending.words for kind, ending in ENDINGS.items()} | open_words


def stage_of(status: Status) -> str:
    """'running', 'done' or 'to be resumed'; 'on HOST' where only another machine knows."""
    driver, file, trials = status.driver, status.record.file, status.record.trials
    if driver is not None and driver.alive is not False:
        return "running" if driver.alive else f"on {driver.host}"
    searched = status.trained >= file.search.trials or planner_of(file).over(trials)
    done = searched and not race_due(status.record) and not final_is_open(status.record)
    return "done" if done else "to be resumed"


def _driver(status: Status) -> str:
    driver = status.driver
    if stage_of(status) == "done":
        return "none: the sweep is done"
    if driver is None:
        return "none: rerun the sweep's command to resume"
    who = f"process {driver.pid} on {driver.host}, since {driver.since.astimezone():%Y-%m-%d %H:%M}"
    if driver.alive is None:
        return f"{who} (another host: it cannot be asked)"
    return who if driver.alive else f"none: {who}, has died; rerun the sweep's command to resume"


def _running(record: StudyRecord, trial: FrozenTrial, now: datetime) -> Running:
    reports, tasks = record.file.pruner.reports_per_task, task_count(record.file.experiment.tasks)
    told = progress_of(record.file, trial)
    step, value = told[-1] if told else (0, None)
    met = -(-step // reports)
    began = trial.datetime_start
    return Running(
        number=trial.number,
        task=min(step // reports + 1, tasks),
        tasks=tasks,
        step=step,
        steps=reports * tasks,
        accuracy=None if value is None else value * tasks / met,
        age_s=(now - began.astimezone(UTC)).total_seconds() if began else 0.0,
        heard_s=_heard(record.trial_folder(trial.number), now),
        gpu_hours=gpu_seconds_of(trial, 0.0) / 3600,
    )


def _heard(folder: Path, now: datetime) -> float | None:
    times = [path.stat().st_mtime for path in (*folder.glob("*"), *folder.glob("checkpoints/*")) if path.is_file()]
    return max(0.0, now.timestamp() - max(times)) if times else None


def _pace(record: StudyRecord, driver: Driver | None, now: datetime) -> float | None:
    if driver is None or driver.alive is False:
        return None
    ends = [trial.datetime_complete for trial in record.trials if state_of(trial) in TRAINED]
    done = sum(end is not None and end.astimezone(UTC) >= driver.since for end in ends)
    hours = (now - driver.since).total_seconds() / 3600
    return done / hours if done and hours > 0 else None
