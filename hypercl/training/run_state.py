"""The state of a run: all that a checkpoint holds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from hypercl.methods import State
from hypercl.training.progress import Report, Row
from hypercl.training.validation_monitor import Notes

_OF_EACH = ("matrices", "inferred", "mse", "calibration")
"""Fields of a run state that are lists with one item a replica, or empty."""


@dataclass
class RunState:
    """The one thing in a run that changes."""

    state: State
    """The learner's state."""
    task: int = 0
    """The task being learned; the number of tasks once all are."""
    step: int = 0
    """Steps of this task done."""
    iteration: int = 0
    """Steps of the whole run done."""
    spent: list[int] = field(default_factory=list[int])
    """Steps of each task learned: fewer than planned where early stopping ended a task."""
    flops_a_step: dict[int, int] = field(default_factory=dict[int, int])
    """Task -> floating-point operations of one of its steps, of all replicas."""
    uncounted: str = ""
    """Why operations are not counted; '' while they are."""
    capture: dict[int, str] = field(default_factory=dict[int, str])
    """Task -> how its steps are taken, where they can be recorded (`training.capture`)."""
    notes: Notes = field(default_factory=Notes)
    """What the checks of this task have found."""
    best: State | None = None
    """What the learner knew at this task's best check, where early stopping is to put it back."""
    matrices: list[list[list[float]]] = field(default_factory=list[list[list[float]]])
    """Rows of each replica's validation accuracy matrix so far; nan from where it diverged."""
    inferred: list[list[list[float]]] = field(default_factory=list[list[list[float]]])
    """The same of the shares of samples whose task was inferred correctly; empty where no task is inferred."""
    mse: list[list[list[float]]] = field(default_factory=list[list[list[float]]])
    """The same of the mean squared errors of a regression; empty of classes."""
    points: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Evaluations of `training.evaluate_every`, as the arguments of `Point`; `accuracies` of each replica."""
    calibration: list[float] = field(default_factory=list[float])
    """Each replica's calibration error on validation data, as of the last task learned."""
    diverged: dict[int, str] = field(default_factory=dict[int, str])
    """A sentence on each replica that diverged, by its place."""
    groups: list[int] = field(default_factory=lambda: [1])
    """Replicas of each group, as memory had room when the run began."""
    data: list[str] = field(default_factory=list[str])
    """Digest of the data of each task read so far."""
    target: list[float] = field(default_factory=list[float])
    """Fingerprint of a user's own target; of a stream of unknown length as it is for the first task."""
    reports: list[Report] = field(default_factory=list[Report])
    """Reports so far, without their rows."""
    rows: list[Row] = field(default_factory=list[Row])
    """Rows that belong to the next report."""
    untold: Report | None = None
    """The newest report with its rows, until it is known to have been heard."""
    seconds: float = 0.0
    """Time so far, over all restarts."""

    def is_counted(self, task: int) -> bool:
        """Whether the operations of a task's step are known, or that they cannot be."""
        return task in self.flops_a_step or bool(self.uncounted)

    @property
    def is_evaluated(self) -> bool:
        """Whether the last of the points is of this step."""
        last = self.points[-1] if self.points else {}
        return (last.get("task"), last.get("step")) == (self.task, self.step)

    @property
    def reported(self) -> int:
        """Step of the newest report; 0 before the first."""
        return self.reports[-1].step if self.reports else 0

    @property
    def flops_per_task(self) -> list[int | None]:
        """Operations of each task that has begun: those of one step times its steps; None where none was counted."""
        steps = [*self.spent, self.step] if self.step else self.spent
        each = [self.flops_a_step.get(task) for task in range(len(steps))]
        return [None if count is None else count * taken for count, taken in zip(each, steps, strict=True)]

    @property
    def flops(self) -> int | None:
        """Operations of all steps so far; None where some were not counted."""
        known = [count for count in self.flops_per_task if count is not None]
        return sum(known) if len(known) == len(self.flops_per_task) else None

    def measured_of(self, replica: int) -> dict[str, Any]:
        """What was measured of one replica, as arguments of a run state that has it alone."""
        own = slice(replica, replica + 1)
        points = [point | {"accuracies": point["accuracies"][own]} for point in self.points]
        return {name: getattr(self, name)[own] for name in _OF_EACH} | {"points": points}

    def tell(self, report: Report) -> Report:
        """Stores a report; returns it with the rows that go with it."""
        self.untold = replace(report, rows=tuple(self.rows))
        self.reports.append(report)
        self.rows = []
        return self.untold

    def content(self) -> dict[str, Any]:
        """As plain data and tensors, for a checkpoint."""
        plain: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        reports = [asdict(report) for report in self.reports]
        return plain | {"reports": reports, "untold": asdict(self.untold) if self.untold else None}

    @classmethod
    def of(cls, content: dict[str, Any]) -> "RunState":
        """The run state in a checkpoint."""
        reports = [_report(report) for report in content["reports"]]
        untold = _report(content["untold"]) if content["untold"] else None
        values: dict[str, Any] = content | {"reports": reports, "untold": untold}
        return cls(**values)


def measured_of_all(states: Sequence[RunState]) -> dict[str, Any]:
    """What was measured of the replicas of several run states at the same step, as arguments of one that has them all:
    what `RunState.measured_of` took apart."""
    points = [
        same[0] | {"accuracies": [row for point in same for row in point["accuracies"]]}
        for same in zip(*(state.points for state in states), strict=True)
    ]
    return {name: [each for state in states for each in getattr(state, name)] for name in _OF_EACH} | {"points": points}


def _report(content: dict[str, Any]) -> Report:
    values: dict[str, Any] = content | {key: tuple(content[key]) for key in ("accuracies", "rows", "diverged")}
    values["replicas"] = tuple(tuple(row) for row in content["replicas"])
    return Report(**values)
