"""What a logger is, and what a process needs to build those of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hypercl.config.models import Wandb
from hypercl.training import Finished, Progress, Report, Started, Tick


@dataclass(frozen=True)
class LoggerSpec:
    """All that a process needs to build a run's loggers; it can be pickled."""

    wandb: Wandb | None
    """The file's `logging.wandb` block; None: wandb is not imported."""
    mode: Literal["online", "offline"]
    """What `hypercl.loggers.decide_mode` said, once for the whole sweep; where it is disabled there is no spec."""
    group: str | None
    """The sweep's name; None for a single run."""
    run_id: str
    """The same over all restarts, and no other run of the project has it."""
    run_name: str
    """What people read."""
    kind: Literal["run", "trial", "race", "confirm", "final"]
    """Its job type in W&B: a run by itself, a trial of a sweep, or one beside its study."""
    wandb_dir: Path
    """The results folder: W&B keeps its files in `wandb/` inside."""
    offline_file: Path | None = None
    """Written by the first run that finds W&B unreachable: those that begin later are offline from the start."""


class Logger:
    """Hears every item of a run. A report may come twice after a restart: by its `iteration` a logger knows it."""

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
