"""Group `run`: a whole run on Split MNIST against hypnettorch's functions in the same loop.

The settings of the paper: five tasks of two digits, 2,000 steps of 128 samples a task, a head for each task (CL1), all
heads held (no mask, as in the paper's code for MNIST). Ours is `hypercl.training.loop` with all that it does: reports
and validation inside tasks, the loss rows, checkpoints, the summary. Theirs gets the same initial weights and the same
batches, and after each task predicts the validation data of the tasks learned; nothing else. The two take turns task by
task; each one's reading of the data counts.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from hypercl.config import Experiment
from hypercl.tasks import Batches, Task, open_stream, shape_of
from hypercl.training import Report, RunFolders, run
from tests.benchmarks.agreement import require_agreement
from tests.benchmarks.apart import Apart
from tests.benchmarks.options import Options
from tests.benchmarks.settings import SPLIT_MNIST, learner_of
from tests.benchmarks.sides import Theirs
from tests.benchmarks.table import Row
from tests.benchmarks.timing import told

ITERATIONS = 2000
CPU = torch.device("cpu")


def measures(options: Options) -> Iterator[Row]:
    """Seconds of the whole run; the final accuracies, means over the tasks, are in the note."""
    experiment = split_mnist(options, options.iterations or ITERATIONS)
    shape = shape_of(experiment.tasks)
    batch = Batches(open_stream(experiment.tasks, options.data_dir, offline=True).task(0), 128, seed=1)(0)
    require_agreement(experiment, shape, shape.num_tasks - 1, batch)
    with tempfile.TemporaryDirectory() as folder:
        place = RunFolders(Path(folder), options.data_dir, offline=True)
        with Apart(_theirs, experiment, options) as theirs:
            times, accuracies = in_turns({"peer": theirs, "ours": told(_ours(experiment, place))})
    note = f"final accuracy {accuracies['ours']:.2%}, hypnettorch {accuracies['peer']:.2%}"
    what = f"whole {SPLIT_MNIST.name} run, {experiment.training.iterations} iterations a task"
    yield Row(what, ">= 4.5", "s", times["ours"], times["peer"], times["peer"] / times["ours"], note)


def split_mnist(options: Options, iterations: int) -> Experiment:
    """The paper's settings on the CPU."""
    return SPLIT_MNIST.experiment(
        cl1=True,
        method__regularizer__mask_heads=False,
        training__iterations=iterations,
        training__threads=options.threads,
        training__device="cpu",
    )


def in_turns(sides: Mapping[str, Iterator[tuple[float, Any]]]) -> tuple[dict[str, float], dict[str, float]]:
    """Advances each in turn until all have ended.

    Args:
        sides: name -> seconds of each turn and what it gave (`told`, `Apart`).

    Returns:
        Seconds spent in each, and the last number that each gave.
    """
    seconds, last, left = dict.fromkeys(sides, 0.0), {}, dict(sides)
    while left:
        for name, side in list(left.items()):
            took, found = next(side)
            seconds[name] += took
            if found is None:
                del left[name]
            else:
                last[name] = found
    return seconds, last


def _ours(experiment: Experiment, place: RunFolders) -> Iterator[float]:
    """After each task, the mean accuracy over all tasks of the stream, those not yet met counting 0."""
    for item in run(experiment, place):
        if isinstance(item, Report) and item.learned:
            yield item.value


def _theirs(experiment: Experiment, options: Options) -> Iterator[float]:
    """The same."""
    training, shape = experiment.training, shape_of(experiment.tasks)
    stream = open_stream(experiment.tasks, options.data_dir, offline=True)
    begun = learner_of(experiment, shape, CPU).init()
    theirs = Theirs(experiment, shape, begun["theta"], begun["embeddings"])
    for index in range(shape.num_tasks):
        theirs.start_task(index)
        batches = Batches(stream.task(index), training.batch_size, training.seed)
        for step in range(training.iterations):
            theirs.step(batches(step))
        yield sum(_accuracy(theirs, stream.task(task)) for task in range(index + 1)) / shape.num_tasks


@torch.no_grad()
def _accuracy(theirs: Theirs, task: Task) -> float:
    """On a task's validation data."""
    theirs.mnet.eval()
    theirs.hnet.eval()
    weights, right = theirs.hnet.forward(cond_id=task.index), 0
    for samples in torch.arange(len(task.validation)).split(1000):
        images, labels = task.validation[samples]
        outputs = theirs.logits(weights, task.inputs(images), task.index)
        right += int((outputs.argmax(dim=1) == labels).sum())
    return right / len(task.validation)
