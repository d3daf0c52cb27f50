"""Which trials are stopped early. First rung, last rung and warm-up are always explicit steps of the one scale."""

from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner

from hypercl.config.sweep import ASHA, Median, SweepFile


def final_step(file: SweepFile) -> int:
    """The step of a trial's last report: reports a task x tasks."""
    return file.pruner.reports_per_task * file.experiment.tasks.num_tasks


def pruner_of(file: SweepFile) -> BasePruner:
    """Optuna's pruner; it is never asked at the final step, where there is nothing left to save."""
    pruner = file.pruner
    if isinstance(pruner, ASHA):
        first = pruner.warmup_tasks * pruner.reports_per_task
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=pruner.reduction_factor)
    if isinstance(pruner, Median):
        warmup = pruner.warmup_tasks * pruner.reports_per_task
        return MedianPruner(n_startup_trials=pruner.startup_trials, n_warmup_steps=warmup)
    return NopPruner()


def described(file: SweepFile) -> str:
    """The pruner in words, in tasks: 'asha: one in 2 goes on at 2 and 4 tasks learned'."""
    pruner, tasks = file.pruner, file.experiment.tasks.num_tasks
    if not isinstance(pruner, ASHA | Median):
        return "none: every trial is trained to its end"
    if pruner.warmup_tasks >= tasks:
        return f"{pruner.name}: stops nobody, since its first {pruner.warmup_tasks} tasks are the whole stream"
    if isinstance(pruner, Median):
        return (
            f"median: from {pruner.warmup_tasks} tasks learned on, a trial below the median is stopped, "
            f"once {pruner.startup_trials} trials are complete"
        )
    rungs = [pruner.warmup_tasks]
    while rungs[-1] * pruner.reduction_factor < tasks:
        rungs.append(rungs[-1] * pruner.reduction_factor)
    *most, last = map(str, rungs)
    places = f"{', '.join(most)} and {last}" if most else last
    return f"asha: one in {pruner.reduction_factor} goes on at {places} tasks learned"
