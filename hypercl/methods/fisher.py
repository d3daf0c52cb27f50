"""The Fisher information of a target's weights on a task's data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypercl.config import UserError
from hypercl.methods.learner import Batch, TaskData
from hypercl.methods.network_learner import Network, Tensors
from hypercl.regularizers import diagonal_fisher, layer_by_layer, quickest
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
