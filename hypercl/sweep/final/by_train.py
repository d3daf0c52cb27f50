"""Test data opened beside the final step: by `hypercl train --test`, of a setting that a sweep found."""

from datetime import UTC, datetime
from pathlib import Path

from hypercl.config import Experiment
from hypercl.training import seeds_name

_FILE = "test_opened.txt"
"""In the sweep's folder: a line for each run whose test data was opened."""


def note_opening(sweep: Path, file: Path, experiment: Experiment, run: Path) -> None:
    """Writes into a sweep's folder that test data was opened for one of its settings; once for each run.

    Args:
        sweep: its results.
        file: that was trained, in this folder.
        experiment: what was trained.
        run: the folder of the run.
    """
    what = f"{file.relative_to(sweep)} on {seeds_name(experiment).replace('-', ' ', 1)}, in {run}"
    if not any(line.endswith(f": {what}") for line in openings_by_train(sweep)):
        with (sweep / _FILE).open("a", encoding="utf-8") as lines:
            lines.write(f"{datetime.now(UTC).isoformat('T', 'seconds')}: {what}\n")


def openings_by_train(sweep: Path) -> list[str]:
    """A line for each opening: when, of which file, on which seed, into which folder."""
    try:
        return (sweep / _FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def by_train_rows(sweep: Path) -> list[tuple[str, str]]:
    """The openings as a row of a name and a sentence; none where there was none."""
    found = openings_by_train(sweep)
    times = f"{len(found)} times, last" if len(found) > 1 else "once,"
    return [("test data", f"opened by hypercl train --test {times} at {found[-1]}")] if found else []
