"""`hypercl tail RESULTS TRIAL`: a trial's reports as it makes them."""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from hypercl.formatting import percent
from hypercl.loggers import read_rows, task_accuracies
from hypercl.sweep.results import state_words
from hypercl.sweep.study import StudyRecord, decided, read_sweep, state_of
from hypercl.training import Row

SECONDS, QUIET_S = 1.0, 5.0
"""Seconds between two looks at the trial's rows, and without new ones until the study is asked whether it ended."""


def tail_command(args: argparse.Namespace) -> int:
    """Prints the last reports of a trial, then each further one, until the trial ends.

    Raises:
        UserError: the folder holds no sweep, or the sweep has no such trial.
    """
    record = read_sweep(args.results)
    record.trial(args.trial)
    for line in lines_of(record, args.trial, args.lines, time.sleep):
        print(line, flush=True)
    return 0


def lines_of(record: StudyRecord, number: int, last: int, wait: Callable[[float], None]) -> Iterator[str]:
    """A line a report, from the last few on; then how the trial ended."""
    folder, shown, quiet = record.trial_folder(number), -1, 0.0
    while True:
        rows = read_rows(folder)
        reports = [row for row in rows if "step" in row]
        fresh = [row for row in reports if row["step"] > shown]
        for row in fresh if shown >= 0 else fresh[-last:]:
            yield _line(row, rows, record.file.experiment.tasks.score)
        if fresh:
            shown, quiet = int(fresh[-1]["step"]), 0.0
        outcome = decided(record.trial(number))
        if outcome is not None:
            why = f": {outcome.why.strip().splitlines()[-1]}" if outcome.why.strip() else ""
            yield f"trial {number} {state_words(record.folder)[outcome.kind]}{why}"
            return
        if state_words(record.folder)[state_of(record.trial(number))] != "running":
            yield f"trial {number} is not running: rerun the sweep's command to resume"
            return
        wait(SECONDS)
        shown, quiet = max(shown, 0), quiet + SECONDS
        if quiet >= QUIET_S:
            record, quiet = read_sweep(record.folder), 0.0


def _line(row: Row, rows: Sequence[Row], score: str) -> str:
    """'task 2, iteration 150: accuracy 97.1 98.4, mean 97.8; loss 0.0213'."""
    accuracies = task_accuracies(row)
    losses = [one["loss/task"] for one in rows if "loss/task" in one and one["iteration"] <= row["iteration"]]
    loss = f"; loss {losses[-1]:.3g}" if losses else ""
    each = " ".join(percent(accuracy, 1) for accuracy in accuracies)
    mean = f", mean {percent(fmean(accuracies), 1)} %" if accuracies else ""
    return f"task {row['task']}, iteration {row['iteration']}: {score} {each}{mean}{loss}"
