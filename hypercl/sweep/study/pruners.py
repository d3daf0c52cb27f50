"""Which trials are pruned. First rung, last rung and warm-up are always explicit steps of the one scale."""

from itertools import takewhile
from warnings import catch_warnings

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from hypercl.config.models import (
    ASHARule,
    Hyperband,
    MedianRule,
    NoPruner,
    Patient,
    PercentileRule,
    SweepFile,
    ThresholdRule,
    task_count,
)

Rule = ASHARule | MedianRule | PercentileRule | ThresholdRule


def final_step(file: SweepFile) -> int:
    """The step of a trial's last report: reports a task x tasks."""
    return file.pruner.reports_per_task * task_count(file.experiment.tasks)


def pruner_of(file: SweepFile) -> BasePruner:
    """Optuna's pruner; it is never asked at the final step, where pruning saves nothing."""
    pruner, reports = file.pruner, file.pruner.reports_per_task
    if isinstance(pruner, NoPruner) or pruner.warmup_tasks >= task_count(file.experiment.tasks):
        return NopPruner()
    first = pruner.warmup_tasks * reports
    if isinstance(pruner, Hyperband):
        return HyperbandPruner(
            min_resource=first, max_resource=final_step(file), reduction_factor=pruner.reduction_factor
        )
    if isinstance(pruner, Patient):
        inner = _rule_of(pruner.rule, file) if pruner.rule is not None else None
        with catch_warnings(action="ignore", category=ExperimentalWarning):
            return Warmed(PatientPruner(inner, pruner.patience - 1, pruner.min_delta), first)
    return _rule_of(pruner, file)


def _rule_of(rule: Rule, file: SweepFile) -> BasePruner:
    first = rule.warmup_tasks * file.pruner.reports_per_task
    if isinstance(rule, ASHARule):
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=rule.reduction_factor)
    if isinstance(rule, ThresholdRule):
        return Floor(rule.floor, file.pruner.reports_per_task, task_count(file.experiment.tasks), first)
    # The same number must have a value at the step: some samplers need infeasible settings told as complete.
    least = max(1, rule.startup_trials)
    if isinstance(rule, MedianRule):
        return MedianPruner(n_startup_trials=rule.startup_trials, n_warmup_steps=first, n_min_trials=least)
    return PercentilePruner(
        rule.percentile, n_startup_trials=rule.startup_trials, n_warmup_steps=first, n_min_trials=least
    )


class Warmed(BasePruner):
    """Another pruner that is not asked before a step."""

    def __init__(self, inner: BasePruner, first: int) -> None:
        self._inner, self._first = inner, first

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return (trial.last_step or 0) >= self._first and self._inner.prune(study, trial)


class Floor(BasePruner):
    """Stops a trial whose mean accuracy over the tasks met so far is below a floor, whenever a task has been learned.

    An intermediate value is the sum of these accuracies over all T tasks of the stream (one minus it in a study that
    minimises), so the mean at step s, after s / reports tasks, is value x T x reports / s.

    Args:
        floor: the lowest mean, a fraction.
        reports: intermediate values a task.
        tasks: tasks of the stream.
        first: the first step at which a trial may be stopped.
    """

    def __init__(self, floor: float, reports: int, tasks: int, first: int) -> None:
        self._floor, self._reports, self._tasks, self._first = floor, reports, tasks, first

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or step < self._first or step % self._reports:
            return False
        value = trial.intermediate_values[step]
        shown = value if study.direction == StudyDirection.MAXIMIZE else 1.0 - value
        return shown * self._tasks * self._reports / step < self._floor


def pruner_in_words(file: SweepFile) -> str:
    """The pruner in words, in tasks: 'asha: one in 2 goes on at 2 and 4 tasks learned'."""
    pruner, tasks = file.pruner, task_count(file.experiment.tasks)
    if isinstance(pruner, NoPruner):
        return "none: every trial is trained to its end"
    if pruner.warmup_tasks >= tasks:
        return f"{pruner.name}: stops nobody, since its first {pruner.warmup_tasks} tasks are the whole stream"
    if isinstance(pruner, Hyperband):
        return f"hyperband: {_brackets(pruner, tasks)}"
    if isinstance(pruner, Patient):
        if pruner.rule is not None and pruner.rule.warmup_tasks >= tasks:
            return f"patient: stops nobody: the first {pruner.rule.warmup_tasks} tasks of its rule are the whole stream"
        margin = f" by {pruner.min_delta:g}" if pruner.min_delta else ""
        also = f", if its rule agrees: {_in_words(pruner.rule, tasks)}" if pruner.rule is not None else ""
        return (
            f"patient: from {pruner.warmup_tasks} tasks learned on, a trial is stopped whose last "
            f"{pruner.patience} reports all stayed below its best earlier one{margin}{also}"
        )
    return f"{pruner.name}: {_in_words(pruner, tasks)}"


def _in_words(rule: Rule, tasks: int) -> str:
    if isinstance(rule, ASHARule):
        return f"one in {rule.reduction_factor} goes on at {_rungs(rule.warmup_tasks, rule.reduction_factor, tasks)}"
    start = f"from {rule.warmup_tasks} tasks learned on, a trial"
    if isinstance(rule, ThresholdRule):
        return f"{start} whose mean accuracy over the tasks met is below {rule.floor:g} after a task is stopped"
    place = "below the median" if isinstance(rule, MedianRule) else f"not among the best {rule.percentile:g} %"
    return f"{start} {place} is stopped, once {rule.startup_trials} trials are complete"


def _rungs(first: int, factor: int, tasks: int) -> str:
    """'2 and 4 tasks learned'."""
    *most, last = map(str, takewhile(lambda rung: rung < tasks, (first * factor**power for power in range(tasks))))
    return f"{', '.join(most)} and {last} tasks learned" if most else f"{last} tasks learned"


def _brackets(pruner: Hyperband, tasks: int) -> str:
    """'of 2 parts of the trials, one in 2 goes on in part 1 at 2 and 4 tasks learned, in part 2 at 4 tasks learned'."""
    factor, first = pruner.reduction_factor, pruner.warmup_tasks
    starts = list(takewhile(lambda rung: rung <= tasks, (first * factor**power for power in range(tasks))))
    places = [f"at {_rungs(start, factor, tasks)}" if start < tasks else "nowhere" for start in starts]
    parts = [f"part {index} {place}" for index, place in enumerate(places, start=1)]
    return f"of {len(parts)} parts of the trials, one in {factor} goes on in {', in '.join(parts)}"
