"""Elastic weight consolidation: weights are held by the Fisher information of earlier tasks."""

from typing import cast

import torch
from torch import Tensor

from hypercl.config.models.method import Ewc, OnlineEwc
from hypercl.methods.fisher import Answers, TargetFisher
from hypercl.methods.learner import Moment, State, TaskData
from hypercl.methods.learner_spec import Parts
from hypercl.methods.network_learner import Network
from hypercl.methods.penalty import PenaltyLearner, held
from hypercl.regularizers import Quadratic
from hypercl.seeds import generator


class EwcLearner(PenaltyLearner):
    """loss = L_task + strength * 1/2 sum_t sum_i F_ti (w_i - w_ti)^2 over earlier tasks t (Kirkpatrick et al., 2017).

    F_t is the diagonal Fisher information on task t's training data at w_t, the weights after it, of the outputs that
    its loss was over.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.config = cast(Ewc | OnlineEwc, self.configs[0])
        self.fisher = TargetFisher(parts.target, parts.device)

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        if not self.remembers:
            return state
        found = self._fisher(state, task, data)
        return {**state, "held": held(self._joined(Quadratic(**state["held"]), found, state["theta"]["weights"]))}

    def _joined(self, before: Quadratic, fisher: Tensor, weights: Tensor) -> Quadratic:
        """What holds the weights once a further task is learned."""
        return before.plus(fisher, weights)

    def _fisher(self, state: State, task: int, data: TaskData) -> Tensor:
        """Of each replica, one after the other, on samples of its own."""
        weights, buffers = state["theta"]["weights"], state["buffers"][self._buffers_of(task)]
        if not self.bundled:
            return self._fisher_of(self.parts.seeds[0], Network(weights, buffers), task, data)
        each = []
        for replica, seed in enumerate(self.parts.seeds):
            network = Network(weights[replica], {name: value[replica] for name, value in buffers.items()})
            each.append(self._fisher_of(seed, network, task, data))
        return torch.stack(each)

    def _fisher_of(self, seed: int, network: Network, task: int, data: TaskData) -> Tensor:
        samples, some = torch.arange(len(data)), self.config.fisher_samples
        if some is not None and some < len(data):
            samples = torch.randperm(len(data), generator=generator(seed, "fisher", task))[:some]
        outputs = self._trained_outputs(task, Moment(task, 0, 0.0))
        first = self.parts.heads[task].start - outputs.start
        return self.fisher(network, outputs, data, samples, Answers(self.config.fisher_labels == "predicted", first))


class OnlineEwcLearner(EwcLearner):
    """loss = L_task + strength * 1/2 sum_i F_i (w_i - w*_i)^2, w* the weights after the last task.

    F is decay times what it was, plus the task's own, once a task (Schwarz et al., 2018); the code of von Oswald et al.
    (2020) multiplies it by decay at each step instead.
    """

    def _joined(self, before: Quadratic, fisher: Tensor, weights: Tensor) -> Quadratic:
        decay = cast(OnlineEwc, self.config).decay
        return Quadratic.around(weights, decay * before.precision + fisher)
