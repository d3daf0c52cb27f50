"""`hypercl train`: one run, in the terminal and in its folder."""

import argparse
import uuid
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from hypercl.analysis import write_functions_png, write_matrix_png
from hypercl.cli.paths import import_paths, name_of, offline, results_of
from hypercl.config import SweepFile, load
from hypercl.control import Control
from hypercl.exit_codes import ExitCode
from hypercl.folder_lock import folder_lock
from hypercl.loggers import How, Logger, LoggerSpec, Terminal, build, check_loggers, decide_mode, run_to_end, sync_hint
from hypercl.training import RunFolders, Started, require_buildable, run, seeds_name
from hypercl.user_code import keep_code

ADVICE = {
    "diverged": "A smaller training.optimizer.lr or method.beta may help.",
    "out_of_memory": "A smaller training.batch_size, target or hypernet.chunk_size may help.",
}


@dataclass(frozen=True)
class Trained:
    """How the command ended."""

    how: How
    text: str
    """What to say at its end."""
    folder: Path
    exit_code: int = ExitCode.DONE


def train(args: argparse.Namespace) -> int:
    """Trains the experiment of a file; the same command resumes an interrupted run."""
    console = Console(soft_wrap=True, highlight=False)
    outcome = trained(args, console)
    failed = outcome.how in ADVICE
    console.print(outcome.text, style="red" if failed else None, markup=False)
    return outcome.exit_code


def trained(args: argparse.Namespace, console: Console) -> Trained:
    """As `train`, saying at the end what it would print.

    Raises:
        UserError: a mistake in the file or the data, or another command trains in the same folder.
    """
    file = load(args.file, [*args.overrides, *_overrides(args)])
    name = name_of(args, file)
    folder = results_of(args) / name / "runs" / seeds_name(file.experiment)
    searched = import_paths(args)
    check_loggers(file.logging, searched)
    require_buildable(file.experiment, searched)  # before the user's own code is copied
    with folder_lock(folder):
        return _trained(file, args, name, folder, searched, console)


def _trained(
    file: SweepFile, args: argparse.Namespace, name: str, folder: Path, searched: tuple[Path, ...], console: Console
) -> Trained:
    """One run, under its folder's lock."""
    begun = (folder / "config.yaml").exists()
    logger = (file.logging.import_,) if file.logging.import_ is not None else ()
    user_code = keep_code(file.experiment, searched, folder, not begun, logger)
    folders = RunFolders(folder, args.data_dir, offline(args), user_code, name)
    spec = _spec(file, args, name, console, user_code)
    control = Control(say=lambda text: console.print(text, markup=False))
    with control.signals():
        loggers = [*build(spec, folder), Terminal(console), *_openings(args, folder)]
        ending = run_to_end(run(file.experiment, folders, test=args.test, keep=True), loggers, control)
    if ending.how == "interrupted":
        text = f"A checkpoint is in {folder}; rerun the same command to resume."
        return Trained(ending.how, text, folder, control.exit_code)
    if ending.how != "finished":
        how = ending.how.replace("_", " ")
        return Trained(ending.how, f"{how}: {ending.why}. {ADVICE[ending.how]}", folder, ExitCode.FAILED)
    write_matrix_png(folder)
    write_functions_png(folder)
    opened = ending.finished is not None and "test" in ending.finished.summary.metrics
    lines = (
        [] if opened else ["Test data stays closed: once you are done tuning, the same command with --test opens it."]
    )
    lines += [f"results: {folder}", (sync_hint(spec.results) if file.logging.wandb else "") or ""]
    return Trained(ending.how, "\n".join(filter(None, lines)), folder)


@dataclass(frozen=True)
class _Opening(Logger):
    """Tells the sweep that a file comes from that its test data is opened."""

    sweep: Path
    file: Path
    folder: Path

    def started(self, item: Started) -> None:
        from hypercl.sweep.final import note_opening  # and so Optuna, for a file of a sweep alone

        note_opening(self.sweep, self.file, item.experiment, self.folder)


def _openings(args: argparse.Namespace, folder: Path) -> list[Logger]:
    """What writes down that test data is opened, where it is and the file lies in the results of a sweep."""
    file = Path(args.file).resolve()
    sweep = next((place for place in file.parents[:5] if (place / "sweep.yaml").is_file()), None)
    return [_Opening(sweep, file, folder)] if args.test and sweep is not None else []


def _overrides(args: argparse.Namespace) -> list[str]:
    options = {"device": args.device, "seed": args.seed, "threads": args.threads}
    return [f"training.{key}={value}" for key, value in options.items() if value is not None]


def _spec(
    file: SweepFile, args: argparse.Namespace, name: str, console: Console, user_code: tuple[Path, ...]
) -> LoggerSpec:
    """What builds the loggers."""
    mode = "disabled"
    if file.logging.wandb is not None:
        mode, reason = decide_mode(file.logging.wandb, offline(args))
        console.print(reason, markup=False)
    run_id = uuid.uuid4().hex[:16]  # of a run that was begun before, wandb.json has it
    run_name = f"{name}-{seeds_name(file.experiment)}"
    folder = results_of(args) / name
    return LoggerSpec(file.logging, mode, None, run_id, run_name, "run", folder, import_paths=user_code)
