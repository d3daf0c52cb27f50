"""`hypercl sweep`: the plan, the sweep, the ranked table."""

import argparse
import os
from pathlib import Path

from rich.console import Console

from hypercl.cli.paths import import_paths, name_of, offline, results_of
from hypercl.cli.tables import final_tables, pairs, ranked, widened
from hypercl.cli.test_leak_console import console_for
from hypercl.config import SweepFile, UserError, load, load_sweep
from hypercl.sweep import SweepOptions, dry_run, listener_for, plan, sweep
from hypercl.sweep.results.goals import sought
from hypercl.sweep.study.protocols import tuning

SHOWN = 10


def sweep_command(given: argparse.Namespace) -> int:
    """Prints the plan, sweeps, prints the best; the same command again goes on. Or, with --show and --status, looks
    at what is there.

    Raises:
        UserError: there is no file, or a mistake in it.
    """
    if given.status is not None:
        from hypercl.cli.status import print_status

        return print_status(given.status)
    if given.file is None:
        raise UserError("a sweep needs a file\n    fix:     hypercl sweep FILE; hypercl init lists the shipped ones")
    if given.show is not None:
        from hypercl.cli.show import print_trial

        return print_trial(_folder(given), given.show)
    trials = [] if given.trials is None else [f"search.trials={given.trials}"]
    file = load_sweep(given.file, [*given.overrides, *trials])
    console = console_for(file)
    options = _options(given, file, console)
    console.print(pairs(plan(file, options)))
    if given.dry_run:
        console.print(pairs(dry_run(file, options)))
        return 0
    result = sweep(file, options)
    if result.table:
        widened(console).print(ranked(result.table[:SHOWN], f"best trials by {sought(file.objective)}"))
    if result.final is not None:
        widened(console).print(final_tables(result.final.content))
    console.print(result.message, markup=False)
    console.print(f"results: {options.folder}", markup=False)
    return result.exit_code


def _folder(given: argparse.Namespace) -> Path:
    """The results of a sweep, named by its folder or by its file."""
    path = Path(given.file)
    return path if path.is_dir() else given.results.resolve() / name_of(given, load(path, given.overrides))


def _options(given: argparse.Namespace, file: SweepFile, console: Console) -> SweepOptions:
    return SweepOptions(
        folder=results_of(given) / name_of(given, file),
        data_dir=given.data_dir.resolve(),
        offline=offline(given),
        address=given.address or os.environ.get("RAY_ADDRESS") or None,
        cpus=given.cpus,
        gpus=given.gpus,
        max_concurrent=given.max_concurrent,
        time_limit_s=given.time,
        final="no" if given.no_final else "after the search",
        prefer=given.prefer,
        import_paths=import_paths(given),
        source=given.file,
        listener=listener_for(tuning(file), console),
    )
