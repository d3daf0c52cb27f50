"""Whether a file still describes the sweep that was begun in a folder."""

from collections.abc import Sequence
from pathlib import Path

from hypercl.config import SweepFile, UserError, difference_line, differences, load, resolved
from hypercl.sweep.study.journal import JOURNAL

SWEEP_YAML = "sweep.yaml"
MEMBER = "study.json"
"""In the results folder of a sweep whose study is in a database: the study's name, and this folder's driver."""

MAY_CHANGE = (
    "name",
    "search.trials",
    "search.bundle",
    "search.enqueue",
    "search.warm_start",
    "search.confirm",
    "search.race",
    "search.importance",
    "search.max_failed",
    "search.retries",
    "search.stall_timeout",
    "pruner",
    "resources.gpus",
    "resources.max_concurrent",
    "logging",
    "study",
    "final",
    "experiment.training.device",
    "experiment.tasks.download",
)
"""Budget, settings to be tried first, pruning, races, machine and listeners; anything else would mix trials that
cannot be compared."""
MAY_NOT = ("pruner.reports_per_task",)
"""The scale of every trial's progress."""


def check_same(folder: Path, file: SweepFile) -> None:
    """Compares a file with the `sweep.yaml` of the folder, if there is one.

    Raises:
        UserError: something else than budget, resources or logging differs; shows old and new of each key. Or there are
            trials without what they were asked by, or without their study.
    """
    path = folder / SWEEP_YAML
    kept = (path.exists(), any((folder / name).exists() for name in (JOURNAL, MEMBER)))
    if not all(kept) and any(folder.glob("trials/*/metrics.jsonl")):
        lost = " and ".join(name for name, there in zip((SWEEP_YAML, JOURNAL), kept, strict=True) if not there)
        raise UserError(
            f"{folder} holds trials, and no {lost}: a new sweep in it would mix its trials with theirs\n"
            "    fix:     restore that from a copy, or give another --name"
        )
    if not path.exists():
        return
    if changed := _changed(load(path), file, MAY_NOT):
        raise UserError(
            f"{folder} holds a sweep of other settings; trials of both could not be compared:\n"
            + "\n".join(changed)
            + "\n    fix:     add --fork NEW to begin results/NEW with what is known here, or give another --name to"
            " begin with nothing; or restore the old values to resume the old one"
        )


def check_joined(study: str, begun: SweepFile, file: SweepFile) -> None:
    """Compares the file of a driver that joins a study with the one that it was begun with.

    Raises:
        UserError: something differs that makes trials incomparable, or the budget; shows old and new of each key.
    """
    if changed := _changed(begun, file, (*MAY_NOT, "search.trials")):
        raise UserError(
            f"{study} was begun with other settings; trials of both could not be compared:\n"
            + "\n".join(changed)
            + "\n    fix:     join it with the same file"
        )


def _changed(old: SweepFile, new: SweepFile, may_not: Sequence[str]) -> list[str]:
    """A line for each key that differs and may not."""
    return [
        difference_line(key, before, after)
        for key, before, after in differences(resolved(old), resolved(new))
        if not key.startswith(MAY_CHANGE) or key in may_not
    ]
