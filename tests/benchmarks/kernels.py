"""Group `kernels`: what a step of every shipped setting asks of a GPU, counted on a pretended one.

`python -m tests.benchmarks.kernels` writes the counts that later ones are compared with.
"""

import csv
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hypercl.config import Experiment, assign, load
from hypercl.methods import StepInfo
from hypercl.tasks import Shape, Split, Task, shape_of
from hypercl.training import build_learner
from hypercl.training.evaluate import Evaluation, accuracies, accuracies_of_unknown
from hypercl.training.parts import Networks
from tests.benchmarks.options import Options
from tests.benchmarks.settings import SEED
from tests.benchmarks.table import Row, share
from tests.pretended_gpu import DEVICE, PretendedGpu, pretended_gpu

SETTINGS = Path(__file__).parents[2] / "search_spaces"
WRITTEN = Path(__file__).parent / "results" / "kernels.csv"
MOST_TASKS = 10
TASKS = {"permuted_mnist_250": 34}
"""In place of `MOST_TASKS`: a step compares 32 earlier ones."""
BATCH = 4
EVALUATED = ("split_mnist", "split_mnist_ent", "split_mnist_tir", "permuted_mnist")
"""Whose evaluation is counted, too; that of convolutions takes minutes."""


@dataclass(frozen=True)
class Counts:
    """Of one step at a stream's last task."""

    setting: str
    earlier: int
    """Earlier tasks."""
    kernels: int
    waits: int
    """Of the host for the device."""
    copies: int
    """From the host, not waited for."""


def measures(options: Options) -> Iterator[Row]:
    """Kernels a step, next to those written."""
    del options
    for before in written():
        counts = counts_of(before.setting)
        what = f"kernels a step, {before.setting}, {before.earlier} earlier tasks"
        note = f"{counts.waits} waits, {counts.copies} copies"
        yield share(what, "<= 1.05", "kernels", counts.kernels, before.kernels, note)
        if before.setting in EVALUATED:
            yield report_share(before.setting, counts.kernels)


def shipped() -> list[str]:
    """The names of all settings that come with hypercl."""
    return sorted(file.stem for file in SETTINGS.glob("*.yaml"))


def written() -> list[Counts]:
    """The counts on file."""
    with WRITTEN.open(encoding="utf-8", newline="") as file:
        return [
            Counts(row.pop("setting"), **{key: int(value) for key, value in row.items()})
            for row in csv.DictReader(file)
        ]


def counts_of(setting: str, overrides: Sequence[str] = ()) -> Counts:
    """The counts of a shipped setting, of a stream of at most `MOST_TASKS` tasks."""
    experiment = _last_task(setting, overrides)
    with pretended_gpu() as gpu:
        step_counted(experiment, gpu)
    counts = (sum(each.values()) for each in (gpu.kernels, gpu.waits, gpu.copies))
    return Counts(setting, shape_of(experiment.tasks).num_tasks - 1, *counts)


def step_counted(experiment: Experiment, gpu: PretendedGpu) -> None:
    """Two steps at the last task, of which the second is counted."""
    shape = shape_of(experiment.tasks)
    learner, task = build_learner(experiment, DEVICE), shape.num_tasks - 1
    state = learner.start_task(learner.init(), task)
    context, draw = learner.task_context(state, task), _batches(shape)
    for step in range(2):
        batches = [draw() for _ in learner.trains_on(task)]
        gpu.reset()
        state, _ = learner.step(state, context, batches, StepInfo(task, step, 1e-3))


def report_share(setting: str, kernels: int) -> Row:
    """A report's kernels over those of the steps before it, of so many each."""
    experiment = _last_task(setting)
    steps = (experiment.training.iterations or 0) // load(SETTINGS / f"{setting}.yaml").pruner.reports_per_task
    what = f"kernels of a report, {setting}, over those of the {steps} steps before it"
    return share(what, "<= 0.05", "kernels", report_counted(experiment), steps * kernels)


def report_counted(experiment: Experiment) -> int:
    """Kernels of an evaluation of all tasks, as a report within the last one makes it."""
    shape, draw, samples = shape_of(experiment.tasks), torch.Generator().manual_seed(SEED), dict[int, Split]()
    with pretended_gpu() as gpu:
        bundle = Networks.of(experiment, DEVICE, (), shape).bundle(experiment, [1])
        state, images = bundle.init(), torch.rand(BATCH, *shape.input_shape, generator=draw).to(DEVICE)
        for task in range(shape.num_tasks):
            state = bundle.start_task(state, task)
            rows, labels = (
                torch.randint(below, (experiment.training.report_samples,), generator=draw).to(DEVICE)
                for below in (BATCH, shape.classes[task])
            )
            samples[task] = Split(images, rows, labels)
        tasks = [Task(task, (), shape.heads[task], split, split, Tensor.float) for task, split in samples.items()]
        what = Evaluation(tasks, list(samples.values()), shape.scenario)
        gpu.reset()
        if shape.scenario == "task":
            deque(accuracies(bundle, state, what), maxlen=0)
        else:
            deque(accuracies_of_unknown(bundle, state, what, shape.num_tasks), maxlen=0)
    return sum(gpu.kernels.values())


def _last_task(setting: str, overrides: Sequence[str] = ()) -> Experiment:
    """A shipped setting with as many tasks as are looked at, in fp32, for a pretended GPU has no autocast."""
    experiment = load(SETTINGS / f"{setting}.yaml", overrides).experiment
    tasks = min(experiment.tasks.num_tasks or MOST_TASKS, TASKS.get(setting, MOST_TASKS))
    return assign(experiment, {"tasks.num_tasks": tasks, "training.precision": "fp32"})


def _batches(shape: Shape) -> Callable[[], tuple[torch.Tensor, torch.Tensor]]:
    """Small ones: kernels do not depend on their size."""
    draw = torch.Generator().manual_seed(SEED)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        size = (BATCH, shape.steps) if shape.steps else (BATCH,)
        labels = torch.randint(shape.classes[0], size, generator=draw)
        return torch.rand(BATCH, *shape.input_shape, generator=draw).to(DEVICE), labels.to(DEVICE)

    return batch


def main() -> None:
    """Writes the counts of all settings."""
    rows = [vars(counts_of(setting)) for setting in shipped()]
    with WRITTEN.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
