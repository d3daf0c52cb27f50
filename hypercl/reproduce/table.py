"""A table of published results as data: the runs that reproduce it, and the published values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hypercl.config import ConfigError, Problem
from hypercl.config.checks import load_sweep
from hypercl.config.models import Experiment, Name, Number, Section, SweepFile, is_mapping
from hypercl.config.reading import content_of, load, resolved, text_of, validated


class Comparison(Section):
    """Several sweeps to be set side by side."""

    title: str
    """What is compared."""
    file: str
    """The file they all start from: the name of a shipped one, such as split_mnist, or a path (ending in .yaml) that is
    taken from beside this file."""
    set: dict[str, Any] = {}
    """Key path -> value, in every sweep; a sweep's own win."""
    sweeps: dict[Name, dict[str, Any]] = Field(min_length=1)
    """A sweep's name -> key path -> value, what it alone has."""

    def sweep(self, name: str, file: Path, overrides: Sequence[str] = ()) -> SweepFile:
        """One of the sweeps.

        Args:
            name: of the sweep.
            file: where the file lies that it starts from.
            overrides: `path=value` pairs that win over the comparison's own.

        Raises:
            ConfigError: with every mistake of the file, of the comparison's values and of the overrides.
        """
        values = {**self.set, **self.sweeps[name]}
        return load_sweep(file, [*(f"{path}={json.dumps(value)}" for path, value in values.items()), *overrides])


Scenario = Literal["task", "domain", "class"]
APART = (
    "training.device",
    "training.threads",
    "training.seed",
    "training.replicas",
    "tasks.download",
)
"""Keys in which runs of one cell may differ: where it was run, and on which seeds."""


class Published(Section):
    """One method in one scenario."""

    published: Annotated[Number, Field(ge=0, le=100)] | None = None
    """Task-averaged test accuracy in percent; null where none was published."""
    set: dict[str, Any] = {}
    """Key path -> value, what this scenario alone has."""


class Row(Section):
    """A method, in the scenarios it has a result for."""

    label: str
    """What the table calls it."""
    file: str
    """The file it starts from: the name of a shipped one, such as split_mnist, or a path (ending in .yaml) that is
    taken from beside the table."""
    source: str = ""
    """Where the published numbers stand."""
    set: dict[str, Any] = {}
    """Key path -> value, in all its scenarios."""
    cells: dict[Scenario, Published]
    """Scenario -> what was published for it."""


class Reproduction(Section):
    """The whole table."""

    title: str
    """What is reproduced."""
    set: dict[str, Any] = {}
    """Key path -> value, in every cell; a row's and a cell's own win."""
    rows: dict[Name, Row]
    """A row's short name -> the row, in the table's order."""


@dataclass(frozen=True)
class Cell:
    """One number of the table, and the run that makes it."""

    row: str
    """Short name of its row."""
    scenario: Scenario
    label: str
    """What the table calls the method."""
    file: str
    """As of the row."""
    published: float | None
    """In percent."""
    source: str
    values: Mapping[str, Any]
    """Key path -> value, over the file's."""

    @property
    def name(self) -> str:
        """Of its folder, such as `ewc-class`."""
        return f"{self.row}-{self.scenario}"

    def experiment(self, file: Path, overrides: Sequence[str] = ()) -> Experiment:
        """What is trained for it.

        Args:
            file: where the file lies that it starts from.
            overrides: `path=value` pairs that win over the table's own.

        Raises:
            ConfigError: with every mistake of the file, of the table's values and of the overrides.
        """
        values = [f"{path}={json.dumps(value)}" for path, value in self.values.items()]
        return load(file, [*values, *overrides]).experiment


def load_reproduction(file: str | Path) -> Reproduction | Comparison:
    """Reads and validates a table: of runs (`rows`), or of sweeps (`sweeps`).

    Raises:
        ConfigError: with every mistake of the file.
    """
    content = content_of(text_of(file), str(file))
    data: Any = content.data
    if not is_mapping(data):
        raise ConfigError(str(file), [Problem("", "the file holds no table", data, "title, set, rows")])
    kind = Comparison if "sweeps" in data else Reproduction
    model, problems = validated(kind, data, content.locations)
    if model is None:
        raise ConfigError(str(file), problems)
    return model


def cells_of(table: Reproduction) -> list[Cell]:
    """Every cell, in the table's order."""
    return [
        Cell(
            row=name,
            scenario=scenario,
            label=row.label,
            file=row.file,
            published=cell.published,
            source=row.source,
            values={"tasks.scenario": scenario, **table.set, **row.set, **cell.set},
        )
        for name, row in table.rows.items()
        for scenario, cell in row.cells.items()
    ]


def settings_of(experiment: Experiment) -> dict[str, Any]:
    """What makes a run of a cell the same as another, as plain data: all but the keys of `APART`."""
    data = resolved(experiment)
    for path in APART:
        section, key = path.split(".")
        data[section].pop(key, None)
    return data
