"""`hypercl sweep --status RESULTS`: how a sweep stands, from another shell."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from hypercl.cli.tables import pairs
from hypercl.formatting import duration
from hypercl.sweep.results.status import Running, rows_of, state_words, status_of


def print_status(folder: Path) -> int:
    """Prints a sweep's status; changes nothing."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    status = status_of(folder)
    console.print(pairs(rows_of(status)))
    if status.running:
        console.print(_table(status.running, state_words(folder)["running"]))
    return 0


def _table(running: list[Running], title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in ("trial", "task", "step", "accuracy on the tasks met", "age", "last heard"):
        table.add_column(heading, justify="right")
    for each in running:
        table.add_row(
            str(each.number),
            f"{each.task} of {each.tasks}",
            f"{each.step} of {each.steps}",
            "" if each.accuracy is None else f"{each.accuracy:.4f}",
            duration(each.age_s),
            "" if each.heard_s is None else f"{duration(each.heard_s)} ago",
        )
    return table
