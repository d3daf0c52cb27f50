"""How a trial ended: written to the journal first, told to Optuna second."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from hypercl.config import SweepFile, UserError
from hypercl.training import WORST

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

Kind = Literal["complete", "learned", "pruned", "infeasible", "diverged", "out_of_memory", "failed"]


class Ending(NamedTuple):
    """What follows from the kind of an outcome."""

    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    """The state that the study records (`optuna.trial.TrialState`)."""
    words: str
    """As people read it."""
    trained: bool = True
    """Whether it counts towards `search.trials`."""
    fatal: bool = False
    """Whether the setting itself prevented a result: a constraint that the sampler learns from."""


ENDINGS: dict[Kind, Ending] = {
    "complete": Ending("COMPLETE", "complete"),
    "learned": Ending("PRUNED", "learned one task"),
    "pruned": Ending("PRUNED", "pruned"),
    "infeasible": Ending("PRUNED", "out of bounds", trained=False),
    "diverged": Ending("PRUNED", "diverged", fatal=True),
    "out_of_memory": Ending("PRUNED", "out of memory", fatal=True),
    "failed": Ending("FAIL", "failed", trained=False),
}
FATAL: tuple[Kind, ...] = tuple(kind for kind, ending in ENDINGS.items() if ending.fatal)
TRAINED: tuple[Kind, ...] = tuple(kind for kind, ending in ENDINGS.items() if ending.trained)
"""What counts towards `search.trials`: a suggestion out of bounds cost nothing, a failure is not the setting's. Only a
complete trial is a result; one that `learned` was an attempt at one task (protocol stability_decay)."""


def counts_in_words(counts: Mapping[str, int]) -> str:
    """'9 complete, 5 pruned, 1 failed', of trials by kind."""
    return ", ".join(f"{counts[kind]} {ending.words}" for kind, ending in ENDINGS.items() if counts.get(kind))


def constraint_names(file: SweepFile) -> list[str]:
    """The constraints that a trial of a sweep can have, in Optuna's sense: in the order of those of a complete one."""
    return ["valid", *file.constraints.known_before, *FATAL, *file.constraints.measured]


AS_WRITTEN = "base"
"""The user attribute of the trial of the experiment as written."""
ENQUEUED = "enqueued"
"""The user attribute of a trial that a person added: what was given, as JSON."""
REPEAT = "repeat"
"""The user attribute of a trial whose setting others had before: how many. It is trained on further seeds."""
OUTCOME = "outcome"
"""The user attribute of a trial in which its outcome stands."""


@dataclass(frozen=True)
class Outcome:
    """The end of a trial. It stands in the study's journal before the trial is told, so that a killed driver's
    decision is carried out by the next one."""

    kind: Kind
    why: str = ""
    """A sentence for people; of a complete trial only on replicas that diverged."""
    value: float | None = None
    """The objective, of a complete trial; of several goals the first one's."""
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    """Final metrics by their keys, such as `validation/forgetting`."""
    seconds: float | None = None
    """Seconds of training, over all restarts."""
    flops: int | None = None
    """Floating-point operations of its training; None where they are not known."""
    violations: dict[str, float] = field(default_factory=dict[str, float])
    """Bound on what training measures -> how far beyond it; above zero it is broken."""
    gpu_seconds: float | None = None
    """GPU-seconds of its training (`hypercl.sweep.study.gpu_time`); None where it had no GPU."""

    @property
    def feasible(self) -> bool:
        """Whether every bound on what training measures is kept."""
        return all(value <= 0 for value in self.violations.values())

    def values(self, metrics: Sequence[str]) -> list[float] | None:
        """A complete trial's values, in the order of the goals' metrics; None for any other."""
        if self.kind != "complete" or self.value is None:
            return None
        return [self.value, *(self.metrics[metric] for metric in metrics[1:])]

    def plain(self) -> dict[str, Any]:
        """As it is stored in the journal."""
        return asdict(self)


def outcome_of(trial: "FrozenTrial") -> Outcome:
    """How a finished trial ended.

    Raises:
        UserError: the journal does not say so (any more).
        KeyError: the trial has not ended.
    """
    try:
        found = Outcome(**trial.user_attrs[OUTCOME])
        _ = ENDINGS[found.kind]
        return found
    except (KeyError, TypeError):
        if not trial.state.is_finished():
            raise KeyError(OUTCOME) from None
        raise UserError(
            f"the journal does not say how trial {trial.number} ended: a record is missing or damaged\n"
            "    fix:     hypercl doctor with the results folder, and --fix"
        ) from None


def is_written(trial: "FrozenTrial") -> bool:
    """Whether a trial is the experiment as written (`search.include_base`)."""
    return bool(trial.user_attrs.get(AS_WRITTEN))


def is_complete(trial: "FrozenTrial") -> bool:
    """Whether a trial is a result; journals of hypercl 0.1.0 hold settings out of bounds as complete, too."""
    return trial.state.name == "COMPLETE" and outcome_of(trial).kind == "complete"


NEW_TASK = "validation/accuracy_on_new_task"
"""The metric of a trial that ends with a task: the accuracy on it when it was learned."""


SPREAD, SEEDS = "spread", "seeds"
"""The user attributes of a trial: the sample standard deviation of the objective over its seeds, and their values."""


def spread_of(metrics: dict[str, float], metric: str) -> float | None:
    """The sample standard deviation of a metric over a trial's seeds; None where it had one seed."""
    return metrics.get(f"spread/{metric}")


READABLE = ("validation/forgetting", "parameters", "seconds")
"""Metrics that are user attributes of their own, so that optuna-dashboard shows them as columns."""


def attributes(file: SweepFile, outcome: Outcome) -> dict[str, Any]:
    """What people read of a trial in optuna-dashboard: how it ended, forgetting, parameters, seconds, and
    `spread` and `seeds` of the (first) objective of a complete trial of several seeds.

    A seed that diverged has the worst value here, as in the mean, so that the mean of `seeds` is the trial's value.
    """
    ending = ENDINGS[outcome.kind].words
    readable = {name.removeprefix("validation/"): outcome.metrics[name] for name in READABLE if name in outcome.metrics}
    return {"ending": f"{ending}: {outcome.why}" if outcome.why else ending, **readable, **_of_seeds(file, outcome)}


def _of_seeds(file: SweepFile, outcome: Outcome) -> dict[str, Any]:
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
