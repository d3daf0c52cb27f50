"""`hypercl sweep`: the plan, the sweep, the ranked table."""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from hypercl.cli.paths import folder_name, import_paths, kept_code, name_of, offline, results_of
from hypercl.cli.report import final_tables, ranked
from hypercl.cli.tables import pairs, widened
from hypercl.cli.test_leak_console import console_for
from hypercl.config import SweepFile, UserError, load, load_sweep
from hypercl.formatting import headings, shown
from hypercl.sweep import SweepOptions, SweepResult, dry_run_rows, listener_for, plan_rows, sweep
from hypercl.sweep.final import selections_of
from hypercl.sweep.plan import final_row
from hypercl.sweep.results import JsonEvents, sought
from hypercl.sweep.study import SWEEP_YAML, GpuBudget, check_same, read_sweep, search_config

SHOWN = 10


def sweep_command(args: argparse.Namespace) -> int:
    """Prints the plan, sweeps, prints the best; rerun to resume. With --show and --status, looks
    at what is there.

    Raises:
        UserError: there is no file, or a mistake in it.
    """
    if args.file is None:
        raise UserError("a sweep needs a file\n    fix:     hypercl sweep FILE; hypercl init lists the shipped ones")
    if args.show is not None:
        from hypercl.cli.show import print_trial

        return print_trial(_folder(args), args.show)
    file = asked(args)
    console = console_for(file)
    options = prepared(args, file, console)
    check_same(options.folder, file)
    if args.dry_run:
        console.print(pairs([*plan_rows(file, options), *dry_run_rows(file, options)]))
        return 0
    if not args.telling:
        rows = plan_rows(file, options)
        console.print(pairs(folded(rows) if console.is_terminal else rows))
    result = sweep(file, options)
    if args.telling:
        return _told(options, result)
    if result.table:
        title = f"best trials by {sought(file.objective)}{file.at_fidelity}"
        widened(console).print(ranked(result.table[:SHOWN], title))
    if result.final is not None:
        widened(console).print(final_tables(result.final.content))
    console.print(result.message, markup=False)
    console.print(f"results: {options.folder}", markup=False)
    return result.exit_code


def folded(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A plan with one row for the whole space, above a table that is redrawn."""
    paths = [name.removeprefix("space ") for name, _ in rows if name.startswith("space ")]
    space = ("space", f"{', '.join(headings(paths))} (--dry-run shows their ranges)")
    first = next((place for place, (name, _) in enumerate(rows) if name.startswith("space ")), len(rows))
    rest = [row for row in rows if not row[0].startswith("space ")]
    return [*rest[:first], *([space] if paths else []), *rest[first:]]


def _told(options: SweepOptions, result: SweepResult) -> int:
    """The end of a sweep that says little, or says it to a program."""
    if isinstance(options.listener, JsonEvents):
        options.listener.ended(result)
    else:
        print(f"{result.message}\nresults: {options.folder}")
    return result.exit_code


def prepared(args: argparse.Namespace, file: SweepFile, console: Console) -> SweepOptions:
    """What a sweep needs beside its file."""
    return replace(
        _options(args, file, results_of(args) / name_of(args, file), console),
        final="no" if args.no_final else "after the search" if file.final.auto else "when asked",
        prefer=args.prefer,
        join=args.join,
        import_paths=import_paths(args),
        source=args.file,
        command=getattr(args, "typed", ""),
    )


def asked(args: argparse.Namespace) -> SweepFile:
    """The file as the options change it."""
    trials = [] if args.trials is None else [f"search.trials={args.trials}"]
    file = load_sweep(args.file, [*args.overrides, *trials])
    if args.fork is None:
        return file
    known, args.name = results_of(args) / name_of(args, file), folder_name(args.fork)
    if not (known / SWEEP_YAML).is_file() or known.name == args.name:
        why = f"{shown(known)} holds no sweep" if known.name != args.name else f"{args.name} is the sweep's own name"
        raise UserError(
            f"--fork {args.fork}: {why}\n    fix:     hypercl sweep FILE --name OLD --fork NEW begins results/NEW with "
            "what results/OLD knows"
        )
    warm = list(dict.fromkeys([*file.search.warm_start, str(known)]))
    return load_sweep(
        args.file, [*args.overrides, *trials, f"name={args.name}", f"search.warm_start={json.dumps(warm)}"]
    )


def _folder(args: argparse.Namespace) -> Path:
    """The results of a sweep, named by its folder or by its file."""
    path = Path(args.file)
    return path if path.is_dir() else args.results.resolve() / name_of(args, load(path, args.overrides))


def _options(args: argparse.Namespace, file: SweepFile, folder: Path, console: Console) -> SweepOptions:
    """What a search and a final step by itself have in common."""
    return SweepOptions(
        folder=folder,
        data_dir=args.data_dir.resolve(),
        offline=offline(args),
        address=args.address or os.environ.get("RAY_ADDRESS") or None,
        cpus=args.cpus,
        gpus=args.gpus,
        max_concurrent=args.max_concurrent,
        time_limit_s=args.time,
        gpu_budget=GpuBudget(args.max_gpu_hours, args.max_cost, args.price_per_gpu_hour),
        listener=listener_for(search_config(file), Console() if args.telling == "json" else console, args.telling),
    )


def final_command(args: argparse.Namespace) -> int:
    """Retrains the best settings on fresh seeds and prints their results; if that is done, only prints.

    Raises:
        UserError: there is no sweep, no complete trial, or settings and seeds are given that were chosen already.
    """
    folder = args.results.resolve()
    record = read_sweep(folder)
    if not record.ranked():
        raise UserError(f"{folder} has no complete trial yet: there is no setting to retrain")
    overrides = [f"final.{key}={value}" for key in ("settings", "seeds") if (value := getattr(args, key)) is not None]
    openings = selections_of(record.attributes)
    chosen_now = not openings or (args.again and openings[-1].finished)
    if overrides and not chosen_now:
        raise UserError(
            f"{folder}: settings and seeds of the final step were chosen at {openings[-1].when}, before test data was "
            "opened\n    fix:     leave out --settings and --seeds; or, once it is finished, open test data once more "
            "with --again"
        )
    file = load(folder / SWEEP_YAML, overrides)
    console = console_for(file)
    options = replace(
        _options(args, file, folder, console),
        final="again" if args.again else "alone",
        import_paths=(*kept_code(folder), Path.cwd()),
        source=str(folder / SWEEP_YAML),
    )
    if chosen_now and not args.telling:
        console.print(pairs([final_row(file, options)]))
    result = sweep(file, options)
    if args.telling:
        return _told(options, result)
    if result.final is not None:
        widened(console).print(final_tables(result.final.content))
    console.print(result.message, markup=False)
    return result.exit_code
