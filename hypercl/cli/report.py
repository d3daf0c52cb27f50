"""`hypercl report RESULTS ...`: ranked tables, what mattered, what the final step came to, figures."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hypercl.analysis.final_text import LEAK
from hypercl.cli.paths import require_writable
from hypercl.cli.tables import cells, final_tables, headings, pairs, ranked, widened
from hypercl.cli.test_leak_console import Marked
from hypercl.formatting import shown
from hypercl.sweep.final.data_used import splits_touched
from hypercl.sweep.results.cost import spent_rows
from hypercl.sweep.results.goals import in_words, told
from hypercl.sweep.results.importance import LEAST, Importance, importances
from hypercl.sweep.results.report import (
    final_of,
    own_folder,
    protocols_table,
    rankings,
    read_sweeps,
    write_joined,
    write_preferred,
    write_report,
)
from hypercl.sweep.results.stability import trace_rows
from hypercl.sweep.results.status import state_words
from hypercl.sweep.study.protocols import leaks
from hypercl.sweep.study.record import SweepRecord, state_of


def report_command(given: argparse.Namespace) -> int:
    """Prints and writes the report of one or several sweeps; reads them only, running or not.

    Every line on a sweep that was tuned on test data is marked; in tables of several sweeps its name is.
    """
    sweeps = read_sweeps(given.results)
    console = _console(leaking=all(leaks(record.asked) for record in sweeps.values()))
    own = {name: console if len(sweeps) == 1 else _console(leaks(record.asked)) for name, record in sweeps.items()}
    for name, record in sweeps.items():
        own[name].print(_standing(name, record))
        own[name].print(pairs([*splits_touched(record), *spent_rows(record)]))
    for objective, rows in rankings({_named(name, record): record for name, record in sweeps.items()}):
        if rows:
            console.print()
            title = f"best of {len(rows)} complete trials by {in_words(objective)}"
            console.print(ranked(rows[: given.top], title))
    console.print()
    found = {name: importances(record) for name, record in sweeps.items()}
    for name, record in sweeps.items():
        prefix = f"{name}: " if len(sweeps) > 1 else ""
        tried = trace_rows(record)
        title = f"{prefix}attempts at each task, accuracy on its validation data in percent"
        own[name].print(cells(tried, title) if tried else prefix + what_mattered(record, found[name]))
    for name, record in sweeps.items():
        _print_final(own[name], record)
    if sum(final_of(record) is not None for record in sweeps.values()) > 1:
        console.print()
        joined = protocols_table(sweeps)
        console.print(cells(joined.rows, "what each search promised and what came out, in percent and points"))
    folder = _folder(given, sweeps)
    pictures = _write(sweeps, folder, found)
    for name, record in sweeps.items() if given.prefer is not None else ():
        place = folder if len(sweeps) == 1 else own_folder(folder, name)
        own[name].print(_preferred(str(given.prefer), record, place))
    names = ", ".join(str(path.relative_to(folder)) for path in pictures)
    console.print(f"written to {shown(folder)}: trials.csv" + (f", {names}" if pictures else ""))
    return 0


def _print_final(console: Console, record: SweepRecord) -> None:
    """The final step's table and sentences, where it is done."""
    final = final_of(record)
    if final is None:
        return
    console.print()
    console.print(final_tables(final.content))
    for text in (final.sentence, final.optimism):
        if text:
            console.print(text)


def _preferred(prefer: str, record: SweepRecord, folder: Path) -> str:
    """What a person prefers, as a sentence; writes it into preferred.yaml."""
    path, trial = write_preferred(record, folder, prefer)
    if path is None or trial is None:
        return f"{record.name}: no complete trial passes --prefer '{prefer}'"
    return f"{record.name}: trial {trial.number}, {told(record.file.objective, trial.values)}: {shown(path)}"


def _console(leaking: bool) -> Console:
    """Standard output; of a leaking sweep with every line marked."""
    inner = Marked(sys.stdout) if leaking else None
    return widened(Console(file=inner, soft_wrap=True, highlight=False, markup=False))


def _named(name: str, record: SweepRecord) -> str:
    return f"{name} ({LEAK})" if leaks(record.asked) else name


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
    if record.ranked() or trace_rows(record):
        return text
    return f"{text}; none is complete yet, so there is nothing to rank or draw"


def _folder(given: argparse.Namespace, sweeps: dict[str, SweepRecord]) -> Path:
    if given.to is not None:
        folder = given.to.resolve()
        require_writable("--to", folder)
        return folder
    if len(sweeps) > 1:
        return Path("report").resolve()
    return next(iter(sweeps.values())).folder / "figures"


def _write(sweeps: dict[str, SweepRecord], folder: Path, found: dict[str, list[Importance]]) -> list[Path]:
    if len(sweeps) > 1:
        return write_joined(sweeps, folder, found)
    (name,) = sweeps
    return write_report(sweeps[name], folder, found[name])
