"""What a sweep is given beside its file, and what it gives back."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hypercl.exit_codes import ExitCode
from hypercl.sweep.listener import Listener, Silent
from hypercl.sweep.study import GpuBudget

if TYPE_CHECKING:
    from hypercl.analysis import FinalResult


FinalMode = Literal["no", "when asked", "after the search", "alone", "again"]
"""No final step; none but one that was begun before; one when the search is over; one now, however far the search is;
now another one, which opens test data once more."""


@dataclass(frozen=True)
class SweepOptions:
    """Everything of a sweep that is not in its file."""

    folder: Path
    """`results/<name>`, absolute."""
    data_dir: Path
    """Where data sets lie."""
    offline: bool = False
    """Fetch nothing, and keep W&B offline."""
    address: str | None = None
    """A running Ray cluster; None starts a local one."""
    cpus: float | None = None
    """Maximum total number of CPUs."""
    gpus: float | None = None
    """Maximum total number of GPUs."""
    max_concurrent: int | None = None
    """Maximum number of trials at once."""
    time_limit_s: float | None = None
    """Seconds after which trials have written their checkpoints and the sweep has ended."""
    gpu_budget: GpuBudget = field(default_factory=GpuBudget)
    """Limits on GPU-hours and money, and the price of a GPU-hour."""
    final: FinalMode = "after the search"
    """Whether and when settings are retrained and test data is opened."""
    join: bool = False
    """Work on a study that another driver began (`study.storage`)."""
    prefer: str | None = None
    """Which of several compromises goes into best.yaml: `knee`, weights or a test (`hypercl.sweep.study.preference`);
    None leaves it at what was said last, and at first is the knee."""
    import_paths: tuple[Path, ...] = ()
    """Folders of a user's own modules, on the workers too."""
    source: str = ""
    """The sweep's file, as given; named in messages."""
    command: str = ""
    """What was typed, for sweep.yaml; '' where nothing was, or not to sweep."""
    listener: Listener = field(default_factory=Silent)
    """Hears what happens."""


@dataclass(frozen=True)
class SweepResult:
    """How a sweep ended."""

    exit_code: ExitCode
    message: str
    """What happened and what to do next, in sentences."""
    counts: Counter[str]
    """Trials by how they ended, those 'running', and those 'trained', which the budget counts."""
    best: int | None
    """Number of the best trial."""
    best_value: float | None
    """Its value, of several goals the first one's."""
    table: list[dict[str, Any]]
    """Complete trials, best first: number, value (each goal's, and whether it is on the front), every parameter."""
    final: "FinalResult | None" = None
    """The final step's result, once it is finished."""
