"""One run: the loop over tasks, evaluation, metrics, checkpoints."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.training.accuracy_matrix import MATRIX_FILES, AccuracyMatrix, read_matrices
    from hypercl.training.checkpoint import BrokenFile, Checkpoints, read, write
    from hypercl.training.device import available_cpus, available_gpus, imitated
    from hypercl.training.flops import two_steps
    from hypercl.training.folder import RunFolders
    from hypercl.training.memory import free_memory, give_back_freed_memory, gpu_need
    from hypercl.training.model import TrainedModel
    from hypercl.training.own_metric import SeedMeasures, try_metrics
    from hypercl.training.parts import Networks, build_bundle, build_learner, require_buildable, sizes
    from hypercl.training.progress import Diverged, Finished, Progress, Report, Row, Started, Tick
    from hypercl.training.replicas import WORST, seeds_name
    from hypercl.training.run_state import RunState
    from hypercl.training.run_summary import SUMMARY, RunSummary, SeedResult
    from hypercl.training.running import run
    from hypercl.training.trial_bundle import run_together

__all__, __getattr__ = lazy(__name__, __file__)
