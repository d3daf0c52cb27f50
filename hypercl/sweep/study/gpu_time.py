"""GPU time of trials and of runs beside the study: kept with them, so that a resumed sweep continues to count."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypercl.config import UserError
from hypercl.sweep.study.outcome import OUTCOME
from hypercl.training import RunSummary

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

GPUS = "gpus"
"""The user attribute of a study that holds the share of GPUs of a trial, where a trial does not hold its own time."""
GPU_TIME = "gpu_time"
"""The user attribute of a trial, `GpuTime` so far; of the study, by the folders of runs beside it."""
PRICE = "price_per_gpu_hour"
"""The user attribute of a study that holds the price that was given last."""
RUNS = ("confirm", "race", "final")
"""The folders of runs beside the study."""


@dataclass(frozen=True)
class GpuTime:
    """What a trial has taken up to a moment."""

    seconds: float = 0.0
    """Of its training, over all restarts."""
    gpu_seconds: float = 0.0
    """Each second times the share of GPUs that the trial had in it."""

    def at(self, seconds: float, share: float) -> "GpuTime":
        """At another moment, with the same share of GPUs since; earlier, where a restart lost some of the time."""
        return GpuTime(seconds, max(0.0, self.gpu_seconds + share * (seconds - self.seconds)))

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> "GpuTime":
        """As it stands in a trial's user attributes."""
        return cls(*attributes.get(GPU_TIME, (0.0, 0.0)))

    @property
    def plain(self) -> list[float]:
        """As it is stored."""
        return [round(self.seconds, 3), round(self.gpu_seconds, 3)]


def gpu_seconds_of(trial: "FrozenTrial", gpus: float) -> float:
    """GPU-seconds of a trial so far, ended or not.

    Args:
        trial: of a sweep.
        gpus: the share of GPUs of a trial that does not hold its own time: of an earlier version.
    """
    outcome = trial.user_attrs.get(OUTCOME)
    if outcome is None:
        return GpuTime.of(trial.user_attrs).gpu_seconds
    known = outcome.get("gpu_seconds")
    return (outcome.get("seconds") or 0.0) * gpus if known is None else known


def runs_of_earlier(folder: Path, known: Mapping[str, Any]) -> dict[str, GpuTime]:
    """Runs beside the study that are done and have no time of their own: of an earlier version.

    Args:
        folder: the sweep's results.
        known: keys of runs that have one (`run_key`).
    """
    paths = [path for kind in RUNS for path in sorted((folder / kind).glob("*/*")) if path.is_dir()]
    found = {key: _seconds(path) for path in paths if (key := run_key(folder, path)) not in known}
    return {key: GpuTime(seconds) for key, seconds in found.items() if seconds is not None}


def run_key(folder: Path, run: Path) -> str:
    """A run beside the study by its folder: `race/trial-7/seeds-1-4`."""
    return run.relative_to(folder).as_posix()


def used_gpu_hours(folder: Path, trials: "Iterable[FrozenTrial]", attributes: Mapping[str, Any]) -> float:
    """GPU-hours of a sweep so far: its trials, those running too, races, confirming stage and final step.

    Args:
        folder: the sweep's results.
        trials: of its study, of all drivers.
        attributes: of its study.
    """
    gpus, known = float(attributes.get(GPUS, 0.0)), attributes.get(GPU_TIME, {})
    earlier = sum(time.seconds for time in runs_of_earlier(folder, known).values()) if gpus else 0.0
    return (
        sum(gpu_seconds_of(trial, gpus) for trial in trials)
        + sum(gpu_seconds for _, gpu_seconds in known.values())
        + gpus * earlier
    ) / 3600


def _seconds(folder: Path) -> float | None:
    try:
        summary = RunSummary.read(folder)
    except (OSError, UserError):
        return None
    return summary.seconds if summary is not None else None
