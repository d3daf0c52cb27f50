"""The trace of attempts (protocol stability_decay), from a sweep's planner to `hypercl.analysis.stability`."""

from pathlib import Path

from hypercl.analysis import by_task_rows, stability_trace, write_stability
from hypercl.sweep.planner import planner_of
from hypercl.sweep.study import StudyRecord


def stability_rows(record: StudyRecord) -> list[dict[str, str]]:
    """What was tried at each task, its accuracies and what was accepted, a row a task; empty without attempts."""
    strength, rows = planner_of(record.file).trace(record.trials)
    return by_task_rows(stability_trace(rows), strength)


def write_stability_files(record: StudyRecord, folder: Path) -> list[Path]:
    """Writes stability.csv, stability.md and stability.png; nothing without attempts.

    Returns:
        The picture, if any.
    """
    strength, rows = planner_of(record.file).trace(record.trials)
    return write_stability(stability_trace(rows), strength, folder)
