"""One run: the loop over tasks, evaluation, metrics, checkpoints."""

from hypercl.training.device import available_cpus
from hypercl.training.flops import two_steps
from hypercl.training.folder import RunFolders, seeds_name
from hypercl.training.loop import run
from hypercl.training.memory import free_memory
from hypercl.training.metrics import of_summary
from hypercl.training.parts import Sizes, build_bundle, build_learner, require_buildable, sizes
from hypercl.training.progress import Diverged, Finished, Progress, Report, Started, Tick

__all__ = [
    "Diverged",
    "Finished",
    "Progress",
    "Report",
    "RunFolders",
    "Sizes",
    "Started",
    "Tick",
    "available_cpus",
    "build_bundle",
    "build_learner",
    "free_memory",
    "of_summary",
    "require_buildable",
    "run",
    "seeds_name",
    "sizes",
    "two_steps",
]
