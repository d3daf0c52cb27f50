"""Rows of the table of speeds: what was measured, what was to be reached, and whether it was."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FIELDS = ("measure", "goal", "ours", "peer", "ratio", "unit", "met")


@dataclass(frozen=True)
class Row:
    """A measure."""

    measure: str
    goal: str
    """What the ratio is to be: `>= 7` or `<= 1.1`."""
    unit: str
    """Of ours and peer."""
    ours: float | None = None
    peer: float | None = None
    """What ours is compared with: hypnettorch, or what the measure says."""
    ratio: float | None = None
    """None where nothing was measured."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the ratio reaches the goal; None where nothing was measured."""
        if self.ratio is None:
            return None
        sign, limit = self.goal.split()
        return {">=": self.ratio >= float(limit), "<=": self.ratio <= float(limit)}[sign]

    def as_json(self) -> dict[str, Any]:
        """The row's fields; without `met` where nothing was measured."""
        found = {field: getattr(self, field) for field in FIELDS if field != "met" or self.met is not None}
        return found | ({"note": self.note} if self.note else {})


def speedup(measure: str, goal: str, ours: float, peer: float, note: str = "") -> Row:
    """How many times as long the peer takes; both in seconds, told in ms."""
    return Row(measure, goal, "ms", ours * 1e3, peer * 1e3, peer / ours, note)


def share(measure: str, goal: str, unit: str, ours: float, peer: float, note: str = "") -> Row:
    """How much ours is of what it is compared with."""
    return Row(measure, goal, unit, ours, peer, ours / peer, note)


def write_json(rows: Sequence[Row], path: Path) -> None:
    """A list of objects, one a row."""
    path.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n", encoding="utf-8")


def write_markdown(rows: Sequence[Row], path: Path) -> None:
    """A table for a README."""
    lines = [_line((*FIELDS, "note")), _line(["---"] * (len(FIELDS) + 1))]
    path.write_text("\n".join([*lines, *(_line(_cells(row)) for row in rows)]) + "\n", encoding="utf-8")


def show(rows: Sequence[Row], console: Console) -> None:
    """Prints the table."""
    table = Table()
    for name in (*FIELDS, "note"):
        table.add_column(name, overflow="fold", justify="right" if name in ("ours", "peer", "ratio") else "left")
    for row in rows:
        table.add_row(*_cells(row), style="red" if row.met is False else None)
    console.print(table)


def _cells(row: Row) -> list[str]:
    met = {True: "yes", False: "no", None: "not measured"}[row.met] if row.goal else ""
    return [row.measure, row.goal, *map(_number, (row.ours, row.peer, row.ratio)), row.unit, met, row.note]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
