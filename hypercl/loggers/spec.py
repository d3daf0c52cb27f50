"""What a process needs to build a run's loggers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hypercl.config.models import Wandb


@dataclass(frozen=True)
class LoggerSpec:
    """All that a process needs to build a run's loggers; it can be pickled."""

    wandb: Wandb | None
    """The file's `logging.wandb` block; None: wandb is not imported."""
    mode: Literal["online", "offline"]
    """What `hypercl.loggers.decide_mode` said, once for the whole sweep."""
    group: str | None
    """The sweep's name; None for a single run."""
    run_id: str
    """The same over all restarts, and no other run of the project has it."""
    run_name: str
    """What people read."""
    kind: Literal["run", "trial", "race", "final"]
    """Its job type in W&B: a run by itself, a trial of a sweep, or one beside its study."""
    wandb_dir: Path
    """The results folder: W&B keeps its files in `wandb/` inside."""
