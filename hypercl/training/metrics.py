"""Everything that is computed from an accuracy matrix.

a[i][j] is the accuracy (of a regression R^2, at least 0) on task j after learning task i; row 0 is before any training,
nan where it was not measured.
Definitions: ../shared/spec/protocols.md (Lopez-Paz & Ranzato, arXiv 1706.08840; Chaudhry et al., arXiv 1801.10112).
"""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

Matrix = Sequence[Sequence[float]]
PER_TASK = ("final_accuracy_per_task", "final_mse_per_task")
"""Of a summary: task -> value; the second of a regression alone."""


def final_accuracy(matrix: Matrix) -> float:
    """Mean over the tasks after the last one: mean_j a[T][j]."""
    return mean_or_nan(matrix[-1])


def during_accuracy(matrix: Matrix) -> float:
    """Mean over the tasks, each when it was just learned: mean_j a[j][j]."""
    return mean_or_nan([matrix[task + 1][task] for task in range(len(matrix) - 1)])


def forgetting(matrix: Matrix) -> float:
    """How far the earlier tasks fell from their best: mean_{j<T} (max_{i<T} a[i][j] - a[T][j]); nan for one task."""
    tasks = len(matrix) - 1
    falls = [
        max(matrix[i][j] for i in range(1, tasks) if not isnan(matrix[i][j])) - matrix[tasks][j]
        for j in range(tasks - 1)
    ]
    return mean_or_nan(falls)


def backward_transfer(matrix: Matrix) -> float:
    """What learning later tasks did to earlier ones: mean_{j<T} (a[T][j] - a[j][j]); nan for one task."""
    tasks = len(matrix) - 1
    return mean_or_nan([matrix[tasks][j] - matrix[j + 1][j] for j in range(tasks - 1)])


def summarize(
    matrix: Matrix,
    inferred: Matrix | None = None,
    scenario: str = "task",
    mse: Matrix | None = None,
    more: Mapping[str, float | None] | None = None,
    why_not: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The metrics of one accuracy matrix by their keys, fractions; null with a `why` where one cannot be known.

    Args:
        matrix: of accuracies.
        inferred: the same of shares of samples whose task was inferred rightly.
        scenario: of the stream.
        mse: the same of a regression's mean squared errors, which give `final_mse` and `during_mse`.
        more: metrics that were measured otherwise, nan where they need more tasks than there are.
        why_not: why one of those is None.
    """
    values: dict[str, float | None] = {
        "final_accuracy": final_accuracy(matrix),
        "during_accuracy": during_accuracy(matrix),
        "forgetting": forgetting(matrix),
        "backward_transfer": backward_transfer(matrix),
        "forward_transfer": None,
        "intransigence": None,
        "task_inference_accuracy": mean_or_nan(inferred[-1]) if inferred else None,
        **(more or {}),
    }
    why = {
        "forward_transfer": "needs the accuracies of the same target trained from scratch (method: scratch)",
        "intransigence": "needs the accuracies of the same target trained on all tasks met together (method: joint)",
        **(why_not or {}),
    }
    if not inferred:
        why["task_inference_accuracy"] = (
            "the task's identity is given (scenario: task)"
            if scenario == "task"
            else "the method infers no task, and tasks share outputs"
        )
    for key, value in values.items():
        if value is not None and isnan(value):
            values[key] = None
            why[key] = "needs at least two tasks"
    if mse:
        values |= {"final_mse": final_accuracy(mse), "during_mse": during_accuracy(mse)}
    per_task = {"final_accuracy_per_task": _per_task(matrix)} | ({"final_mse_per_task": _per_task(mse)} if mse else {})
    return {**values, **per_task, "why": why}


def unknown(summary: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """All metrics null, for one reason: by the keys of those of another matrix."""
    values = [key for key, value in summary.items() if not isinstance(value, dict)]
    per_task = {key: dict.fromkeys(of) for key, of in summary.items() if key in PER_TASK}
    return {**dict.fromkeys(values), **per_task, "why": dict.fromkeys(values, reason)}


def _per_task(matrix: Matrix) -> dict[str, float]:
    return {f"task_{task + 1}": value for task, value in enumerate(matrix[-1])}


def mean_or_nan(values: Sequence[float]) -> float:
    """The mean; nan of nothing."""
    return sum(values) / len(values) if values else float("nan")
