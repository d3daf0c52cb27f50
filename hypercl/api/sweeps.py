"""A sweep: `sweep`, `open_results`, and what a sweep left."""

from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypercl.api.options import Source, options_of
from hypercl.api.runs import Failed, Run
from hypercl.config import SweepFile, UserError
from hypercl.exit_codes import ExitCode

if TYPE_CHECKING:
    from optuna import Study
    from pandas import DataFrame

    from hypercl.sweep.study import StudyRecord


@dataclass(frozen=True)
class Report:
    """What `hypercl report` prints and draws; a notebook shows its page, in a frame that can reach nothing outside."""

    text: str
    figures: tuple[Path, ...]
    page: Path

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        look = "width: 100%; height: 900px; border: 0"
        page = escape(self.page.read_text(encoding="utf-8"))
        return f'<iframe sandbox="allow-scripts" style="{look}" srcdoc="{page}"></iframe>'


@dataclass(frozen=True)
class Sweep:
    """The results folder of a sweep. Each property reads it again, since the sweep may be running."""

    folder: Path

    @property
    def record(self) -> "StudyRecord":
        """All that the folder says of its trials."""
        from hypercl.sweep.study import read_sweep

        return read_sweep(self.folder)

    @property
    def file(self) -> SweepFile:
        """What was asked, with every default."""
        return self.record.file

    @property
    def study(self) -> "Study":
        """A copy of the Optuna study, in memory: plot it, analyse it; the sweep is not changed by it."""
        import optuna

        record = self.record
        goals = record.file.objective.goals
        told = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            study = optuna.create_study(study_name=record.name, directions=[goal.direction for goal in goals])
        finally:
            optuna.logging.set_verbosity(told)
        study.add_trials(record.trials)
        return study

    @property
    def trials(self) -> "DataFrame":
        """A row for each trial, as in trials.csv: number, state, value, seconds, every parameter, every metric."""
        import pandas

        from hypercl.sweep.results import TrialsTable

        record = self.record
        return pandas.read_csv(StringIO(TrialsTable(record.file).text(record.trials)))

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The winner's setting, key path -> value, over the experiment as written; None while nothing is complete."""
        from hypercl.sweep.planner import planner_of

        record = self.record
        trial = record.best()
        return None if trial is None else planner_of(record.file).settings(trial)

    @property
    def best_file(self) -> Path:
        """best.yaml, which retrains the winner: `hypercl.train(sweep.best_file)`."""
        return self.folder / "best.yaml"

    def trial(self, number: int) -> Run:
        """The run of a trial.

        Raises:
            UserError: there is no such trial.
        """
        record = self.record
        record.trial(number)
        return Run(record.trial_folder(number))

    def report(self) -> Report:
        """Ranked table, importance of parameters, the final step's result, figures, the page; written to `figures/` and
        `report.html`, too."""
        from hypercl.cli import parsed, report_command

        with redirect_stdout(StringIO()) as text:
            report_command(parsed(["report", "--", str(self.folder)]))
        with redirect_stdout(StringIO()):
            report_command(parsed(["report", "--html", "--", str(self.folder)]))
        figures = tuple(sorted((self.folder / "figures").glob("*.png")))
        return Report(text.getvalue(), figures, self.folder / "report.html")


def sweep(
    source: Source,
    *,
    set: Mapping[str, Any] | None = None,
    trials: int | None = None,
    name: str | None = None,
    results: str | Path | None = None,
    data_dir: str | Path | None = None,
    offline: bool | None = None,
    final: bool | None = None,
    time: float | str | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    max_concurrent: int | None = None,
    max_gpu_hours: float | None = None,
    max_cost: float | None = None,
    price_per_gpu_hour: float | None = None,
    address: str | None = None,
    quiet: bool = False,
) -> Sweep:
    """Sweeps over the experiment of a file, as `hypercl sweep` does; called again, it resumes, or returns what is done.

    Args:
        source: path of a YAML file, or a mapping with its content.
        set: key path -> value, over what the file says: `{"search.seeds": 3}`.
        trials: total number of trained trials.
        name: of the results folder; as default that of the file.
        results: folder of all results (`results`).
        data_dir: folder of the data sets (`$HYPERCL_DATA`, else `data`).
        offline: use no network.
        final: begin the final step, which opens the test data, when the search is over; None: as `final.auto` says.
        time: time limit in seconds, or as `--time`: `"1h30m"`.
        cpus: maximum total number of CPUs.
        gpus: maximum total number of GPUs.
        max_concurrent: maximum number of trials at once.
        max_gpu_hours: GPU-hours of the whole sweep after which it stops.
        max_cost: the same in money.
        price_per_gpu_hour: what `max_cost`, table and report go by.
        address: Ray cluster to attach to; as default this machine.
        quiet: print nothing.

    Raises:
        UserError: a mistake in the file, the data or the cluster.
        Failed: too many trials failed, no setting is within the constraints, or the time limit was reached.
        KeyboardInterrupt: it was interrupted; checkpoints are written.
    """
    from rich.console import Console

    from hypercl.cli import asked, prepared
    from hypercl.sweep import sweep as run_sweep

    machine = {"time": time, "cpus": cpus, "gpus": gpus, "max_concurrent": max_concurrent, "address": address}
    limits = {"max_gpu_hours": max_gpu_hours, "max_cost": max_cost, "price_per_gpu_hour": price_per_gpu_hour}
    places = {"name": name, "results": results, "data_dir": data_dir, "offline": offline}
    with options_of(
        "sweep", source, set, trials=trials, no_final=final is False, **places, **machine, **limits
    ) as options:
        options.overrides += ["final.auto=true"] if final else []
        file = asked(options)
        given = prepared(options, file, Console(soft_wrap=True, highlight=False, markup=False, quiet=quiet))
        result = run_sweep(file, given)
    if result.exit_code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        raise KeyboardInterrupt(result.message)
    if result.exit_code != ExitCode.DONE:
        raise Failed(result.message)
    if not quiet:
        print(result.message)
    return Sweep(given.folder)


def open_results(folder: str | Path) -> Sweep | Run:
    """The sweep in a results folder, or the one run that `hypercl train` wrote into it, finished or not; a run's own
    folder is its run.

    Raises:
        UserError: there is neither, or several runs.
    """
    from hypercl.cli import run_of
    from hypercl.sweep.study import SWEEP_YAML

    path = Path(folder).expanduser().resolve()
    if (path / SWEEP_YAML).is_file():
        return Sweep(path)
    run = run_of(path)
    if (run / "config.yaml").is_file():
        return Run(run)
    raise UserError(
        f"{path} holds neither a sweep ({SWEEP_YAML}) nor a run (config.yaml)\n"
        "    fix:     name a results folder, such as results/quickstart; `hypercl list` shows those in ./results"
    )
