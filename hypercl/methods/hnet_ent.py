"""HNET+ENT: the task is inferred by the entropy of predictions (von Oswald et al., 2020)."""

from collections.abc import Callable, Iterator
from functools import partial
from math import log
from typing import cast

import torch
from torch import Tensor

from hypercl.config.models import HnetEnt
from hypercl.methods.hnet import HnetLearner
from hypercl.methods.learner import Decision, State, TaskInference, confidence_of


class HnetEntLearner(HnetLearner):
    """Trained as `hnet`; infers the task as the one whose network predicts with the lowest entropy."""

    def task_inferences(self, state: State, met: int) -> Iterator[TaskInference]:
        temperature = cast(HnetEnt, self.config).temperature
        for task, predict in enumerate(self.predictors(state, range(met))):
            yield partial(_decide_by_entropy, predict, task, self.spec.heads[task].start, temperature)


def _decide_by_entropy(
    predict: Callable[[Tensor], Tensor],
    task: int,
    first_output: int,
    temperature: float,
    inputs: Tensor,
    before: Decision | None,
) -> Decision:
    """Decides for a task where its network has lower entropy than all before; ties go to the earlier task."""
    logits = predict(inputs)
    entropy, outputs = relative_entropy(logits / temperature), logits.argmax(-1) + first_output
    confidence = confidence_of(logits)
    if before is None or before.tasks is None or before.entropy is None or before.confidence is None:
        return Decision(outputs, torch.full_like(outputs, task), entropy, confidence)
    lower = entropy < before.entropy
    return Decision(
        torch.where(lower, outputs, before.outputs),
        torch.where(lower, task, before.tasks),
        torch.where(lower, entropy, before.entropy),
        torch.where(lower, confidence, before.confidence),
    )


def relative_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax over the last axis of logits (..., K), K at least 2, relative to its maximum, log K.

    Computed from log-probabilities, which stay finite where probabilities underflow to 0.
    """
    log_probabilities = logits.log_softmax(-1)
    return -(log_probabilities.exp() * log_probabilities).sum(-1) / log(logits.shape[-1])
