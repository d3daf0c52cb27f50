"""`hypercl report RESULTS ...`: ranked tables, parameter importance, the final step's result, figures."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group

from hypercl.analysis import LEAK, Content, final_rows, title, winners_in_words
from hypercl.cli.paths import kept_code, require_writable
from hypercl.cli.tables import Fitted, pairs, widened
from hypercl.cli.test_leak_console import PrefixedStream
from hypercl.config.reading import value_in_short
from hypercl.exit_codes import ExitCode
from hypercl.formatting import headings, shown
from hypercl.sweep.final import data_used_rows
from hypercl.sweep.page import PAGE, Shown, write_page
from hypercl.sweep.results import (
    LEAST,
    Importance,
    apart_in_words,
    best_rows,
    cost_rows,
    final_of,
    how_sure_rows,
    importances,
    importances_by_task,
    methods_rows,
    own_folder,
    protocols_table,
    rankings,
    read_sweeps,
    stability_rows,
    stage_of,
    state_words,
    status_of,
    told,
    write_by_task,
    write_joined,
    write_preferred,
    write_report,
)
from hypercl.sweep.study import StudyRecord, leaks


def ranked(rows: Sequence[dict[str, Any]], title: str) -> Fitted:
    """Trials, best first, a column for each key of a row; headings are as short as they can be while unique.

    A row's `spread` over its seeds stands with its value: 0.95 ± 0.003.
    """
    keys = [key for key in rows[0] if key != "spread"]
    names = dict(zip(keys, headings(keys), strict=True))
    table: list[dict[str, str]] = []
    for rank, row in enumerate(rows, start=1):
        cells = {names[key]: "" if row[key] == "" else value_in_short(row[key]) for key in keys}
        if row.get("spread", "") != "":
            cells["value"] += f" ± {row['spread']:.2g}"
        table.append({"rank": str(rank)} | cells)
    return Fitted(table, title)


def final_tables(content: Content) -> Group:
    """The final step's numbers, and below them what each setting is: its values need a line of their own."""
    rows: list[dict[str, str]] = []
    settings: list[tuple[str, str]] = []
    setting = ""
    for row in final_rows(content):
        setting = row["setting"] or setting
        settings += [(setting, row["values"])] if row["values"] else []
        named = {"setting": f"{setting}: {row['goal']}" if "goal" in row else setting}
        rows.append(named | {key: cell for key, cell in row.items() if key not in ("setting", "goal", "values")})
    return Group(Fitted(rows, title(content)), "", pairs(settings))


def report_command(args: argparse.Namespace) -> int:
    """Prints and writes the report of one or several sweeps; reads them only, running or not.

    Every line on a sweep that was tuned on test data is marked; in tables of several sweeps its name is.
    """
    sweeps = read_sweeps(args.results)
    if args.html:
        return _page(args, sweeps)
    console = _console(leaking=all(leaks(record.asked) for record in sweeps.values()))
    consoles = {name: console if len(sweeps) == 1 else _console(leaks(record.asked)) for name, record in sweeps.items()}
    for name, record in sweeps.items():
        consoles[name].print(_standing(name, record))
        consoles[name].print(pairs([*best_rows(record), *data_used_rows(record), *cost_rows(record)]))
    named = {_named(name, record): record for name, record in sweeps.items()}
    apart = "" if args.together else apart_in_words(named)
    if apart:
        console.print(f"\n{apart} (--together ranks them in one table)")
    for goals, rows in rankings(named, args.together):
        if rows:
            console.print()
            count = "1 complete trial" if len(rows) == 1 else f"{len(rows)} complete trials"
            console.print(ranked(rows[: args.top], f"best of {count} by {goals}"))
    for name, record in sweeps.items():
        if compared := methods_rows(record, final_of(record)):
            consoles[name].print()
            consoles[name].print(ranked(compared, f"{name}: by method, each with its best trial"))
    console.print()
    importance = {name: importances(record, _code(record)) for name, record in sweeps.items()}
    by_task = {name: importances_by_task(record) for name, record in sweeps.items()}
    for name, record in sweeps.items():
        prefix = f"{name}: " if len(sweeps) > 1 else ""
        tried = stability_rows(record)
        title = f"{prefix}attempts at each task, accuracy on its validation data in percent"
        consoles[name].print(Fitted(tried, title) if tried else prefix + what_mattered(record, importance[name]))
        if sure := how_sure_rows(record, by_task[name]):
            consoles[name].print(pairs(sure))
    for name, record in sweeps.items():
        _print_final(consoles[name], record)
    if sum(final_of(record) is not None for record in sweeps.values()) > 1:
        console.print()
        joined = protocols_table(sweeps)
        console.print(Fitted(joined.rows, "what each search promised and what came out, in percent and points"))
        for text in (
            ()
            if apart
            else winners_in_words(
                {name: final.content for name, record in named.items() if (final := final_of(record)) is not None}
            )
        ):
            console.print(text)
    folder = _folder(args, sweeps)
    try:
        pictures = _write(sweeps, folder, importance, args.together)
        for name, tasks in by_task.items():
            write_by_task(tasks, folder if len(sweeps) == 1 else own_folder(folder, name))
    except OSError as error:
        console.print(f"nothing is written: {error}\n    fix:     name another folder with --to DIR", markup=False)
        return ExitCode.DONE
    for name, record in sweeps.items() if args.prefer is not None else ():
        place = folder if len(sweeps) == 1 else own_folder(folder, name)
        consoles[name].print(_preferred(str(args.prefer), record, place))
    names = ", ".join(str(path.relative_to(folder)) for path in pictures)
    console.print(f"written to {shown(folder)}: trials.csv" + (f", {names}" if pictures else ""), markup=False)
    return 0


def _print_final(console: Console, record: StudyRecord) -> None:
    """The final step's table and sentences, where it is done."""
    final = final_of(record)
    if final is None:
        return
    console.print()
    console.print(final_tables(final.content))
    for text in (final.sentence, final.optimism):
        if text:
            console.print(text)


def _preferred(prefer: str, record: StudyRecord, folder: Path) -> str:
    """What a person prefers, as a sentence; writes it into preferred.yaml."""
    path, trial = write_preferred(record, folder, prefer)
    if path is None or trial is None:
        return f"{record.name}: no complete trial passes --prefer '{prefer}'"
    values = told(record.file.objective, trial.values) + record.file.at_fidelity
    return f"{record.name}: trial {trial.number}, {values}: {shown(path)}"


def _console(leaking: bool) -> Console:
    """Standard output, in a notebook too; of a leaking sweep with every line marked."""
    inner = PrefixedStream(sys.stdout) if leaking else None
    return widened(Console(file=inner, soft_wrap=True, highlight=False, markup=False, force_jupyter=False))


def _named(name: str, record: StudyRecord) -> str:
    return f"{name} ({LEAK})" if leaks(record.asked) else name


def what_mattered(record: StudyRecord, importance: Sequence[Importance]) -> str:
    """The importances as a sentence."""
    if not importance:
        return f"which parameters mattered cannot be said before {LEAST} trials are trained and two of them complete"
    names = headings([parameter.path for parameter in importance])
    sure, rest = (
        [f"{name} {entry.share:.0%}" for name, entry in zip(names, importance, strict=True) if entry.stands_out is sure]
        for sure in (True, False)
    )
    text = f"what mattered for being among the best third of {record.trained} trained trials: "
    return text + (", ".join(sure) or "nothing stands out") + (f"; could be chance: {', '.join(rest)}" if rest else "")


def _standing(name: str, record: StudyRecord) -> str:
    counts = record.counts()
    words = state_words(record.folder).items()
    parts = ", ".join(f"{counts[kind]} {word}" for kind, word in words if counts[kind]) or "no trials"
    text = f"{name}: {record.trained} of {record.file.search.trials} trials trained ({parts})"
    if record.ranked() or stability_rows(record):
        return text
    return f"{text}; none is complete yet, so there is nothing to rank or draw"


def _code(record: StudyRecord) -> list[Path]:
    """Where an importance evaluator by import path is looked for: in the code that is kept with the results."""
    return [*kept_code(record.folder), Path.cwd()] if record.file.search.importance is not None else []


def _page(args: argparse.Namespace, sweeps: dict[str, StudyRecord]) -> int:
    """Writes the page and says where it is."""
    folder = next(iter(sweeps.values())).folder if args.to is None and len(sweeps) == 1 else _folder(args, sweeps)
    require_writable("--to", folder)
    folder.mkdir(parents=True, exist_ok=True)
    shown_sweeps = {
        name: Shown(record, stage_of(status_of(record.folder)), importances(record, _code(record)))
        for name, record in sweeps.items()
    }
    path = write_page(shown_sweeps, folder / PAGE)
    print(f"written: {shown(path)} ({path.stat().st_size / 2**20:.1f} MiB; open it in a browser)")
    return 0


def _folder(args: argparse.Namespace, sweeps: dict[str, StudyRecord]) -> Path:
    if args.to is not None:
        folder = args.to.resolve()
        require_writable("--to", folder)
        return folder
    if len(sweeps) > 1:
        return Path("report").resolve()
    return next(iter(sweeps.values())).folder / "figures"


def _write(
    sweeps: dict[str, StudyRecord], folder: Path, importance: dict[str, list[Importance]], together: bool
) -> list[Path]:
    if len(sweeps) > 1:
        return write_joined(sweeps, folder, importance, together)
    (name,) = sweeps
    return write_report(sweeps[name], folder, importance[name])
