"""`hypercl sweep FILE --show N`: one trial of a sweep."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hypercl.cli.tables import Fitted, pairs
from hypercl.config import Experiment, lookup
from hypercl.config.models import task_count
from hypercl.config.reading import value_in_words
from hypercl.formatting import duration, shown, typed
from hypercl.loggers import matrix_or_path, read_rows, task_accuracies
from hypercl.sweep.planner import planner_of
from hypercl.sweep.results import Running, bounds_in_words, broken_of, placed, state_words, status_of, status_rows
from hypercl.sweep.study import (
    GPUS,
    PRICE,
    StudyRecord,
    decided,
    gpu_seconds_of,
    priced,
    progress_of,
    read_sweep,
    state_of,
)
from hypercl.training import MATRIX_FILES, AccuracyMatrix

MOST_LINES, BAR = 10, 50


def progress_lines(reported: Sequence[tuple[int, float]], reports_per_task: int, tasks: int) -> list[str]:
    """The mean accuracy on the tasks met, as a number and a bar, after each task (of many: after every second, third,
    ...) and at the last report.

    Args:
        reported: (step, accuracy, mean over the whole stream), steps from 1.
        reports_per_task: steps a task.
        tasks: of the whole stream.
    """
    stride = reports_per_task * -(-tasks // MOST_LINES)
    lines: list[str] = []
    for step, value in reported:
        if step % stride == 0 or step == reported[-1][0]:
            mean = value * tasks / -(-step // reports_per_task)
            lines.append(f"{step / reports_per_task:>8.4g}  {mean:.4f}  {'#' * round(BAR * mean)}".rstrip())
    return lines


def print_trial(folder: Path, number: int) -> int:
    """Prints a trial: setting, outcome, progress, metrics, accuracy matrix, what went wrong, and how to train it again.

    Raises:
        UserError: the folder holds no sweep, or the sweep has no such trial.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False)
    record = read_sweep(folder)
    trial, folder = record.trial(number), record.trial_folder(number)
    console.print(pairs(_head(record, number)), "", _setting(record, number), sep="\n")
    reported, score = progress_of(record.file, trial), record.file.experiment.tasks.score
    if reported:
        console.print(f"\nprogress: tasks learned, mean validation {score} on the tasks met so far")
        tasks = task_count(record.file.experiment.tasks)
        console.print("\n".join(progress_lines(reported, record.file.pruner.reports_per_task, tasks)))
    outcome = decided(trial)
    if outcome is not None and outcome.metrics:
        console.print()
        console.print(pairs([(key, f"{value:.6g}") for key, value in sorted(outcome.metrics.items())]))
    if (path := folder / MATRIX_FILES["validation"]).is_file():
        console.print()
        console.print(matrix_or_path("validation", AccuracyMatrix.read(path), path, score))
    elif accuracies := _last_accuracies(folder):
        console.print(f"\nlast {score} on each task met, %: {accuracies}", markup=False)
    if (folder / "error.txt").is_file():
        error = (folder / "error.txt").read_text(encoding="utf-8").strip()
        console.print(f"\n{shown(folder / 'error.txt')}:\n{error}", markup=False)
    if (folder / "config.yaml").is_file():
        console.print(f"\ntrain it again: hypercl train {typed(folder / 'config.yaml')}", markup=False)
    return 0


def _head(record: StudyRecord, number: int) -> list[tuple[str, str]]:
    trial = record.trial(number)
    outcome, state = decided(trial), state_of(trial)
    rows = [("trial", f"{number} of {record.name}"), ("outcome", state_words(record.folder)[state])]
    if outcome is None:
        return rows
    if outcome.value is not None:
        rows += placed(record.file, record.ranked(), number)
    if outcome.why.strip():
        rows.append(("why", outcome.why.strip().splitlines()[-1]))
    if outcome.violations:
        kept = f"kept: {bounds_in_words(record.file.constraints.measured)}"
        rows.append(("bounds", broken_of(record.file, outcome) or kept))
    if outcome.seconds is not None:
        rows.append(("training", duration(outcome.seconds)))
    if gpu_seconds := gpu_seconds_of(trial, float(record.attributes.get(GPUS, 0.0))):
        rows.append(("GPU-hours", priced(gpu_seconds / 3600, record.attributes.get(PRICE))))
    return rows


def _setting(record: StudyRecord, number: int) -> Table:
    """Each key of the space, and what it was in the experiment as written where that differs."""
    base, values = record.file.experiment, planner_of(record.file).tried(record.trial(number))
    table = Table(title="setting (* differs from the experiment as written)", title_justify="left", box=None)
    table.add_column("")
    for heading in ("key", "value", "as written"):
        table.add_column(heading, overflow="fold")
    for path, value in values.items():
        written = _written(base, path)
        differs = value_in_words(value) != written
        text = f"{value:.6g}" if isinstance(value, float) else value_in_words(value)
        table.add_row("*" if differs else "", path, text, written if differs else "")
    return table


def _written(base: Experiment, path: str) -> str:
    """The value in the experiment as written; '-' for a key that its kinds do not have."""
    try:
        return value_in_words(lookup(base, path))
    except KeyError:
        return "-"


def _last_accuracies(folder: Path) -> str:
    """Of a trial that left no accuracy matrix, from its metrics.jsonl; '' before its first report."""
    measured = [row for row in map(task_accuracies, read_rows(folder)) if row]
    return " ".join(f"{100 * accuracy:.1f}" for accuracy in measured[-1]) if measured else ""


def status_command(args: argparse.Namespace) -> int:
    """Prints the status of the sweep in a folder; changes nothing."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    status = status_of(args.status)
    console.print(pairs(status_rows(status)))
    if status.running:
        score = status.record.file.experiment.tasks.score
        rows = [_running_row(trial, score) for trial in status.running]
        console.print(Fitted(rows, state_words(args.status)["running"]))
    return 0


def _running_row(trial: Running, score: str) -> dict[str, str]:
    return {
        "trial": str(trial.number),
        "task": f"{trial.task} of {trial.tasks}",
        "step": f"{trial.step} of {trial.steps}",
        f"{score} so far": "" if trial.accuracy is None else f"{trial.accuracy:.4f}",
        "age": duration(trial.age_s),
        "last heard": "" if trial.heard_s is None else f"{duration(trial.heard_s)} ago",
        **({"GPU-hours": f"{trial.gpu_hours:.3g}"} if trial.gpu_hours else {}),
    }
