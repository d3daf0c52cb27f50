"""Accuracy of a learner on a task."""

import torch

from hypercl.methods import Learner, State
from hypercl.tasks import Split, Task

SAMPLES_AT_ONCE = 1000


def accuracy(learner: Learner, state: State, task: Task, split: Split) -> float:
    """Share of a split's samples that are classified rightly, the task's identity given."""
    predict = learner.predictor(state, task.index)
    right = torch.zeros((), dtype=torch.int64, device=split.labels.device)
    for samples in torch.arange(len(split), device=split.rows.device).split(SAMPLES_AT_ONCE):
        images, labels = split[samples]
        right += (predict(task.inputs(images)).argmax(dim=1) == labels).sum()
    return right.item() / len(split)
