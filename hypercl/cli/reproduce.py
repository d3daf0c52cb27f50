"""`hypercl reproduce NAME`: reproduces published results, cell by cell."""

import argparse
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from hypercl.analysis import write_matrix_png
from hypercl.cli.paths import folder_name, import_paths, offline, results_of
from hypercl.cli.tables import pairs
from hypercl.cli.test_leak_console import console_for
from hypercl.config import SweepFile, UserError, did_you_mean
from hypercl.control import Control
from hypercl.exit_codes import ExitCode
from hypercl.files import remove_partials, write_text
from hypercl.folder_lock import folder_lock
from hypercl.formatting import duration
from hypercl.loggers import Terminal, build, run_to_end
from hypercl.reproduce import (
    Comparison,
    Job,
    Reproduction,
    cells_of,
    file_named,
    load_reproduction,
    published_experiments,
    read_reproduction,
    reproduction_figure,
    reproduction_jobs,
    reproduction_markdown,
    reproduction_results,
    table_file,
)
from hypercl.sweep import SweepOptions, listener_for, sweep
from hypercl.sweep.results import protocols_table
from hypercl.sweep.study import protocol_in_words, read_sweep, search_config
from hypercl.training import RunFolders, run, seeds_name


def compare(table: Comparison, file: Path, args: argparse.Namespace) -> int:
    """Runs the sweeps that are not done, one after the other, and writes table.csv, table.md and table.png.

    Raises:
        UserError: a mistake in the table, in its file, in the options or the data.
    """
    if args.table is not None:
        raise UserError("--table prints a table of runs; this is one of sweeps, whose table.md stands in its results")
    console = Console(soft_wrap=True, highlight=False, markup=False)
    folder = results_of(args) / folder_name(file.stem if args.name is None else args.name)
    seeds = [] if args.seeds is None else [f"final.seeds={args.seeds}"]
    overrides = [*args.overrides, *seeds]
    sweeps = {name: table.sweep(name, file_named(table.file, file), overrides) for name in _chosen(table, args.only)}
    console.print(f"{table.title}: {len(sweeps)} of {len(table.sweeps)} sweeps")
    console.print(pairs([(name, protocol_in_words(file)) for name, file in sweeps.items()]))
    if args.dry_run:
        return ExitCode.DONE
    with folder_lock(folder):
        remove_partials(folder)
        began, code = time.monotonic(), ExitCode.DONE
        for name, config in sweeps.items():
            left = None if args.budget is None else began + args.budget - time.monotonic()
            if left is not None and left <= 0:
                code = ExitCode.TIME_UP
                break
            console.rule(name, align="left")
            result = sweep(config, _options(config, folder / name, file, args, left))
            console_for(config).print(result.message, markup=False)
            code = result.exit_code
            if code != ExitCode.DONE:
                break
        _write(table, folder, console)
    return code


def _options(file: SweepFile, folder: Path, source: Path, args: argparse.Namespace, left: float | None) -> SweepOptions:
    folder.mkdir(parents=True, exist_ok=True)
    return SweepOptions(
        folder=folder,
        data_dir=args.data_dir.resolve(),
        offline=offline(args),
        time_limit_s=left,
        import_paths=import_paths(args),
        source=str(source),
        listener=listener_for(search_config(file), console_for(file)),
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
        console.print("No sweep is finished yet; rerun the same command to resume.")
        return
    joined = protocols_table({name: read_sweep(path) for name, path in done.items()})
    write_text(folder / "table.csv", joined.frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_text(folder / "table.md", f"# {table.title}\n\n{joined.markdown}")
    joined.figure.savefig(folder / "table.png")
    console.print(joined.markdown)
    console.print(f"results: {folder} (table.md, table.csv, table.png)")


FAILURE = "error.txt"
"""In a run's folder: why it has no result, on its first line."""


def reproduce_command(args: argparse.Namespace) -> int:
    """Prints the plan, runs what is not there yet, and keeps table.csv, table.md and table.png up to date.

    Raises:
        UserError: a mistake in the table, in a file of it, in the options or the data.
    """
    file = table_file(args.file)
    table = load_reproduction(file)
    if isinstance(table, Comparison):
        return compare(table, file, args)
    if args.table is not None:
        print(reproduction_markdown(table, read_reproduction(args.table)), end="")
        return ExitCode.DONE
    console = Console(soft_wrap=True, highlight=False)
    whole = _Whole(table, file, results_of(args) / folder_name(file.stem if args.name is None else args.name))
    chosen = reproduction_jobs(table, file, whole.folder, args)
    console.print(f"{table.title}: {len(chosen)} of {len(cells_of(table))} cells", markup=False)
    console.print(pairs([("cell", "seeds", "published", "state"), *map(_planned, chosen)]))
    if args.dry_run:
        return ExitCode.DONE
    with folder_lock(whole.folder):
        remove_partials(whole.folder)
        code = _run_all(chosen, whole, args, console)
    console.print(f"results: {whole.folder} (table.md, table.csv, table.png)", markup=False)
    return code


@dataclass(frozen=True)
class _Whole:
    """The table that cells are put into."""

    table: Reproduction
    file: Path
    folder: Path

    def write(self) -> None:
        """Numbers, Markdown and figure of all cells there are, whether chosen now or before."""
        results = reproduction_results(list(published_experiments(self.table, self.file)), self.folder)
        path = self.folder / "table.csv"
        write_text(path, results.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
        frame = read_reproduction(path)
        write_text(self.folder / "table.md", f"# {self.table.title}\n\n{reproduction_markdown(self.table, frame)}")
        reproduction_figure(self.table, frame).savefig(self.folder / "table.png")


def _planned(job: Job) -> tuple[str, str, str, str]:
    published = "" if job.cell.published is None else f"{job.cell.published:.2f} %"
    return job.cell.name, seeds_name(job.experiment).split("-", 1)[1], published, job.state


def _run_all(chosen: Sequence[Job], whole: _Whole, args: argparse.Namespace, console: Console) -> ExitCode:
    """Runs the cells that are not done, in their order; one that fails leaves the others alone."""
    began = time.monotonic()
    outcomes: list[str] = []
    todo = [job for job in chosen if job.state != "done"]
    control = Control(say=lambda text: console.print(text, markup=False))
    control.deadline = None if args.budget is None else began + args.budget
    with control.signals():
        for job in todo:
            if control.stopping:
                break
            left = len(todo) - len(outcomes)
            mean = (time.monotonic() - began) / max(1, len(outcomes))
            about = f", about {duration(mean * left)} if the rest takes as long" if outcomes else ""
            console.rule(f"{job.cell.name}: {left} of {len(todo)} cells left{about}", align="left")
            outcomes.append(_run_cell(job, args, console, control))
            whole.write()
    if not outcomes:
        whole.write()
    if "interrupted" not in outcomes and len(outcomes) == len(todo):
        return ExitCode.FAILED if "failed" in outcomes else ExitCode.DONE
    console.print("Rerun the same command to resume.")
    return control.exit_code


def _run_cell(job: Job, args: argparse.Namespace, console: Console, control: Control) -> str:
    """Runs a cell from where it was left: 'finished', 'interrupted', or 'failed', which a file in its folder explains.

    Raises:
        UserError: missing data, or a network that cannot be built.
    """
    folders = RunFolders(job.folder, args.data_dir, offline(args), import_paths(args), job.cell.name)
    (job.folder / FAILURE).unlink(missing_ok=True)
    try:
        loggers = [*build(None, job.folder), Terminal(console)]
        ending = run_to_end(run(job.experiment, folders, test=True), loggers, control)
        if ending.how == "interrupted":
            return "interrupted"
        if ending.how == "finished":
            write_matrix_png(job.folder)
            return "finished"
        reason = f"{ending.how.replace('_', ' ')}: {ending.why}"
    except UserError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}\n{traceback.format_exc()}"
    write_text(job.folder / FAILURE, reason)
    console.print(reason.splitlines()[0], style="red", markup=False)
    return "failed"
