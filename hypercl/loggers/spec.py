"""What a logger is, and what a process needs to build those of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hypercl.config.models import Logging
from hypercl.loggers.wandb_mode import Mode
from hypercl.training import Finished, Progress, Report, Started, Tick


@dataclass(frozen=True)
class LoggerSpec:
    """All that a process needs to build a run's loggers; it can be pickled."""

    logging: Logging
    """The file's `logging` block."""
    mode: Mode
    """Of W&B: what `hypercl.loggers.decide_mode` said, once for the whole sweep; disabled, it is not imported."""
    group: str | None
    """The sweep's name; None for a single run."""
    run_id: str
    """The same over all restarts, and no other run of the project has it."""
    run_name: str | None
    """What people read; None keeps what W&B has."""
    kind: Literal["run", "trial", "race", "confirm", "final"] | None
    """Its job type in W&B: a run by itself, a trial of a sweep, or one beside its study."""
    results: Path
    """The results folder: W&B keeps its files in `wandb/` inside."""
    offline_file: Path | None = None
    """Written by the first run that finds W&B unreachable: those that begin later are offline from the start."""
    import_paths: tuple[Path, ...] = ()
    """Folders in which the module of a user's own logger is looked for."""
    beside_others: bool = False
    """Whether the process may log other runs at the same time: those of a bundle."""


class Logger:
    """Hears every item of a run; `hypercl.testing.LoggerContract` tests what it must hold.

    A run may be killed and resumed: it is then heard by a new logger, which must put no row down twice and lack none.
    The newest report before the kill comes again. metrics.jsonl in the run's folder holds each row once, and is written
    before any other logger hears an item: from `hypercl.loggers.read_rows(folder)` a logger makes up what it lacks.

    An error of a logger ends the logging by it, not the run.
    """

    def hear(self, item: Progress) -> None:
        """An item of the run, passed to the method for its kind."""
        match item:
            case Started():
                self.started(item)
            case Tick():
                self.tick(item)
            case Report():
                self.report(item)
            case Finished():
                self.finished(item)

    def started(self, item: Started) -> None:
        """The run starts or resumes."""

    def tick(self, item: Tick) -> None:
        """The run is alive."""

    def report(self, item: Report) -> None:
        """Accuracies and the losses that led there."""

    def finished(self, item: Finished) -> None:
        """The run is done."""

    def close(self, outcome: str) -> None:
        """Nothing more will come: 'finished', 'stopped' (early, by the pruner), 'interrupted' or 'failed'."""
