"""`hypercl reproduce NAME`, where NAME is a comparison of sweeps."""

import argparse
import time
from pathlib import Path

from rich.console import Console

from hypercl.cli.paths import folder_name, import_paths, offline, results_of
from hypercl.cli.tables import pairs
from hypercl.cli.test_leak_console import console_for
from hypercl.config import SweepFile, UserError, did_you_mean
from hypercl.exit_codes import ExitCode
from hypercl.files import remove_partials, write_text
from hypercl.reproduce.jobs import file_named
from hypercl.reproduce.sweeps_table import Comparison
from hypercl.sweep import SweepOptions, listener_for, sweep
from hypercl.sweep.results.report import protocols_table
from hypercl.sweep.study.protocols import described, tuning
from hypercl.sweep.study.record import read_sweep


def compare(table: Comparison, file: Path, given: argparse.Namespace) -> int:
    """Runs the sweeps that are not done, one after the other, and writes table.csv, table.md and table.png.

    Raises:
        UserError: a mistake in the table, in its file, in the options or the data.
    """
    if given.table is not None:
        raise UserError("--table prints a table of runs; this is one of sweeps, whose table.md stands in its results")
    console = Console(soft_wrap=True, highlight=False, markup=False)
    folder = results_of(given) / folder_name(file.stem if given.name is None else given.name)
    seeds = [] if given.seeds is None else [f"final.seeds={given.seeds}"]
    overrides = [*given.overrides, *seeds]
    sweeps = {name: table.sweep(name, file_named(table.file, file), overrides) for name in _chosen(table, given.only)}
    console.print(f"{table.title}: {len(sweeps)} of {len(table.sweeps)} sweeps")
    console.print(pairs([(name, described(each)) for name, each in sweeps.items()]))
    if given.dry_run:
        return ExitCode.DONE
    remove_partials(folder)
    began, code = time.monotonic(), ExitCode.DONE
    for name, each in sweeps.items():
        left = None if given.budget is None else began + given.budget - time.monotonic()
        if left is not None and left <= 0:
            code = ExitCode.TIME_UP
            break
        console.rule(name, align="left")
        result = sweep(each, _options(each, folder / name, file, given, left))
        console_for(each).print(result.message, markup=False)
        code = result.exit_code
        if code != ExitCode.DONE:
            break
    _write(table, folder, console)
    return code


def _options(
    file: SweepFile, folder: Path, source: Path, given: argparse.Namespace, left: float | None
) -> SweepOptions:
    folder.mkdir(parents=True, exist_ok=True)
    return SweepOptions(
        folder=folder,
        data_dir=given.data_dir.resolve(),
        offline=offline(given),
        time_limit_s=left,
        import_paths=import_paths(given),
        source=str(source),
        listener=listener_for(tuning(file), console_for(file)),
    )


def _chosen(table: Comparison, only: list[str] | None) -> list[str]:
    for name in only or ():
        if name not in table.sweeps:
            hint = did_you_mean(name, list(table.sweeps)) or f"give one of {', '.join(table.sweeps)}"
            raise UserError(f"--only: there is no sweep '{name}'\n    fix:     {hint}")
    return [name for name in table.sweeps if not only or name in only]


def _write(table: Comparison, folder: Path, console: Console) -> None:
    """The table of all sweeps whose final step is done, whether chosen now or before."""
    done = {name: folder / name for name in table.sweeps if (folder / name / "final" / "final.json").is_file()}
    if not done:
        console.print("No sweep has come to its end yet; the same command goes on.")
        return
    found = protocols_table({name: read_sweep(path) for name, path in done.items()})
    write_text(folder / "table.csv", found.frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_text(folder / "table.md", f"# {table.title}\n\n{found.markdown}")
    found.figure.savefig(folder / "table.png")
    console.print(found.markdown)
    console.print(f"results: {folder} (table.md, table.csv, table.png)")
