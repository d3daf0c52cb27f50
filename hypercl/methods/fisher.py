"""The diagonal Fisher information of a network's weights, or of what generates them, on a task's training data."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypercl.config import UserError
from hypercl.methods.learner import Batch, LearnerSpec, TaskData
from hypercl.methods.network_learner import Network
from hypercl.regularizers import diagonal_fisher, layer_by_layer, quickest
from hypercl.seeds import generator
from hypercl.tensors import Tensors

SAMPLES, SAMPLES_OF_CONVOLUTIONS = 1000, 32
"""Samples per pass; on a GPU convolutional networks take 8 times as many. An MLP was fastest at 1000; ResNet-32 takes
16 MB a sample."""
Generate = Callable[[Tensor], Tensor]
"""From parameters (n,) to the weights that they generate, (num_weights,)."""


@dataclass(frozen=True)
class Learned:
    """One network that has learned a task."""

    parameters: Tensor
    """(n,): its weights, or what they are generated from."""
    generate: Generate | None
    """None where the parameters are the weights."""
    buffers: Tensors


class FisherInformation:
    """Mean over a task's training samples of the squared gradient of minus the log-likelihood, of each parameter.

    Of the outputs that the task's loss covered; from the likelihood itself, without label smoothing, in evaluation mode
    and float32 whatever the precision of training. Source: Kirkpatrick et al. (2017).

    Args:
        spec: of the learner.
        labels: of the squared gradients: `predicted` by the network, or `given` by the data.
        samples: of a task that it is estimated from; None takes all.

    Raises:
        UserError: the target cannot process a single sample.
    """

    def __init__(self, spec: LearnerSpec, labels: str, samples: int | None) -> None:
        self.spec, self.labels, self.samples, target = spec, labels, samples, spec.target
        self._samples_at_once = SAMPLES
        if target.convolves:
            self._samples_at_once = SAMPLES_OF_CONVOLUTIONS * (1 if spec.device.type == "cpu" else 8)
        likelihood = self._likelihood(target.initial_buffers(), slice(0, target.num_outputs), None)
        try:
            layers = layer_by_layer(target.module, target.shapes)
            weights = target.initial_weights()
            self._squares = quickest(likelihood, layers, weights, *self._example(slice(0, target.num_outputs)))
        except Exception as error:
            raise UserError(
                f"target: {type(target.module).__name__} cannot process a single sample, which the Fisher "
                f"information requires: {error}"
            ) from error

    def of(self, networks: Sequence[Learned], task: int, outputs: slice, data: TaskData) -> Tensor:
        """Of each replica, on samples of its own: (n,), or (replicas, n) if there are several.

        Args:
            networks: of the replicas.
            task: that they have learned.
            outputs: that its loss covered.
            data: its training data.
        """
        pairs = zip(self.spec.seeds, networks, strict=True)
        fishers = [self._of_one(seed, network, task, outputs, data) for seed, network in pairs]
        return torch.stack(fishers) if len(fishers) > 1 else fishers[0]

    def _of_one(self, seed: int, network: Learned, task: int, outputs: slice, data: TaskData) -> Tensor:
        samples, count = torch.arange(len(data)), self.samples
        if count is not None and count < len(data):
            samples = torch.randperm(len(data), generator=generator(seed, "fisher", task))[:count]
        parameters = network.parameters.detach()
        likelihood, squares = self._likelihood(network.buffers, outputs, network.generate), self._squares
        if network.generate is not None:
            inputs, labels = self._example(outputs)
            squares = quickest(likelihood, None, parameters, inputs.to(parameters.dtype), labels)
        with torch.no_grad():
            weights = parameters if network.generate is None else network.generate(parameters)

        def batches() -> Iterator[Batch]:
            for block in torch.split(samples, self._samples_at_once):
                inputs, labels = data[block]
                inputs = inputs.to(weights.dtype)
                if self.labels == "predicted":
                    with torch.no_grad():
                        logits, _ = self.spec.target(weights, network.buffers, inputs, training=False)
                    yield inputs, _expected(self.spec.shape.labelled(logits)[..., outputs], labels)
                elif labels.is_floating_point():
                    yield inputs, labels
                else:
                    yield inputs, labels + (self.spec.heads[task].start - outputs.start)

        return diagonal_fisher(likelihood, parameters, batches(), squares)

    def _example(self, outputs: slice) -> Batch:
        """A few distinct inputs, and labels."""
        draws = torch.Generator().manual_seed(0)
        inputs = torch.rand(3, *self.spec.target.input_shape, generator=draws).to(self.spec.device)
        if self.spec.experiment.tasks.regression:
            return inputs, inputs.new_zeros(len(inputs), outputs.stop - outputs.start)
        steps = (self.spec.shape.steps,) if self.spec.shape.steps else ()
        return inputs, torch.zeros(len(inputs), *steps, dtype=torch.int64, device=inputs.device)

    def _likelihood(
        self, buffers: Tensors, outputs: slice, generate: Generate | None
    ) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """The negative log-likelihood of each sample: the cross entropy, summed over steps; of a regression, half the
        squared error."""

        def likelihood(parameters: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
            weights = parameters if generate is None else generate(parameters)
            logits, _ = self.spec.target(weights, buffers, inputs, training=False)
            if labels.is_floating_point():
                return (logits[..., outputs] - labels).square().sum(-1) / 2
            if self.spec.shape.steps:
                logits = self.spec.shape.labelled(logits)[..., outputs]
                return cross_entropy(logits.mT, labels, reduction="none").sum(-1)
            return cross_entropy(logits[..., outputs], labels, reduction="none")

        return likelihood


def of_replicas(network: Network, replicas: int) -> list[Network]:
    """The network of each replica."""
    if replicas == 1:
        return [network]
    buffers = [{name: value[index] for name, value in network.buffers.items()} for index in range(replicas)]
    return [Network(*parts) for parts in zip(network.weights, buffers, strict=True)]


def _expected(outputs: Tensor, labels: Tensor) -> Tensor:
    """The labels whose squared gradients are taken: the predicted classes; of a regression of one output the numbers
    one standard deviation from the predicted ones, with which a squared gradient is its own expectation."""
    return outputs - 1 if labels.is_floating_point() else outputs.argmax(-1)
