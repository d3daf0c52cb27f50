"""How far apart the seeds of a trial are: `search.seeds` (or training.replicas) gives each setting several."""

from typing import Any

from hypercl.config import SweepFile
from hypercl.sweep.study.outcome import Outcome
from hypercl.training.replicas import WORST

SPREAD, SEEDS = "spread", "seeds"
"""The user attributes of a trial: the sample standard deviation of the objective over its seeds, and their values."""


def spread_of(metrics: dict[str, float], metric: str) -> float | None:
    """The sample standard deviation of a metric over a trial's seeds; None where it had one seed."""
    return metrics.get(f"spread/{metric}")


def attributes(file: SweepFile, outcome: Outcome) -> dict[str, Any]:
    """`spread` and `seeds` of the (first) objective; nothing for a trial of one seed, or one that is not complete.

    A seed that diverged has the worst value here, as in the mean, so that the mean of `seeds` is the trial's value.
    """
    metric = file.objective.metric
    spread = spread_of(outcome.metrics, metric)
    if outcome.kind != "complete" or spread is None:
        return {}
    worst = WORST.get(metric.removeprefix("validation/"), 0.0)
    places = range(1, file.experiment.training.replicas + 1)
    return {SPREAD: spread, SEEDS: [outcome.metrics.get(f"replica_{place}/{metric}", worst) for place in places]}


def with_spread(text: str, metrics: dict[str, float], metric: str, form: str = ".4f") -> str:
    """A value in words, and ' ± ' its spread where there were several seeds."""
    spread = spread_of(metrics, metric)
    return text if spread is None else f"{text} ± {spread:{form}}"
