"""Whether a file still describes the sweep that was begun in a folder."""

from pathlib import Path
from typing import Any

from hypercl.config import SweepFile, UserError, load, resolved
from hypercl.config.yaml_text import dump

NAME = "sweep.yaml"

MAY_CHANGE = (
    "name",
    "search.trials",
    "search.max_failed",
    "search.retries",
    "resources.gpus",
    "resources.max_concurrent",
    "logging",
    "experiment.training.device",
    "experiment.tasks.download",
)
"""Budget, machine and listeners; anything else would mix trials that cannot be compared."""


def check_same(folder: Path, file: SweepFile) -> None:
    """Compares a file with the `sweep.yaml` of the folder, if there is one.

    Raises:
        UserError: something else than budget, resources or logging differs; shows old and new of each key.
    """
    path = folder / NAME
    if not path.exists():
        return
    old, new = resolved(load(path)), resolved(file)
    changed = [
        f"    {key}: {_short(before)} -> {_short(after)}"
        for key, before, after in differences(old, new)
        if not key.startswith(tuple(MAY_CHANGE))
    ]
    if changed:
        raise UserError(
            f"{folder} holds a sweep of other settings; trials of both could not be compared:\n"
            + "\n".join(changed)
            + "\n    fix:     give the new sweep another --name, or put the old values back to go on with the old one"
        )


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Key path, old and new value of everything that differs between two plain values."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            found
            for key in keys
            for found in differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [] if old == new else [(path, old, new)]


def _short(value: Any) -> str:
    return "(not there)" if value is None else dump(value).strip().removesuffix("\n...").replace("\n", "; ")
