"""Metrics of what was measured while tasks were being learned (`training.evaluate_every`), which the matrix hides.

De Lange et al. (2023, arXiv 2205.13452) found that earlier tasks can fall far and recover while a new one is learned.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from hypercl.training.metrics import Matrix, mean_or_nan


class Point(NamedTuple):
    """One evaluation of one replica."""

    task: int
    """The task being learned, t."""
    step: int
    """Its steps taken: 0 before the first; the last point of a task is taken once it is learned."""
    accuracies: Sequence[float]
    """On the tasks 0 .. t; nan once the replica diverged."""


def within_tasks(points: Sequence[Point], matrix: Matrix) -> dict[str, float]:
    """The metrics by their keys, fractions; nan where a stream of one task has none.

    With T tasks, and A_n(j) the accuracy on task j at the n-th point:

    - `average_anytime_accuracy`: mean over the points after the first step of a task of the mean of A_n over the tasks
      met (AAA in Soutif-Cormerais et al., 2023, arXiv 2308.10328).
    - `worst_case_accuracy`: A(T) / T + (1 - 1/T) min-ACC at the last point, min-ACC the mean over the earlier tasks of
      their lowest accuracy since they were learned (De Lange et al., 2023, WC-ACC).
    - `stability_gap`: how far an earlier task falls, while a new one is learned, below both its accuracy before and its
      accuracy after: mean over the new tasks t > 1 and the earlier ones j of min(first, last) - min_n A_n(j). Our
      number for what De Lange et al. (2023) show as curves.
    - `learning_curve_area`: mean over the tasks of the area under A_n(t) over the steps of t, as a share of them, by
      trapezoids: the LCA of Chaudhry et al. (2019, arXiv 1812.00420), with all steps of a task for their beta.
    - `zero_shot_transfer`: mean over the tasks t > 1 of the accuracy on t before its first step, minus that before any
      training: the forward transfer (FWT) of Lopez-Paz and Ranzato (2017), and of Avalanche.

    Args:
        points: of one replica, in order, each task's from its step 0 to its end.
        matrix: of accuracies, its first row measured before training, on the same samples as the points.
    """
    curves = [list(group) for _, group in groupby(points, lambda point: point.task)]
    tasks, last = len(curves), points[-1].accuracies
    since = [[point.accuracies[j] for point in points if point.task > j] for j in range(tasks - 1)]
    dips = [
        min(curve[0].accuracies[j], curve[-1].accuracies[j]) - min(point.accuracies[j] for point in curve)
        for t, curve in enumerate(curves)
        for j in range(t)
    ]
    lowest = mean_or_nan([min(accuracies) for accuracies in since])
    return {
        "average_anytime_accuracy": mean_or_nan([mean_or_nan(point.accuracies) for point in points if point.step]),
        "worst_case_accuracy": last[-1] / tasks + (1 - 1 / tasks) * lowest if tasks > 1 else last[-1],
        "stability_gap": mean_or_nan(dips),
        "learning_curve_area": mean_or_nan([_area(curve) for curve in curves]),
        "zero_shot_transfer": mean_or_nan(
            [curve[0].accuracies[t] - matrix[0][t] for t, curve in enumerate(curves) if t]
        ),
    }


def _area(curve: Sequence[Point]) -> float:
    """Under the accuracy on the task being learned, over its steps: a share of them."""
    parts = [
        (later.step - earlier.step) * (earlier.accuracies[-1] + later.accuracies[-1]) / 2
        for earlier, later in pairwise(curve)
    ]
    return sum(parts) / curve[-1].step
