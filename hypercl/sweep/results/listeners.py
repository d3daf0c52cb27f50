"""Who tells a person, or a program, what a sweep does."""

from rich.console import Console

from hypercl.config import SweepFile
from hypercl.sweep.listener import Listener, Silent
from hypercl.sweep.results.events import JsonEvents
from hypercl.sweep.results.live import PlainLines
from hypercl.sweep.results.live_table import LiveTable, NotebookTable


def listener_for(file: SweepFile, console: Console | None = None, how: str = "") -> Listener:
    """A live table in a terminal or a notebook, plain lines elsewhere; `how` is `quiet` or `json` for nothing,
    or one event a line."""
    where = console or Console()
    if how:
        return Silent() if how == "quiet" else JsonEvents(file, where)
    if where.is_jupyter:
        return NotebookTable(file, where)
    return LiveTable(file, where) if where.is_terminal else PlainLines(file, where)
