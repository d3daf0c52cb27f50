"""`pruner`: which trials are ended before they are trained in full."""

from typing import Annotated, Literal

from pydantic import Field

from hypercl.config.models.imported import Imported
from hypercl.config.models.section import Count, Fraction, Kinds, Number, Section, Whole


class _Pruner(Section):
    reports_per_task: Count = 4
    """Intermediate values per task: the scale of progress, equal for all trials."""


class _Stopping(Section):
    warmup_tasks: Count = 2
    """Tasks learned before a trial may be pruned: before the second task nothing can be forgotten."""


class _Halving(_Stopping):
    reduction_factor: Annotated[Whole, Field(ge=2)] = 2
    """One trial in this many is kept at each rung; also the ratio between rungs."""


class _Ranking(_Stopping):
    startup_trials: Annotated[Whole, Field(ge=0)] = 5
    """Trials that must be complete before any is pruned."""


class ASHARule(_Halving):
    """Asynchronous successive halving. Source: Li et al. (2020), arXiv 1810.05934."""

    name: Literal["asha"] = "asha"


class MedianRule(_Ranking):
    """Prunes a trial that is below the median of the earlier ones at the same step."""

    name: Literal["median"] = "median"


class PercentileRule(_Ranking):
    """Prunes a trial that is below a percentile of the earlier ones at the same step."""

    name: Literal["percentile"] = "percentile"
    percentile: Annotated[Number, Field(gt=0, lt=100)] = 25.0
    """Percentage of best trials that are kept; 50 is the median."""


class ThresholdRule(_Stopping):
    """Prunes a trial whose mean accuracy over the tasks met so far is below a floor when a task has been learned."""

    name: Literal["threshold"] = "threshold"
    floor: Annotated[Number, Field(gt=0, lt=1)] = 0.5
    """The lowest mean validation accuracy, a fraction."""


_Rule = Annotated[ASHARule | MedianRule | PercentileRule | ThresholdRule, Kinds(default=ASHARule)]


class ASHA(ASHARule, _Pruner):
    """Asynchronous successive halving. Source: Li et al. (2020), arXiv 1810.05934."""


class Hyperband(_Halving, _Pruner):
    """Successive halving in several brackets, the later ones with a later first rung. Source: Li et al. (2018)."""

    name: Literal["hyperband"] = "hyperband"


class Median(MedianRule, _Pruner):
    """Prunes a trial that is below the median of the earlier ones at the same step."""


class Percentile(PercentileRule, _Pruner):
    """Prunes a trial that is below a percentile of the earlier ones at the same step."""


class Threshold(ThresholdRule, _Pruner):
    """Prunes a trial whose mean accuracy over the tasks met so far is below a floor when a task has been learned."""


class Patient(_Stopping, _Pruner):
    """Prunes a trial whose progress (mean accuracy over the whole stream, which rises as tasks are met) fell back."""

    name: Literal["patient"] = "patient"
    patience: Count = 4
    """Number of reports in a row below the best earlier one after which a trial is pruned."""
    min_delta: Fraction = 0.0
    """How far below it they must stay, in mean accuracy over the whole stream."""
    rule: _Rule | None = None
    """Another rule that must also want to prune the trial; null is none."""


class ImportedPruner(Imported, _Stopping, _Pruner):
    """A pruner of your own, or any of Optuna's, by import path: `pruner: {import: "my_pruner:Mine"}`."""

    name: Literal["import"] = "import"


class NoPruner(_Pruner):
    """Every trial is trained to its end."""

    name: Literal["none"] = "none"


Pruner = Annotated[
    ASHA | Hyperband | Median | Percentile | Patient | Threshold | ImportedPruner | NoPruner, Kinds(default=ASHA)
]
