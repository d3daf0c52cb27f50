"""Group `replicas`: several seeds of Split MNIST as one bundle, against as many single runs of the same seeds."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean

import torch

from hypercl.config import Experiment, assign
from hypercl.training import Finished, RunFolders, run
from tests.benchmarks.options import Options
from tests.benchmarks.settings import SEED
from tests.benchmarks.table import Row, share
from tests.benchmarks.whole_run import split_mnist

ITERATIONS = 300


def measures(options: Options) -> Iterator[Row]:
    """Whole runs with all that they do; half of the single runs before the bundle, half after it."""
    experiment = split_mnist(options, options.iterations or ITERATIONS)
    yield _against_single(experiment, 4, "<= 0.8", options)
    if torch.cuda.is_available():
        yield _against_single(assign(experiment, {"training.device": "cuda"}), 16, "<= 0.15", options)
    else:
        yield Row(_name(experiment, 16) + " on a GPU", "<= 0.15", "s", note="no CUDA device here")


def _against_single(experiment: Experiment, replicas: int, goal: str, options: Options) -> Row:
    seeds = range(SEED, SEED + replicas)
    before = _single_runs(experiment, seeds[: replicas // 2], options)
    bundle = _run(assign(experiment, {"training.replicas": replicas}), options)
    single = before + _single_runs(experiment, seeds[replicas // 2 :], options)
    note = f"mean final accuracy {bundle[1]:.2%}, single {mean(accuracy for _, accuracy in single):.2%}"
    where = " on a GPU" if experiment.training.device == "cuda" else ""
    return share(_name(experiment, replicas) + where, goal, "s", bundle[0], sum(each for each, _ in single), note)


def _single_runs(experiment: Experiment, seeds: Sequence[int], options: Options) -> list[tuple[float, float]]:
    return [_run(assign(experiment, {"training.seed": seed}), options) for seed in seeds]


def _run(experiment: Experiment, options: Options) -> tuple[float, float]:
    """Seconds of a whole run, and its final validation accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        *_, last = run(experiment, RunFolders(Path(folder), options.data_dir, offline=True))
        took = time.perf_counter() - began
    assert isinstance(last, Finished)
    return took, last.summary.plain()["validation"]["final_accuracy"]


def _name(experiment: Experiment, replicas: int) -> str:
    steps = experiment.training.iterations
    return f"{replicas} replicas over {replicas} single runs, SplitMNIST, {steps} iterations a task"
