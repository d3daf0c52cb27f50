"""Several settings of one structure on several seeds, trained as one bundle of replicas."""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hypercl.config import Experiment, assign
from hypercl.methods import StepInfo
from hypercl.tasks import BundledBatches, Samples, Split, open_with_test
from hypercl.training.bundle import Bundle
from hypercl.training.evaluate import Evaluation, Measured, accuracies, accuracies_of_unknown
from hypercl.training.loop import report_steps
from hypercl.training.parts import Networks

REPORTS = 4
"""A task, as in a sweep's trials."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Trained:
    """What was measured: of each setting (rows) and seed (columns)."""

    validation: Tensor
    """At every report, (settings, seeds, reports): the mean over the stream, tasks not met counting 0."""
    test: Tensor
    """At the end, (settings, seeds)."""
    seconds: float
    """Processor time of all."""


def train(settings: Sequence[Experiment], seeds: Sequence[int], data: Path, import_paths: Sequence[Path]) -> Trained:
    """Trains settings that differ in scalars only (`hypercl.training.build_bundle`), as `hypercl.training.run` would.

    A replica whose numbers are no longer finite has accuracy 0 from its next report on.
    """
    began = time.process_time()
    variants = [assign(setting, {"training.seed": seed}) for setting in settings for seed in seeds]
    first = assign(variants[0], {"training.replicas": len(variants)})
    stream = open_with_test(first.tasks, data, True, import_paths)
    networks = Networks.of(first, CPU, import_paths, stream.shape)
    bundle = Bundle([networks.learner(variants)], [len(variants)], 250 if networks.target.convolves else 1000)
    tasks = [stream.task(index) for index in range(stream.shape.num_tasks)]
    training, state, rows = first.training, bundle.init(), []

    def measured(splits: Sequence[Split]) -> Tensor:
        what = Evaluation(tasks[: len(splits)], splits, stream.shape.scenario)
        if what.scenario == "task":
            found = _result(accuracies(bundle, state, what))
        else:
            found = _result(accuracies_of_unknown(bundle, state, what, len(splits)))
        finite = bundle.finite(bundle.inference_state(state))
        return torch.where(finite, torch.tensor(found.accuracies).sum(dim=1) / len(tasks), 0.0)

    assert training.iterations is not None
    reports = report_steps(training.iterations, REPORTS)
    for task in tasks:
        state = bundle.start_task(state, task.index)
        context = bundle.task_context(state, task.index)
        batches = BundledBatches(task, training.batch_size, [variant.training.seed for variant in variants])
        for step in range(training.iterations):
            state, _ = bundle.step(state, context, [batches(step)], StepInfo(task.index, step, training.optimizer.lr))
            if reports.get(step + 1, 0):
                limit = None if step + 1 == training.iterations else training.report_samples
                met = [each.validation for each in tasks[: task.index + 1]]
                rows.append(measured([split.first(limit, seed=0) if limit else split for split in met]))
        state = bundle.end_task(state, task.index, Samples(task))
    validation, test = torch.stack(rows, dim=1), measured([stream.test(task.index) for task in tasks])
    shape = (len(settings), len(seeds))
    return Trained(validation.view(*shape, -1), test.view(shape), time.process_time() - began)


def _result(measuring: Generator[None, None, Measured]) -> Measured:
    while True:
        try:
            next(measuring)
        except StopIteration as end:
            return end.value
