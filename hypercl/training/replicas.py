"""From each replica's numbers to those of the run: means, spreads, rows, matrices.

A replica that diverged has nan. A mean of those left would flatter the setting, so an accuracy counts as 0 in a mean.
"""

from collections.abc import Container, Mapping, Sequence
from math import isnan, nan
from statistics import stdev
from typing import Any, TypeVar

from hypercl.config import Experiment
from hypercl.training.metrics import PER_TASK, Matrix
from hypercl.training.progress import Row

Value = TypeVar("Value")

WORST = {
    "final_accuracy": 0.0,
    "during_accuracy": 0.0,
    "forgetting": 1.0,
    "backward_transfer": -1.0,
    "task_inference_accuracy": 0.0,
    "calibration_error": 1.0,
    "average_anytime_accuracy": 0.0,
    "worst_case_accuracy": 0.0,
    "stability_gap": 1.0,
    "learning_curve_area": 0.0,
    "zero_shot_transfer": -1.0,
}
"""What a replica that diverged counts as in the means of the metrics."""


def seeds_name(experiment: Experiment) -> str:
    """`seed-1`, or `seeds-1-4` of replicas: a run's own folder."""
    first, count = experiment.training.seed, experiment.training.replicas
    return f"seed-{first}" if count == 1 else f"seeds-{first}-{first + count - 1}"


def without(each: Sequence[Value], diverged: Container[int], instead: Value) -> list[Value]:
    """The replicas' values, with another in the place of each that diverged."""
    return [instead if place in diverged else value for place, value in enumerate(each)]


def mean(values: Sequence[float], instead: float | None = None) -> float:
    """The mean over replicas.

    Args:
        values: of each, nan where it diverged.
        instead: what nan counts as; None leaves it out.
    """
    left = [value for value in values if not isnan(value)]
    if instead is not None:
        left += [instead] * (len(values) - len(left))
    return sum(left) / len(left) if left else nan


def rows(measured: Mapping[str, Sequence[float]], instead: float | None = None) -> Row:
    """What was measured of each replica, for metrics.jsonl: the mean by its key, each by `replica_<number>/key`."""
    means = {key: mean(values, instead) for key, values in measured.items()}
    if all(len(values) == 1 for values in measured.values()):
        return means
    count = max(map(len, measured.values()))
    each = {f"replica_{place + 1}/{key}": values[place] for place in range(count) for key, values in measured.items()}
    return means | each


def row_of(row: Row, place: int) -> Row:
    """A replica's own row: its own values where `rows` told them apart, else those of all."""
    common = {key: value for key, value in row.items() if not key.startswith("replica_")}
    return {key: row.get(f"replica_{place + 1}/{key}", value) for key, value in common.items()}


def joined_rows(replicas: Sequence[Sequence[Row]]) -> list[Row]:
    """The rows of all replicas from those that each has by itself."""
    return [
        {**own[0], **{f"replica_{place}/{key}": row[key] for place, row in enumerate(own, start=1) for key in row}}
        for own in zip(*replicas, strict=True)
    ]


def mean_matrix(matrices: Sequence[Matrix], instead: float | None = 0.0) -> Matrix:
    """The mean of the replicas' matrices, one that diverged counting `instead`; nan where no replica was measured."""
    if len(matrices) == 1:
        return matrices[0]
    cells = zip(*matrices, strict=True)
    return [[nan if all(map(isnan, cell)) else mean(cell, instead) for cell in zip(*row, strict=True)] for row in cells]


def mean_of(each: Sequence[Mapping[str, Any]], diverged: Sequence[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Mean and spread of the replicas' metrics by their keys; null with a `why` where one cannot be known.

    Args:
        each: from `hypercl.training.metrics.summarize`, of two or more replicas.
        diverged: places of the replicas that diverged, which count with `WORST`; a squared error or a user's own
            metric has no known worst value, so its mean is None.
    """
    left = next(metrics for place, metrics in enumerate(each) if place not in diverged)
    known = [key for key, value in left.items() if isinstance(value, float)]
    unknown = {key: None for key in known if diverged and key not in WORST}
    known = [key for key in known if key not in unknown]
    values = {key: without([metrics[key] for metrics in each], diverged, WORST.get(key, nan)) for key in known}
    per_task: dict[str, dict[str, float]] = {}
    for key in (key for key in PER_TASK if key in left):
        worst = 0.0 if key == "final_accuracy_per_task" else nan  # of a regression's error there is no worst
        per_task[key] = {
            task: mean([worst if place in diverged else of[key][task] for place, of in enumerate(each)])
            for task in left[key]
        }
    means = {**left, **{key: mean(values[key]) for key in known}, **unknown, **per_task}
    return means, {key: stdev(values[key]) for key in known}
