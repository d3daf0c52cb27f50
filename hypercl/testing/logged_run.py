"""Runs as a logger hears them, without training."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from hypercl.config import Experiment, loads
from hypercl.training import Finished, Report, RunSummary, Started, read_matrices

TASKS, REPORTS, STEPS = 3, 2, 10
SUMMARY = {
    "validation": {"final_accuracy": 0.9, "forgetting": 0.02, "why": {"forward_transfer": "unknown"}},
    "test": {"final_accuracy": 0.89, "forgetting": 0.03},
    "compression_ratio": 0.5,
}


@cache
def experiment() -> Experiment:
    return loads("experiment: {tasks: {name: split_digits}}", "test").experiment


def reports() -> list[Report]:
    """Every report of an uninterrupted run, each with a loss row in its middle and its own row."""
    return [_report(step) for step in range(1, TASKS * REPORTS + 1)]


def _report(step: int) -> Report:
    every = STEPS // REPORTS
    task, iteration = (step - 1) // REPORTS, step * every
    accuracies = tuple(0.9 + 0.01 * other for other in range(task + 1))
    here = iteration - STEPS * task
    losses = {"iteration": iteration - 2, "task": task + 1, "task_iteration": here - 2, "loss/task": 1 / iteration}
    own = {"iteration": iteration, "task": task + 1, "task_iteration": here, "loss/task": 0.5 / iteration}
    own |= {f"validation/task_{other + 1}": value for other, value in enumerate(accuracies)}
    return Report(
        step=step,
        value=sum(accuracies) / TASKS,
        task=task,
        iteration=iteration,
        accuracies=accuracies,
        learned=step % REPORTS == 0,
        seconds=float(step),
        rows=(losses, own),
    )


def started(folder: Path, after: int = 0) -> Started:
    """The first item of a run that is begun, or resumes from the checkpoint of report `after`."""
    return Started(
        experiment=experiment(),
        folder=folder,
        num_tasks=TASKS,
        iterations=(STEPS,) * TASKS,
        parameters=1000,
        target_parameters=2000,
        device="cpu",
        threads=1,
        history=tuple(replace(report, rows=()) for report in reports()[:after]),
    )


def resumed(after: int) -> list[Report]:
    """The reports of a run that resumes from the checkpoint of report `after`: that one again, and the rest."""
    return reports()[max(0, after - 1) :]


def finished(folder: Path) -> Finished:
    """The last item, with the files that training has written by then."""
    matrix = "after,task 1,task 2,task 3\nbefore,0.5,0.5,0.5\ntask 1,0.9,,\ntask 2,0.9,0.91,\ntask 3,0.88,0.9,0.92\n"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("accuracy_matrix.csv", "accuracy_matrix_test.csv"):
        (folder / name).write_text(matrix)
    summary = RunSummary.of(SUMMARY)
    summary.write(folder)
    return Finished(summary, read_matrices(folder))
