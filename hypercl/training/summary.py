"""From the accuracy matrices of each seed to the summary of the run."""

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from hypercl.config import Experiment
from hypercl.training.device import hardware
from hypercl.training.metrics import summarize, unknown
from hypercl.training.own_metric import OwnMetric, SeedMeasures
from hypercl.training.parts import Sizes, seeds_of
from hypercl.training.replicas import mean_of
from hypercl.training.run_state import RunState
from hypercl.training.run_summary import Metrics, RunSummary, SeedResult
from hypercl.training.within_tasks import Point, within_tasks
from hypercl.version import __version__

WHY_NOT = {"calibration_error": "what is predicted comes without confidence"}
_BEGUN_BEFORE = "the run was begun by a version of hypercl that did not count them"


@dataclass
class Matrices:
    """The matrices of each replica, measured on one data set."""

    accuracies: list[list[list[float]]]
    inferred: list[list[list[float]]]
    """Shares of samples whose task was inferred correctly; empty where no task is inferred."""
    mse: list[list[list[float]]]
    """Mean squared errors of a regression; empty of classes."""
    calibration: list[float] = field(default_factory=list[float])
    """Calibration errors, one a replica; empty where they were not measured."""
    points: list[list[Point]] = field(default_factory=list[list[Point]])
    """What was measured inside tasks; empty of test data."""

    def more(self, replica: int) -> dict[str, float | None]:
        """The metrics that the matrix does not give."""
        points = self.points[replica] if self.points else []
        inside = within_tasks(points, self.accuracies[replica]) if points else {}
        return {"calibration_error": self.calibration[replica] if self.calibration else None, **inside}


def matrices_of(run_state: RunState) -> Matrices:
    """What was measured on validation data."""
    points = [
        [Point(point["task"], point["step"], point["accuracies"][replica]) for point in run_state.points]
        for replica in range(len(run_state.matrices))
    ]
    return Matrices(run_state.matrices, run_state.inferred, run_state.mse, run_state.calibration, points)


def summary_of(
    matrices: Mapping[str, Matrices],
    run_state: RunState,
    sizes: Sizes,
    experiment: Experiment,
    seconds: float,
    own: Sequence[OwnMetric] = (),
) -> RunSummary:
    """The metrics of the accuracy matrices, sizes and cost.

    A replica that diverged has no metrics; it counts as the worst in mean and spread.

    Args:
        matrices: by data set: `validation`, and `test` where test data was opened.
        run_state: which replicas diverged, steps of each task, and their floating-point operations.
        sizes: of the networks.
        experiment: what was trained.
        seconds: training time over all restarts.
        own: metrics of the user's.

    Raises:
        UserError: one of those fails.
    """
    training, scenario, diverged = experiment.training, experiment.tasks.scenario, run_state.diverged
    found = {data: _of_replicas(measured, scenario, diverged, sizes, own) for data, measured in matrices.items()}
    seeds = tuple(
        SeedResult(seed, {data: metrics[place] for data, metrics in found.items()}, diverged.get(place, ""))
        for place, seed in enumerate(seeds_of(experiment))
    )
    several = {data: mean_of(metrics, tuple(diverged)) for data, metrics in found.items() if len(metrics) > 1}
    return RunSummary(
        metrics={data: several[data][0] if several else metrics[0] for data, metrics in found.items()},
        seeds=seeds,
        spread={data: spread for data, (_, spread) in several.items()},
        compression_ratio=sizes.compression_ratio,
        parameters=sizes.parameters,
        target_parameters=sizes.target_parameters,
        chunk_size=sizes.chunk_size,
        generator_parameters=sizes.generator_parameters,
        iterations=sum(run_state.spent),
        iterations_per_task=tuple(run_state.spent),
        flops=run_state.flops,
        flops_per_task=tuple(run_state.flops_per_task),
        why={} if run_state.flops is not None else {"flops": run_state.uncounted or _BEGUN_BEFORE},
        capture={str(task + 1): how for task, how in run_state.capture.items()},
        seconds=round(seconds, 3),
        peak_memory_bytes=_peak_memory(training.device),
        device=training.device,
        hardware=hardware(training.device),
        threads=int(training.threads),
        versions={"hypercl": __version__, "torch": torch.__version__},
    )


def _of_replicas(
    measured: Matrices, scenario: str, diverged: Mapping[int, str], sizes: Sizes, asked: Sequence[OwnMetric]
) -> list[Metrics]:
    """The metrics of each replica; all None where it diverged."""
    inferred = measured.inferred or [None] * len(measured.accuracies)
    mse = measured.mse or [None] * len(measured.accuracies)
    own: list[Metrics | None] = []
    for place, (accuracies, found, errors) in enumerate(zip(measured.accuracies, inferred, mse, strict=True)):
        metrics = None
        if place not in diverged:
            why_not = {} if measured.calibration else WHY_NOT
            metrics = summarize(accuracies, found, scenario, errors, measured.more(place), why_not)
        if metrics:
            seen = SeedMeasures(accuracies, found, metrics, sizes.parameters, sizes.compression_ratio)
            metrics |= {one.name: one.value(seen) for one in asked}
        own.append(metrics)
    known = next(metrics for metrics in own if metrics)
    return [metrics or unknown(known, diverged[place]) for place, metrics in enumerate(own)]


def _peak_memory(device: str) -> int:
    """Of the accelerator, or of the process (in kilobytes on Linux, in bytes on a Mac)."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
