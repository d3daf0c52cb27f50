"""Elastic weight consolidation: weights are held by the Fisher information of earlier tasks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypercl.config import UserError
from hypercl.config.models import Ewc, OnlineEwc
from hypercl.methods.learner import Batch, LearnerSpec, State, StepInfo, TaskData
from hypercl.methods.network_learner import Network, Tensors
from hypercl.methods.penalty import PenaltyLearner, held
from hypercl.regularizers import Quadratic, diagonal_fisher, layer_by_layer, quickest
from hypercl.seeds import generator
from hypercl.targets import GeneratedModel

SAMPLES, SAMPLES_OF_CONVOLUTIONS = 1000, 32
"""Samples that go through the network at once; on a GPU 8 times as many convolve. A multilayer perceptron was quickest
at 1000, convolutions take memory: ResNet-32 16 MB a sample."""


@dataclass(frozen=True)
class Answers:
    """Whose labels the likelihood is of."""

    predicted: bool
    """The network's own most probable ones, instead of the data's."""
    first: int
    """Among the outputs, the place of the task's first class: what is added to the data's labels."""


class TargetFisher:
    """The Fisher information of a target in evaluation mode, in float32 whatever the precision of training.

    It is of the likelihood itself: without label smoothing.

    Args:
        target: the network.
        device: where it computes.

    Raises:
        UserError: the target cannot compute a sample alone.
    """

    def __init__(self, target: GeneratedModel, device: torch.device) -> None:
        self._target = target
        fewer = SAMPLES_OF_CONVOLUTIONS * (1 if device.type == "cpu" else 8)
        self._at_once = fewer if target.convolves else SAMPLES
        likelihood = self._likelihood(target.initial_buffers(), slice(0, target.num_outputs))
        draw = torch.Generator().manual_seed(0)
        example = torch.rand(3, *target.input_shape, generator=draw).to(device)
        layers = layer_by_layer(target.module, target.shapes)
        try:
            self._way = quickest(likelihood, layers, target.initial_weights(), example)
        except Exception as error:
            raise UserError(
                f"target: {type(target.module).__name__} cannot compute a sample alone, of which the Fisher "
                f"information is made: {error}"
            ) from error

    def __call__(self, network: Network, outputs: slice, data: TaskData, samples: Tensor, answers: Answers) -> Tensor:
        """Mean over samples of the squared gradient of minus the log-likelihood: (num_weights,).

        Args:
            network: weights (num_weights,) and buffers.
            outputs: those that the likelihood is over.
            data: of the task.
            samples: their places in the data, int64.
            answers: whose labels.
        """
        likelihood = self._likelihood(network.buffers, outputs)

        def batches() -> Iterator[Batch]:
            for places in samples.split(self._at_once):
                inputs, labels = data[places]
                inputs = inputs.to(network.weights.dtype)
                if answers.predicted:
                    with torch.no_grad():
                        logits, _ = self._target(network.weights, network.buffers, inputs, training=False)
                    yield inputs, logits[..., outputs].argmax(-1)
                else:
                    yield inputs, labels + answers.first

        return diagonal_fisher(likelihood, network.weights, batches(), self._way)

    def _likelihood(self, buffers: Tensors, outputs: slice) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """Minus the log-likelihood of each sample: the cross entropy."""

        def of(weights: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
            logits, _ = self._target(weights, buffers, inputs, training=False)
            return cross_entropy(logits[..., outputs], labels, reduction="none")

        return of


class EwcLearner(PenaltyLearner):
    """loss = L_task + strength * 1/2 sum_t sum_i F_ti (w_i - w_ti)^2 over earlier tasks t (Kirkpatrick et al., 2017).

    F_t is the diagonal Fisher information on task t's training data at w_t, the weights after it, of the outputs that
    its loss was over.
    """

    def __init__(self, parts: LearnerSpec) -> None:
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
        outputs = self._trained_outputs(task, StepInfo(task, 0, 0.0))
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
