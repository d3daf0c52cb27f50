"""How many samples each replica of a bundle classifies rightly."""

from collections.abc import Callable, Generator, Sequence

import torch
from torch import Tensor

from hypercl.methods import State
from hypercl.tasks import Split, Task
from hypercl.training.bundle import Bundle


def accuracies(
    bundle: Bundle, state: State, tasks: Sequence[Task], splits: Sequence[Split]
) -> Generator[None, None, list[list[float]]]:
    """Each replica's accuracy on a split of each of some tasks, the task's identity given.

    The counts stay on the device until the last batch: the host waits for it once.

    Args:
        bundle: whose predictions.
        state: its state, or its knowledge.
        tasks: as many as there are splits.
        splits: what to read of each.

    Yields:
        After each batch: the caller's turn.

    Returns:
        Fractions, (replicas, tasks).
    """
    counts = []
    predictors = bundle.predictors(state, [task.index for task in tasks])
    for task, split, predict in zip(tasks, splits, predictors, strict=True):
        counts.append((yield from _right(bundle, predict, task, split)))
    found = torch.stack(counts, dim=1).tolist()
    return [[right / len(split) for right, split in zip(row, splits, strict=True)] for row in found]


def _right(
    bundle: Bundle, predict: Callable[[Tensor], Tensor], task: Task, split: Split
) -> Generator[None, None, Tensor]:
    """Samples that each replica classifies rightly: int64, (replicas,)."""
    device = split.rows.device
    right = torch.zeros(bundle.replicas, dtype=torch.int64, device=device)
    for samples in torch.arange(len(split), device=device).split(bundle.samples):
        images, labels = split[samples]
        right += (predict(task.inputs(images)).argmax(dim=2) == labels).sum(dim=1)
        yield
    return right
