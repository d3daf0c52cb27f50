"""What a sweep cost: hours of training, GPU-hours, floating-point operations; of the search, races and the final step
apart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial

from hypercl.config import UserError
from hypercl.sweep.study.gpu_time import GPU_TIME, GPUS, run_key
from hypercl.sweep.study.outcome import TRAINED
from hypercl.sweep.study.record import StudyRecord, decided
from hypercl.training import RunSummary


@dataclass(frozen=True)
class TuningCost:
    """What trials cost, or runs beside the study. A trial that is still running is not among them."""

    trials: int
    """That were begun and have ended: stopped, diverged and failed ones too. A suggestion out of bounds costs
    nothing."""
    trained: int
    """Of these, that count towards the budget; of runs, those that are done."""
    hours: float
    """Of training and of evaluation while it went on, over all restarts, each trial's own: two at once count twice."""
    gpu_hours: float
    """The same times the share of GPUs that each had."""
    flops: int | None
    """Floating-point operations of training steps (`hypercl.training.flops` says which); None where none are known."""
    untimed: int = 0
    """Trials whose time is not included: they ended before their first report."""
    uncounted: int = 0
    """Trials whose operations are not included."""

    def plain(self) -> dict[str, Any]:
        """As it stands in a file."""
        return asdict(self)


def cost_of(found: StudyRecord | Iterable[FrozenTrial], gpus: float = 0.0) -> TuningCost:
    """What the trials of a sweep cost.

    A trial that was stopped or that failed is counted up to its last report.

    Args:
        found: a sweep, or trials of one.
        gpus: the share of GPUs of a trial that does not hold its own GPU time; of a sweep its own holds.
    """
    if isinstance(found, StudyRecord):
        found, gpus = found.trials, float(found.attributes.get(GPUS, gpus))
    outcomes = [outcome for outcome in map(decided, found) if outcome is not None and outcome.kind != "infeasible"]
    trained = sum(outcome.kind in TRAINED for outcome in outcomes)
    return _sum([(outcome.seconds, outcome.flops, outcome.gpu_seconds) for outcome in outcomes], trained, gpus)


def cost_of_runs(folder: Path, gpus: float = 0.0, known: Mapping[str, Sequence[float]] | None = None) -> TuningCost:
    """What the runs beside the study cost: those of races in `<results>/race/`, of the final step in
    `<results>/final/`. A run that was lost, or is not done, is not counted, and that is said.

    Args:
        folder: holds a folder for each setting, with one for each run.
        gpus: the share of GPUs of a run whose GPU time is not known.
        known: seconds and GPU-seconds of runs (`hypercl.sweep.study.gpu_time.run_key`).
    """
    runs = [path for path in sorted(folder.glob("*/*")) if path.is_dir()]
    summaries = [_summary(path) for path in runs]
    times = {path: own[1] for path in runs if (own := (known or {}).get(run_key(folder.parent, path)))}
    each = [
        (summary.seconds, summary.flops, times.get(path)) if summary else (None, None, 0.0)
        for path, summary in zip(runs, summaries, strict=True)
    ]
    return _sum(each, sum(summary is not None for summary in summaries), gpus)


def tuning_cost(record: StudyRecord) -> dict[str, float | None]:
    """What the tuning of a sweep has cost so far, trials and runs on further seeds: `trials`, `hours`, `gpu_hours`,
    `flops`."""
    gpus = float(record.attributes.get(GPUS, 0.0))
    known = record.attributes.get(GPU_TIME, {})
    parts = [cost_of(record), *(cost_of_runs(record.folder / kind, gpus, known) for kind in ("confirm", "race"))]
    flops = [part.flops for part in parts if part.flops is not None]
    return {
        "trials": record.trained,
        "hours": sum(part.hours for part in parts),
        "gpu_hours": sum(part.gpu_hours for part in parts),
        "flops": sum(flops) if flops else None,
    }


def note_gpus(study: Study, gpus: float) -> None:
    """Keeps the share of GPUs of a trial, which the table, the report and results of earlier versions go by."""
    if study.user_attrs.get(GPUS) != gpus:
        study.set_user_attr(GPUS, gpus)


def _sum(each: Sequence[tuple[float | None, float | None, float | None]], trained: int, gpus: float) -> TuningCost:
    """Of seconds, operations and GPU-seconds."""
    seconds = [time for time, _, _ in each if time is not None]
    counted = [int(flops) for _, flops, _ in each if flops is not None]
    gpu_seconds = sum((time or 0.0) * gpus if known is None else known for time, _, known in each)
    hours = sum(seconds) / 3600
    return TuningCost(
        trials=len(each),
        trained=trained,
        hours=hours,
        gpu_hours=gpu_seconds / 3600,
        flops=sum(counted) if counted else None,
        untimed=len(each) - len(seconds),
        uncounted=len(each) - len(counted),
    )


def _summary(folder: Path) -> RunSummary | None:
    """What a run measured; None while it is not done, and where its file is damaged."""
    try:
        return RunSummary.read(folder)
    except (OSError, UserError):
        return None
