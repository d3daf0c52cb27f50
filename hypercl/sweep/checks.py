"""What is refused before a sweep starts, beyond the mistakes that its file shows by itself."""

import shutil

from hypercl.config import SweepFile, UserError, assign
from hypercl.config.models import (
    OF_EARLIER_TASKS,
    WITHIN_TASKS,
    ImportedMethod,
    ImportedTarget,
    imports_of,
    task_count,
)
from hypercl.loggers import check_loggers
from hypercl.sweep.options import SweepOptions
from hypercl.sweep.study import evaluator_of, pruner_of, sampler_of

LEAST_DISK = 100 * 2**20
"""Bytes that must be free where the results go."""


def check_reachable(file: SweepFile) -> None:
    """Refuses an objective, or a bound, on what no trial of this stream can have.

    Raises:
        UserError: forgetting and its like over one task, or what `training.evaluate_every` alone measures.
    """
    if task_count(file.experiment.tasks) < 2 and file.constraints.forgetting is not None:
        raise UserError("constraints: forgetting needs at least two tasks, and the stream has one")
    for goal in file.objective.goals if task_count(file.experiment.tasks) < 2 else ():
        if goal.metric in OF_EARLIER_TASKS:
            raise UserError(f"objective: {goal.metric} needs at least two tasks, and the stream has one")
    inside = [goal.metric for goal in file.objective.goals if goal.metric in WITHIN_TASKS]
    if inside and file.experiment.training.evaluate_every is None:
        raise UserError(
            f"objective: {inside[0]} is measured inside tasks, and training.evaluate_every is null\n"
            "    fix:     --set training.evaluate_every=50, or another number of steps"
        )


def check_own_code(file: SweepFile, given: SweepOptions) -> None:
    """Refuses what is the user's own (target, method, sampler, pruner, metric, logger), or a keyword of the space,
    before any trial meets it.

    Raises:
        UserError: it is not found, or does not do what is asked of it.
    """
    if file.objective.own:
        from hypercl.training import try_metrics

        try_metrics(file.objective.own, given.import_paths, task_count(file.experiment.tasks))
    if imports_of(file):
        sampler_of(file, 0, given.import_paths)
        pruner_of(file, given.import_paths)
        evaluator_of(file, given.import_paths)
    check_loggers(file.logging, given.import_paths)
    if isinstance(file.experiment.target, ImportedTarget) and file.search.include_base:
        from hypercl.training import require_buildable

        require_buildable(file.experiment, given.import_paths)
        if file.search.bundle > 1:
            require_buildable(assign(file.experiment, {"training.replicas": 2}), given.import_paths)
    if isinstance(file.experiment.method, ImportedMethod):
        from hypercl.methods import learner_class

        keywords = {path: 0 for path in file.space if path.startswith("method.kwargs.")}
        learner_class(assign(file.experiment, keywords), given.import_paths)


def check_disk(given: SweepOptions) -> None:
    """Refuses a results folder on a full disk.

    Raises:
        UserError: less than `LEAST_DISK` is free.
    """
    free = shutil.disk_usage(given.folder).free
    if free < LEAST_DISK:
        raise UserError(
            f"{given.folder}: only {free / 2**20:.0f} MiB are free there\n"
            f"    fix:     make room, or --results DIR on another disk"
        )
