"""Plain tables of the terminal; light, so that `explain` and `init` start at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text


def widened(console: Console) -> Console:
    """A console whose tables are not folded when the output is not a terminal."""
    if not console.is_terminal:
        console.width = 200
    return console


def pairs(rows: Sequence[tuple[str, ...]]) -> Table:
    """Rows of a name and a sentence (or more columns)."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for index in range(len(rows[0]) if rows else 0):
        table.add_column(no_wrap=index == 0, overflow="fold", style="bold" if index == 0 else "")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


@dataclass(frozen=True)
class Fitted:
    """Rows of the same keys as a table; where the window is too narrow for it, each row is a column headed by its first
    cell, in as many tables as are needed."""

    rows: Sequence[Mapping[str, str]]
    title: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        def fits(table: Table) -> bool:
            return Measurement.get(console, options.update(max_width=1000), table).maximum <= options.max_width

        rows, title = self.rows, self.title
        if fits(upright := _upright(rows, title)):
            yield upright
            return
        while rows:
            count = next((count for count in range(len(rows), 1, -1) if fits(_sideways(rows[:count], ""))), 1)
            yield _sideways(rows[:count], title)
            rows, title = rows[count:], ""


def _upright(rows: Sequence[Mapping[str, str]], title: str) -> Table:
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    for heading in rows[0] if rows else ():
        words = any(row[heading][:1].isalpha() for row in rows)
        table.add_column(Text(heading), justify="left" if words else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row.values()))
    return table


def _sideways(rows: Sequence[Mapping[str, str]], title: str) -> Table:
    first, *keys = rows[0]
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    table.add_column(Text(first))
    for row in rows:
        table.add_column(Text(row[first]), justify="right", overflow="fold")
    for key in keys:
        table.add_row(Text(key), *(Text(row[key]) for row in rows))
    return table
