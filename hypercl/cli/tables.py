"""Tables that commands print."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table

from hypercl.analysis.final_table import final_rows, title
from hypercl.analysis.final_text import Content
from hypercl.config.reading.yaml_text import value_in_short


def pairs(rows: Sequence[tuple[str, ...]]) -> Table:
    """Rows of a name and a sentence (or more columns)."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for index in range(len(rows[0]) if rows else 0):
        table.add_column(no_wrap=index == 0, overflow="fold", style="bold" if index == 0 else "")
    for row in rows:
        table.add_row(*row)
    return table


def ranked(rows: Sequence[dict[str, Any]], title: str) -> Table:
    """Trials, best first, a column for each key of a row; headings are as short as they can be told apart.

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
    """A console whose tables are not folded where nobody looks at them through a window."""
    if not console.is_terminal:
        console.width = 200
    return console
