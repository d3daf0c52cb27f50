"""Plain tables of the terminal; light, so that `explain` and `init` start at once."""

from collections.abc import Sequence

from rich.table import Table


def pairs(rows: Sequence[tuple[str, ...]]) -> Table:
    """Rows of a name and a sentence (or more columns)."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for index in range(len(rows[0]) if rows else 0):
        table.add_column(no_wrap=index == 0, overflow="fold", style="bold" if index == 0 else "")
    for row in rows:
        table.add_row(*row)
    return table
