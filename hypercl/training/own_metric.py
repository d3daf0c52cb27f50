"""A metric of the user's own: a function of what one seed of a run measured on one data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any

from hypercl.config import UserError
from hypercl.config.models import Imported
from hypercl.training.metrics import Matrix, summarize
from hypercl.user_code import user_code


@dataclass(frozen=True)
class SeedMeasures:
    """What a metric is computed from: of one seed, on one data set."""

    accuracies: Matrix
    """a[i][j], a fraction: on task j after learning task i; row 0 is before any training, nan where not measured."""
    inferred: Matrix | None
    """The same of shares of samples whose task was inferred correctly; None where no task is inferred."""
    metrics: Mapping[str, Any]
    """The package's own metrics by their names, such as `final_accuracy`; None where one cannot be known."""
    parameters: int
    """Of the hypernetwork with its task embeddings, or of the target where there is none."""
    compression_ratio: float | None
    """Those over the target's parameters."""


@dataclass(frozen=True)
class OwnMetric:
    """A function of `SeedMeasures` by import path."""

    given: Imported
    import_paths: Sequence[Path]

    @property
    def name(self) -> str:
        """Its key in a summary."""
        return self.given.short_name

    def value(self, measured: SeedMeasures) -> float:
        """The function's answer.

        Raises:
            UserError: it is not found, may not be called, fails, or answers with no finite number.
        """
        path = self.given.import_
        with user_code("objective", path, self.import_paths) as function:
            answer = function(measured, **self.given.kwargs)
            try:
                value = float(answer)
            except (TypeError, ValueError):
                value = nan
        if not isfinite(value):
            raise UserError(f"objective: {path} returned {answer!r}\n    fix:     return a finite number")
        return value


def try_metrics(given: Sequence[Imported], import_paths: Sequence[Path], tasks: int) -> None:
    """Computes each metric once, of accuracies that are made up.

    Raises:
        UserError: one cannot be computed.
    """
    matrix = [[0.5] * tasks for _ in range(tasks + 1)]
    measured = SeedMeasures(matrix, matrix, summarize(matrix, matrix), 1_000, 0.5)
    for one in given:
        OwnMetric(one, import_paths).value(measured)
