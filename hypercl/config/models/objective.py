"""What a sweep seeks, and within which bounds."""

from typing import Any, Literal, NamedTuple, get_args

from pydantic import field_validator, model_validator

from hypercl.config.models.imported import Imported
from hypercl.config.models.section import NotNegative, Section, is_list

Metric = Literal[
    "validation/final_accuracy",
    "validation/during_accuracy",
    "validation/forgetting",
    "validation/backward_transfer",
    "validation/task_inference_accuracy",
    "validation/final_mse",
    "validation/during_mse",
    "validation/calibration_error",
    "validation/average_anytime_accuracy",
    "validation/worst_case_accuracy",
    "validation/stability_gap",
    "validation/learning_curve_area",
    "validation/zero_shot_transfer",
    "compression_ratio",
    "parameters",
    "seconds",
    "peak_memory_gib",
]
METRICS: tuple[str, ...] = get_args(Metric)
OF_EARLIER_TASKS = (
    "validation/forgetting",
    "validation/backward_transfer",
    "validation/stability_gap",
    "validation/zero_shot_transfer",
)
"""Metrics of a stream of at least two tasks."""
WITHIN_TASKS = METRICS[METRICS.index("validation/average_anytime_accuracy") : METRICS.index("compression_ratio")]
"""Metrics that are measured with `training.evaluate_every` alone."""
AnyMetric = Metric | Imported


class Bound(Section):
    """The least and the most a quantity may be."""

    min: NotNegative | None = None
    """No less than this."""
    max: NotNegative | None = None
    """No more than this."""

    @model_validator(mode="after")
    def _something(self) -> "Bound":
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class Constraints(Section):
    """Bounds. Of what is known before training, a suggestion outside costs nothing; what is measured by training is
    judged afterwards, and the best setting is the best of those within."""

    compression_ratio: Bound | None = None
    """(Hypernetwork parameters + task embeddings) / target parameters."""
    parameters: Bound | None = None
    """Hypernetwork parameters, task embeddings included."""
    forgetting: Bound | None = None
    """How far the earlier tasks fell from their best, on validation data; measured."""
    during_accuracy: Bound | None = None
    """Accuracy on each task when it was just learned, on validation data; measured."""
    seconds: Bound | None = None
    """Seconds of training of a trial; measured."""
    peak_memory_gib: Bound | None = None
    """Peak memory of a trial in GiB: of the accelerator where there is one; measured."""

    @property
    def known_before(self) -> dict[str, Bound]:
        """Those that need no training, by their names."""
        return {name: bound for name in KNOWN_BEFORE if (bound := getattr(self, name)) is not None}

    @property
    def measured(self) -> dict[str, Bound]:
        """Those that training tells, by their names."""
        return {name: bound for name in MEASURED if (bound := getattr(self, name)) is not None}


KNOWN_BEFORE = ("compression_ratio", "parameters")
MEASURED = ("forgetting", "during_accuracy", "seconds", "peak_memory_gib")


def _listed(value: Any) -> Any:
    """One metric is a list of one."""
    return value if value is None or is_list(value) else (value,)


def _never_test(value: Any) -> Any:
    if str(value).startswith("test/"):
        raise ValueError(f"test data is never read while tuning: use {str(value).replace('test/', 'validation/')}")
    return value


def _key(metric: AnyMetric) -> str:
    return f"validation/{metric.short_name}" if isinstance(metric, Imported) else metric


Metrics = AnyMetric | tuple[AnyMetric, ...] | None


class Goal(NamedTuple):
    """One metric and where it should go."""

    metric: str
    direction: Literal["maximize", "minimize"]

    @property
    def sign(self) -> float:
        """Times a value: the smaller the better."""
        return -1.0 if self.direction == "maximize" else 1.0


class Objective(Section):
    """What is sought, always measured on validation data: one metric, or several at once. A metric of your own is a
    function by import path, `{import: "my_metric:worst_task"}`, and named `validation/worst_task`."""

    maximize: Metrics = None
    """The metric to raise, or a list of them (default: validation/final_accuracy)."""
    minimize: Metrics = None
    """The metric to lower, or a list of them; beside maximize, the sweep looks for the best compromises."""

    @field_validator("maximize", "minimize", mode="before")
    @classmethod
    def _on_validation_data(cls, value: Any) -> Any:
        return [_never_test(each) for each in value] if is_list(value) else _never_test(value)

    @model_validator(mode="before")
    @classmethod
    def _default(cls, data: Any) -> Any:
        return {"maximize": "validation/final_accuracy"} if data == {} else data

    @model_validator(mode="after")
    def _some(self) -> "Objective":
        metrics = [goal.metric for goal in self.goals]
        if not metrics:
            raise ValueError("give maximize, minimize or both")
        if len(set(metrics)) < len(metrics):
            raise ValueError("duplicate metric")
        taken = [one.import_ for one in self.own if f"validation/{one.short_name}" in METRICS]
        if taken:
            raise ValueError(f"{taken[0]} has the name of a metric that is there already: give the function another")
        return self

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Every metric with its direction; those to raise first."""
        up = [Goal(_key(metric), "maximize") for metric in _listed(self.maximize) or ()]
        return (*up, *(Goal(_key(metric), "minimize") for metric in _listed(self.minimize) or ()))

    @property
    def own(self) -> tuple[Imported, ...]:
        """The metrics that are a user's own."""
        both = (*(_listed(self.maximize) or ()), *(_listed(self.minimize) or ()))
        return tuple(metric for metric in both if isinstance(metric, Imported))

    @property
    def metric(self) -> str:
        """The first goal's metric."""
        return self.goals[0].metric

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """The first goal's direction, in Optuna's word."""
        return self.goals[0].direction
