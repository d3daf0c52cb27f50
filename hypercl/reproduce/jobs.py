"""Which runs a table of published results asks for: found, chosen and checked before any of them begins."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hypercl.config import ConfigError, Experiment, UserError, did_you_mean, difference_line, differences, load
from hypercl.reproduce.table import Cell, Reproduction, cells_of, settings_of
from hypercl.shipped_files import folder as shipped_folder
from hypercl.training import RunSummary, seeds_name

ENDS = (".yaml", ".yml")


@dataclass(frozen=True)
class Job:
    """One cell and the run that makes it."""

    cell: Cell
    experiment: Experiment
    folder: Path
    """Of the run, such as results/split_mnist/ewc-class/seeds-1-3."""

    @property
    def state(self) -> str:
        """Whether there is anything left to do: to train, or to open test data."""
        summary = RunSummary.read(self.folder)
        if summary is not None and "test" in summary.metrics:
            return "done"
        return "to resume" if (self.folder / "config.yaml").exists() else "to do"


def shipped_tables() -> list[str]:
    """Names of the tables that come with the package."""
    return sorted(file.stem for file in _tables().glob("*.yaml"))


def table_file(name: str) -> Path:
    """The file of a shipped table, or a user's own.

    Raises:
        UserError: the name is neither.
    """
    if name in shipped_tables():
        return _tables() / f"{name}.yaml"
    if Path(name).suffix in ENDS:
        return Path(name)
    hint = did_you_mean(name, shipped_tables()) or "give one of these, or a YAML file of your own"
    raise UserError(f"there is no table '{name}'; shipped are {', '.join(shipped_tables())}\n    fix:     {hint}")


def published_experiments(table: Reproduction, file: Path) -> Iterator[tuple[Cell, Experiment]]:
    """The cells whose files can be read, each with its experiment as published."""
    for cell in cells_of(table):
        try:
            yield cell, cell.experiment(file_named(cell.file, file))
        except ConfigError:
            continue  # `reproduction_jobs` reports it where the cell is chosen


def reproduction_jobs(table: Reproduction, file: Path, folder: Path, args: argparse.Namespace) -> list[Job]:
    """The runs of the chosen cells, in the table's order.

    Args:
        table: all cells.
        file: where the table was read from; its own files lie beside it.
        folder: of the table's results.
        args: `only`, `overrides` and `seeds` of the command.

    Raises:
        UserError: with the mistakes of every chosen cell; or a cell holds a run with other settings.
    """
    seeds = [] if args.seeds is None else [f"training.replicas={args.seeds}"]
    jobs: list[Job] = []
    problems: list[str] = []
    for cell in _chosen(cells_of(table), args.only):
        try:
            experiment = cell.experiment(file_named(cell.file, file), [*args.overrides, *seeds])
        except ConfigError as error:
            problems.append(f"cell {cell.name}: {error}")
            continue
        jobs.append(Job(cell, experiment, folder / cell.name / seeds_name(experiment)))
    if problems:
        raise UserError("\n".join(problems))
    for job in jobs:
        _require_same(job)
    return jobs


def _tables() -> Path:
    return Path(str(resources.files("hypercl") / "reproductions"))


def file_named(name: str, table: Path) -> Path:
    """The file that a table starts from: a shipped one by its name, or one beside the table."""
    if Path(name).suffix in ENDS:
        return table.parent / name
    return Path(str(shipped_folder())) / f"{name}.yaml"


def _chosen(cells: Sequence[Cell], only: Sequence[str] | None) -> list[Cell]:
    """The cells that --only names: by their own names, by their row's, or by their scenario's."""
    if not only:
        return list(cells)
    known = list(dict.fromkeys(name for cell in cells for name in (cell.name, cell.row, cell.scenario)))
    for name in only:
        if name not in known:
            hint = did_you_mean(name, known) or "--dry-run lists the cells"
            raise UserError(f"--only: there is no cell, row or scenario '{name}'\n    fix:     {hint}")
    return [cell for cell in cells if {cell.name, cell.row, cell.scenario} & set(only)]


def _require_same(job: Job) -> None:
    """Numbers of other settings cannot stand in the same cell."""
    for file in sorted(job.folder.parent.glob("*/config.yaml")):
        changes = differences(settings_of(load(file).experiment), settings_of(job.experiment))
        if changes:
            lines = "\n".join(difference_line(*change) for change in changes)
            raise UserError(
                f"{file.parent} holds a run with other settings:\n{lines}\n"
                "    fix:     give the new settings another --name, or put the old ones back"
            )
