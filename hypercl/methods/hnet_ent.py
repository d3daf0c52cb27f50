"""HNET+ENT: the task is the one whose network is surest of its answer (von Oswald et al., 2020)."""

from collections.abc import Callable, Iterator
from functools import partial
from math import log
from typing import cast

import torch
from torch import Tensor

from hypercl.config.models.method import HnetEnt
from hypercl.methods.hnet import HnetLearner
from hypercl.methods.learner import Decision, Pass, State


class HnetEntLearner(HnetLearner):
    """Trained as `hnet`; where the task is not given, every task's network predicts, one pass over the samples each."""

    def deciders(self, state: State, met: int) -> Iterator[Pass]:
        temperature = cast(HnetEnt, self.config).temperature
        for task, predict in enumerate(self.predictors(state, range(met))):
            yield partial(_surer, predict, task, self.parts.heads[task].start, temperature)


def _surer(
    predict: Callable[[Tensor], Tensor],
    task: int,
    first_output: int,
    temperature: float,
    inputs: Tensor,
    before: Decision | None,
) -> Decision:
    """Decides for a task where its network is surer than all before; of equals the first task stays."""
    logits = predict(inputs)
    doubt, outputs = relative_entropy(logits / temperature), logits.argmax(-1) + first_output
    if before is None or before.tasks is None or before.doubt is None:
        return Decision(outputs, torch.full_like(outputs, task), doubt)
    surer = doubt < before.doubt
    return Decision(
        torch.where(surer, outputs, before.outputs),
        torch.where(surer, task, before.tasks),
        torch.where(surer, doubt, before.doubt),
    )


def relative_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax over the last axis, as a share of the largest there can be, log K.

    Computed from log-probabilities, which are finite where probabilities have become 0.

    Args:
        logits: (..., K), K at least 2.
    """
    logarithms = logits.log_softmax(-1)
    return -(logarithms.exp() * logarithms).sum(-1) / log(logits.shape[-1])
