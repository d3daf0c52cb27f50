"""`hypercl report RESULTS ...`: ranked tables, parameter importance, the final step's result, figures."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table

from hypercl.analysis import LEAK, Content, final_rows, title
from hypercl.cli.paths import require_writable
from hypercl.cli.tables import pairs
from hypercl.cli.test_leak_console import PrefixedStream
from hypercl.config.reading import value_in_short
from hypercl.formatting import shown
from hypercl.sweep.final import data_used_rows
from hypercl.sweep.results import (
    LEAST,
    Importance,
    cost_rows,
    final_of,
    importances,
    own_folder,
    protocols_table,
    rankings,
    read_sweeps,
    stability_rows,
    state_words,
    told,
    write_joined,
    write_preferred,
    write_report,
)
from hypercl.sweep.study import StudyRecord, leaks


def ranked(rows: Sequence[dict[str, Any]], title: str) -> Table:
    """Trials, best first, a column for each key of a row; headings are as short as they can be while unique.

    A row's `spread` over its seeds stands with its value: 0.95 ± 0.003.
    """
    spreads = [row.get("spread", "") for row in rows]
    rows = [{key: value for key, value in row.items() if key != "spread"} for row in rows]
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("rank", justify="right")
    for heading in headings(list(rows[0])):
        table.add_column(heading, justify="right", overflow="fold")
    for rank, (row, spread) in enumerate(zip(rows, spreads, strict=True), start=1):
        cells = {key: "" if value == "" else value_in_short(value) for key, value in row.items()}
        if spread != "":
            cells["value"] += f" ± {spread:.2g}"
        table.add_row(str(rank), *cells.values())
    return table


def cells(rows: Sequence[Mapping[str, str]], title: str) -> Table:
    """Rows of the same keys, every cell as it is shown."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in rows[0] if rows else ():
        words = any(row[heading][:1].isalpha() for row in rows)
        table.add_column(heading, justify="left" if words else "right", overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    return table


def final_tables(content: Content) -> Group:
    """The final step's numbers, and below them what each setting is: its values need a line of their own."""
    rows = [{key: cell for key, cell in row.items() if key != "values"} for row in final_rows(content)]
    settings = [(row["setting"], row["values"]) for row in final_rows(content) if row["values"]]
    return Group(Fitted(rows, title(content)), "", pairs(settings))


@dataclass(frozen=True)
class Fitted:
    """`cells`; where the window is too narrow for them, each row is a column, of as many tables as are needed."""

    rows: Sequence[Mapping[str, str]]
    title: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        def fits(table: Table) -> bool:
            return Measurement.get(console, options.update(max_width=1000), table).maximum <= options.max_width

        whole = cells(self.rows, self.title)
        if fits(whole):
            yield whole
            return
        columns, title = _columns(self.rows), self.title
        while columns:
            counts = range(len(columns), 1, -1)
            count = next((each for each in counts if fits(cells(_beside(columns[:each]), ""))), 1)
            yield cells(_beside(columns[:count]), title)
            columns, title = columns[count:], ""


def _columns(rows: Sequence[Mapping[str, str]]) -> list[tuple[str, dict[str, str]]]:
    """Of each row its heading, which is its setting and, where there are several, its goal; and its other cells."""
    found, setting = [], ""
    for row in rows:
        setting = row["setting"] or setting
        heading = f"{setting}: {row['goal']}" if "goal" in row else setting
        found.append((heading, {key: cell for key, cell in row.items() if key not in ("setting", "goal")}))
    return found


def _beside(columns: Sequence[tuple[str, Mapping[str, str]]]) -> list[dict[str, str]]:
    """Some columns as rows of a table."""
    return [{"": key} | {heading: cells[key] for heading, cells in columns} for key in columns[0][1]]


def headings(paths: Sequence[str]) -> list[str]:
    """The shortest ends of some key paths that tell them apart: `lr`, `target hidden`, `hypernet hidden`."""
    found = []
    for path in paths:
        parts = path.split(".")
        least = 2 if parts[-1] == "name" else 1
        ends = [".".join(parts[-length:]) for length in range(least, len(parts) + 1)]
        end = next(
            (end for end in ends if sum(f".{other}".endswith(f".{end}") for other in paths) == 1),
            path,
        )
        found.append(end.replace(".", " ").replace("_", " "))
    return found


def widened(console: Console) -> Console:
    """A console whose tables are not folded when the output is not a terminal."""
    if not console.is_terminal:
        console.width = 200
    return console


def report_command(given: argparse.Namespace) -> int:
    """Prints and writes the report of one or several sweeps; reads them only, running or not.

    Every line on a sweep that was tuned on test data is marked; in tables of several sweeps its name is.
    """
    sweeps = read_sweeps(given.results)
    console = _console(leaking=all(leaks(record.asked) for record in sweeps.values()))
    own = {name: console if len(sweeps) == 1 else _console(leaks(record.asked)) for name, record in sweeps.items()}
    for name, record in sweeps.items():
        own[name].print(_standing(name, record))
        own[name].print(pairs([*data_used_rows(record), *cost_rows(record)]))
    for goals, rows in rankings({_named(name, record): record for name, record in sweeps.items()}):
        if rows:
            console.print()
            console.print(ranked(rows[: given.top], f"best of {len(rows)} complete trials by {goals}"))
    console.print()
    found = {name: importances(record) for name, record in sweeps.items()}
    for name, record in sweeps.items():
        prefix = f"{name}: " if len(sweeps) > 1 else ""
        tried = stability_rows(record)
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
    """Standard output; of a leaking sweep with every line marked."""
    inner = PrefixedStream(sys.stdout) if leaking else None
    return widened(Console(file=inner, soft_wrap=True, highlight=False, markup=False))


def _named(name: str, record: StudyRecord) -> str:
    return f"{name} ({LEAK})" if leaks(record.asked) else name


def what_mattered(record: StudyRecord, found: Sequence[Importance]) -> str:
    """The importances as a sentence."""
    if not found:
        return f"which parameters mattered cannot be said before {LEAST} trials are trained and two of them complete"
    names = dict(zip((each.path for each in found), headings([each.path for each in found]), strict=True))
    sure = [f"{names[each.path]} {each.share:.0%}" for each in found if each.stands_out]
    rest = [f"{names[each.path]} {each.share:.0%}" for each in found if not each.stands_out]
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


def _folder(given: argparse.Namespace, sweeps: dict[str, StudyRecord]) -> Path:
    if given.to is not None:
        folder = given.to.resolve()
        require_writable("--to", folder)
        return folder
    if len(sweeps) > 1:
        return Path("report").resolve()
    return next(iter(sweeps.values())).folder / "figures"


def _write(sweeps: dict[str, StudyRecord], folder: Path, found: dict[str, list[Importance]]) -> list[Path]:
    if len(sweeps) > 1:
        return write_joined(sweeps, folder, found)
    (name,) = sweeps
    return write_report(sweeps[name], folder, found[name])
