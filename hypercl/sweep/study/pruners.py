"""Which trials are pruned. First rung, last rung and warm-up are always explicit steps of the one scale."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
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
    ImportedPruner,
    MedianRule,
    NoPruner,
    Patient,
    PercentileRule,
    SweepFile,
    ThresholdRule,
    task_count,
)
from hypercl.sweep.study.imported_parts import OwnPruner

Rule = ASHARule | MedianRule | PercentileRule | ThresholdRule


def final_step(file: SweepFile) -> int:
    """The step of a trial's last report: reports a task x tasks."""
    return file.pruner.reports_per_task * task_count(file.experiment.tasks)


def pruner_of(file: SweepFile, import_paths: Sequence[Path] = ()) -> BasePruner:
    """The pruner of a sweep; it is never asked at the final step, where pruning saves nothing.

    Args:
        file: as its trials train it.
        import_paths: folders in which a pruner by import path is looked for.

    Raises:
        UserError: a pruner by import path cannot be made.
    """
    pruner, reports = file.pruner, file.pruner.reports_per_task
    if isinstance(pruner, NoPruner) or pruner.warmup_tasks >= task_count(file.experiment.tasks):
        return NopPruner()
    first = pruner.warmup_tasks * reports
    if isinstance(pruner, Hyperband):
        return HyperbandPruner(
            min_resource=first, max_resource=final_step(file), reduction_factor=pruner.reduction_factor
        )
    if isinstance(pruner, ImportedPruner):
        return Warmed(OwnPruner(pruner, import_paths), first)
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
    # The same number must have a value at the step: journals of 0.1.0 hold settings out of bounds as complete.
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
    """The pruner in words, in tasks: 'asha: keeps one in 2 after tasks 2 and 4'."""
    pruner, tasks = file.pruner, task_count(file.experiment.tasks)
    if isinstance(pruner, NoPruner):
        return "none: every trial is trained to its end"
    if pruner.warmup_tasks >= tasks:
        return f"{pruner.name}: never prunes: warmup_tasks covers the whole stream"
    if isinstance(pruner, Hyperband):
        return f"hyperband: {_brackets(pruner, tasks)}"
    if isinstance(pruner, ImportedPruner):
        often = "once" if pruner.reports_per_task == 1 else f"{pruner.reports_per_task} times"
        return f"{pruner.import_}: asked from task {pruner.warmup_tasks} on, {often} a task"
    if isinstance(pruner, Patient):
        if pruner.rule is not None and pruner.rule.warmup_tasks >= tasks:
            return "patient: never prunes: warmup_tasks of its rule covers the whole stream"
        margin = f" by {pruner.min_delta:g}" if pruner.min_delta else ""
        also = f", if its rule agrees: {_in_words(pruner.rule, tasks)}" if pruner.rule is not None else ""
        return (
            f"patient: from task {pruner.warmup_tasks} on, prunes a trial whose last {pruner.patience} reports were "
            f"all below its best earlier one{margin}{also}"
        )
    return f"{pruner.name}: {_in_words(pruner, tasks)}"


def _in_words(rule: Rule, tasks: int) -> str:
    if isinstance(rule, ASHARule):
        return f"keeps one in {rule.reduction_factor} {_rungs(rule.warmup_tasks, rule.reduction_factor, tasks)}"
    start = f"from task {rule.warmup_tasks} on, prunes a trial"
    if isinstance(rule, ThresholdRule):
        return f"{start} whose mean accuracy so far is below {rule.floor:g} after a task"
    rank = "below the median" if isinstance(rule, MedianRule) else f"not among the best {rule.percentile:g} %"
    return f"{start} {rank}, once {rule.startup_trials} trials are complete"


def _rungs(first: int, factor: int, tasks: int) -> str:
    """'after tasks 2 and 4'."""
    *most, last = map(str, takewhile(lambda rung: rung < tasks, (first * factor**power for power in range(tasks))))
    return f"after tasks {', '.join(most)} and {last}" if most else f"after task {last}"


def _brackets(pruner: Hyperband, tasks: int) -> str:
    """'keeps one in 2 in each of 2 brackets: bracket 1 after tasks 2 and 4, bracket 2 after task 4'."""
    factor, first = pruner.reduction_factor, pruner.warmup_tasks
    starts = list(takewhile(lambda rung: rung <= tasks, (first * factor**power for power in range(tasks))))
    rungs = [_rungs(start, factor, tasks) if start < tasks else "never" for start in starts]
    brackets = [f"bracket {index} {rung}" for index, rung in enumerate(rungs, start=1)]
    return f"keeps one in {factor} in each of {len(brackets)} brackets: {', '.join(brackets)}"
