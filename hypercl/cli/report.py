"""`hypercl report RESULTS ...`: ranked tables, what mattered, figures."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hypercl.cli.tables import headings, ranked, widened
from hypercl.sweep.importance import LEAST, Importance, importances
from hypercl.sweep.outputs import shown
from hypercl.sweep.reading import SweepRecord, state_of
from hypercl.sweep.report import rankings, read_sweeps, write_joined, write_report
from hypercl.sweep.status import state_words


def report_command(given: argparse.Namespace) -> int:
    """Prints and writes the report of one or several sweeps; reads them only, running or not."""
    console = widened(Console(soft_wrap=True, highlight=False, markup=False))
    sweeps = read_sweeps(given.results)
    for name, record in sweeps.items():
        console.print(_standing(name, record))
    for objective, rows in rankings(sweeps):
        if rows:
            console.print()
            title = f"best of {len(rows)} complete trials by {objective.metric} ({objective.direction})"
            console.print(ranked(rows[: given.top], title))
    console.print()
    found = {name: importances(record) for name, record in sweeps.items()}
    for name, record in sweeps.items():
        prefix = f"{name}: " if len(sweeps) > 1 else ""
        console.print(prefix + what_mattered(record, found[name]))
    folder = _folder(given, sweeps)
    pictures = _write(sweeps, folder, found)
    names = ", ".join(str(path.relative_to(folder)) for path in pictures)
    console.print(f"written to {shown(folder)}: trials.csv" + (f", {names}" if pictures else ""))
    return 0


def what_mattered(record: SweepRecord, found: Sequence[Importance]) -> str:
    """The importances as a sentence."""
    if not found:
        return f"which parameters mattered cannot be said before {LEAST} trials are trained and two of them complete"
    names = dict(zip((each.path for each in found), headings([each.path for each in found]), strict=True))
    sure = [f"{names[each.path]} {each.share:.0%}" for each in found if each.stands_out]
    rest = [f"{names[each.path]} {each.share:.0%}" for each in found if not each.stands_out]
    text = f"what mattered for being among the best third of {len(record.trained)} trained trials: "
    return text + (", ".join(sure) or "nothing stands out") + (f"; could be chance: {', '.join(rest)}" if rest else "")


def _standing(name: str, record: SweepRecord) -> str:
    counts = Counter(state_of(trial) for trial in record.trials)
    words = state_words(record.folder).items()
    parts = ", ".join(f"{counts[kind]} {word}" for kind, word in words if counts[kind]) or "no trials"
    text = f"{name}: {len(record.trained)} of {record.file.search.trials} trials trained ({parts})"
    return text if record.ranked() else f"{text}; none is complete yet, so there is nothing to rank or draw"


def _folder(given: argparse.Namespace, sweeps: dict[str, SweepRecord]) -> Path:
    if given.to is not None:
        return given.to.resolve()
    if len(sweeps) > 1:
        return Path("report").resolve()
    return next(iter(sweeps.values())).folder / "figures"


def _write(sweeps: dict[str, SweepRecord], folder: Path, found: dict[str, list[Importance]]) -> list[Path]:
    if len(sweeps) > 1:
        return write_joined(sweeps, folder, found)
    (name,) = sweeps
    return write_report(sweeps[name], folder, found[name])
