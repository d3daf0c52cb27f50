"""What a finished run measured, as loggers show it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hypercl.analysis import matrix_figure
from hypercl.config.models import is_mapping
from hypercl.training import AccuracyMatrix, RunSummary


def final_metrics(summary: RunSummary) -> dict[str, int | float]:
    """The numbers of a summary, nested keys joined by slashes: `validation/final_accuracy`."""
    return {key: value for key, value in _flatten(summary.plain()).items() if isinstance(value, int | float)}


def _flatten(summary: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in summary.items():
        if is_mapping(value):
            flat |= _flatten(value, f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def heat_map(data: str, matrix: AccuracyMatrix, summary: RunSummary) -> Any:
    """A picture of an accuracy matrix, of a regression of R^2, (height, width, 4)."""
    regression = any("final_mse" in metrics for metrics in summary.metrics.values())
    score = "R\u00b2" if regression else "Accuracy"
    canvas = FigureCanvasAgg(matrix_figure(matrix, f"{score} on {data} data"))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())
