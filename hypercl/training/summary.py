"""summary.json: what a finished run came to."""

import resource
import sys
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from hypercl import __version__
from hypercl.config import Experiment
from hypercl.training.device import hardware
from hypercl.training.metrics import summarize, unknown
from hypercl.training.parts import Sizes, seeds_of
from hypercl.training.replicas import mean_of
from hypercl.training.run_state import RunState

_BEGUN_BEFORE = "the run was begun by a version of hypercl that did not count them"


@dataclass
class Matrices:
    """Those of each replica, measured on some data."""

    accuracies: list[list[list[float]]]
    inferred: list[list[list[float]]]
    """Shares of samples whose task was inferred rightly; empty where no task is inferred."""


def summary_of(
    matrices: Mapping[str, Matrices],
    run_state: RunState,
    sizes: Sizes,
    experiment: Experiment,
    seconds: float,
) -> dict[str, Any]:
    """The metrics of the accuracy matrices (`validation`, and `test` in a run), sizes and cost.

    Of several replicas they are the means, beside `spread` (sample standard deviations) and `replicas` (each one's
    own). A replica that diverged has none of its own, and counts as the worst in mean and spread.

    Args:
        matrices: by the data they were measured on.
        run_state: which replicas diverged, steps taken in each task, and their floating-point operations.
        sizes: of the networks.
        experiment: what was trained.
        seconds: training time over all restarts.

    Returns:
        Plain data. Accuracies are fractions, memory is in bytes; what cannot be known is null, with a `why`. `flops`
        are the floating-point operations of the training steps of all replicas (`hypercl.training.flops` says which
        are counted): neither evaluation nor what a method does before and after a task is among them.
    """
    return {
        "version": 1,
        **_metrics(matrices, run_state.diverged, experiment),
        "compression_ratio": sizes.compression_ratio,
        "parameters": sizes.parameters,
        "target_parameters": sizes.target_parameters,
        "chunk_size": sizes.chunk_size,
        "generator_parameters": sizes.generator_parameters,
        "seed": experiment.training.seed,
        "iterations": sum(run_state.spent),
        "iterations_per_task": list(run_state.spent),
        "flops": run_state.flops,
        "flops_per_task": run_state.flops_per_task,
        **({} if run_state.flops is not None else {"why": {"flops": run_state.uncounted or _BEGUN_BEFORE}}),
        "seconds": round(seconds, 3),
        "peak_memory_bytes": _peak_memory(experiment.training.device),
        "device": experiment.training.device,
        "hardware": hardware(experiment.training.device),
        "threads": experiment.training.threads,
        "versions": {"hypercl": __version__, "torch": torch.__version__},
    }


def _metrics(matrices: Mapping[str, Matrices], diverged: Mapping[int, str], experiment: Experiment) -> dict[str, Any]:
    """By data set; of several replicas also `spread`, `diverged_replicas` and `replicas`."""
    seeds, scenario = seeds_of(experiment), experiment.tasks.scenario
    each = {name: _of_each(found, scenario, diverged) for name, found in matrices.items()}
    if len(seeds) == 1:
        return {name: metrics for name, (metrics,) in each.items()}
    means, spreads = {}, {}
    replicas = [{"seed": seed, "diverged": diverged.get(place)} for place, seed in enumerate(seeds)]
    for name, found in each.items():
        left = next(metrics for metrics in found if metrics)
        own = [metrics or unknown(left, diverged[place]) for place, metrics in enumerate(found)]
        means[name], spreads[name] = mean_of(own, tuple(diverged))
        replicas = [{**replica, name: metrics} for replica, metrics in zip(replicas, own, strict=True)]
    return {**means, "spread": spreads, "diverged_replicas": len(diverged), "replicas": replicas}


def _of_each(found: Matrices, scenario: str, diverged: Container[int]) -> list[dict[str, Any]]:
    """The metrics of each replica; empty where it diverged."""
    inferred = found.inferred or [None] * len(found.accuracies)
    pairs = enumerate(zip(found.accuracies, inferred, strict=True))
    return [{} if place in diverged else summarize(matrix, own, scenario) for place, (matrix, own) in pairs]


def _peak_memory(device: str) -> int:
    """Of the accelerator, or of the process (in kilobytes on Linux, in bytes on a Mac)."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
