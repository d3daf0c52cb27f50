"""How often a regression's task is inferred, and its errors on test data with and without the task given.

    python -m tests.benchmarks.task_recognition RUN ... > tests/benchmarks/results/task_recognition.csv

A run is the folder of a `hypercl train --test` with replicas whose method infers the task. A row a seed.
"""

import csv
import sys
from pathlib import Path
from statistics import fmean

import torch

from hypercl.tasks import open_with_test
from hypercl.training import TrainedModel


def row_of(model: TrainedModel, seed: int) -> list[object]:
    """Stream, seed, share of the samples whose task is inferred rightly, MSE without and with the task, means over the
    tasks."""
    config = model.experiment.tasks
    stream = open_with_test(config, Path("data"), offline=True)
    rates: list[float] = []
    errors: list[list[float]] = [[], []]
    for task in range(model.learned):
        split = stream.test(task)
        images, targets = split[torch.arange(len(split))]
        inputs = stream.task(task).inputs(images)
        rates.append(float((model.infer_task(inputs) == task).float().mean()))
        for place, given in enumerate((None, task)):
            errors[place].append(float((model.predict(inputs, given) - targets).square().mean()))
    return [config.name, seed, *(f"{fmean(values):.6f}" for values in (rates, *errors))]


def main(runs: list[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["stream", "seed", "task_inference", "mse_unknown", "mse_given"])
    for run in map(Path, runs):
        training = TrainedModel(run).experiment.training
        for seed in range(training.seed, training.seed + training.replicas):
            writer.writerow(row_of(TrainedModel(run, seed), seed))


if __name__ == "__main__":
    main(sys.argv[1:])
