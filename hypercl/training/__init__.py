"""One run: the loop over tasks, evaluation, metrics, checkpoints."""

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.training.checkpoint import Checkpoints, read, write
    from hypercl.training.device import available_cpus
    from hypercl.training.flops import two_steps
    from hypercl.training.folder import RunFolders, seeds_name
    from hypercl.training.loop import run
    from hypercl.training.memory import free_memory, give_back_freed_memory
    from hypercl.training.metrics import of_summary
    from hypercl.training.parts import Sizes, build_bundle, build_learner, require_buildable, sizes
    from hypercl.training.progress import Diverged, Finished, Progress, Report, Row, Started, Tick
    from hypercl.training.replicas import WORST

__all__ = [
    "WORST",
    "Checkpoints",
    "Diverged",
    "Finished",
    "Progress",
    "Report",
    "Row",
    "RunFolders",
    "Sizes",
    "Started",
    "Tick",
    "available_cpus",
    "build_bundle",
    "build_learner",
    "free_memory",
    "give_back_freed_memory",
    "of_summary",
    "read",
    "require_buildable",
    "run",
    "seeds_name",
    "sizes",
    "two_steps",
    "write",
]

__getattr__ = lazy(__name__, __file__)
