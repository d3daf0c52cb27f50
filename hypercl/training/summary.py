"""summary.json: what a finished run came to."""

import resource
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hypercl import __version__
from hypercl.config import Experiment
from hypercl.training.metrics import Matrix, summarize
from hypercl.training.parts import Sizes


def summary_of(
    matrices: Mapping[str, Matrix], sizes: Sizes, experiment: Experiment, steps: Sequence[int], seconds: float
) -> dict[str, Any]:
    """The metrics of each accuracy matrix (`validation`, and `test` in a run), sizes and cost.

    Args:
        matrices: accuracy matrices by the data they were measured on.
        sizes: of the networks.
        experiment: what was trained.
        steps: steps taken in each task.
        seconds: training time over all restarts.

    Returns:
        Plain data. Accuracies are fractions, memory is in bytes; what cannot be known is null, with a `why`.
    """
    return {
        "version": 1,
        **{name: summarize(matrix) for name, matrix in matrices.items()},
        "compression_ratio": sizes.compression_ratio,
        "parameters": sizes.parameters,
        "target_parameters": sizes.target_parameters,
        "chunk_size": sizes.chunk_size,
        "seed": experiment.training.seed,
        "iterations": sum(steps),
        "iterations_per_task": list(steps),
        "seconds": round(seconds, 3),
        "peak_memory_bytes": _peak_memory(experiment.training.device),
        "device": experiment.training.device,
        "threads": experiment.training.threads,
        "versions": {"hypercl": __version__, "torch": torch.__version__},
    }


def _peak_memory(device: str) -> int:
    """Of the accelerator, or of the process (in kilobytes on Linux, in bytes on a Mac)."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
