"""The two that are compared: hypercl's learner, and hypnettorch's functions in the loop of its example.

hypnettorch is used as `examples/hypercl/run.py` of its repository does, with the look-ahead of the paper between the
backward passes of the task's loss and of the regulariser: its hypernetwork, main network, targets, regulariser and
look-ahead step, and `torch.optim.Adam`. As in the paper the current embedding has an optimiser of its own and the
earlier ones are frozen.
"""

import warnings
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from typing import Any

import torch
from hypnettorch.hnets.chunked_mlp_hnet import ChunkedHMLP
from hypnettorch.mnets.mlp import MLP
from hypnettorch.mnets.resnet import ResNet
from hypnettorch.utils.hnet_regularizer import calc_fix_target_reg, get_current_targets
from hypnettorch.utils.optim_step import calc_delta_theta
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam

from hypercl.config import Experiment
from hypercl.methods import StepInfo
from hypercl.tasks import Shape
from tests.benchmarks.settings import learner_of

Batch = tuple[Tensor, Tensor]
Tensors = dict[str, Tensor]
ACTIVATIONS = {"relu": nn.ReLU(), "elu": nn.ELU()}


class Ours:
    """hypercl's learner at a task, one step after the other.

    Args:
        experiment: its settings.
        shape: of its stream.
        task: the task learned; as many are earlier.
        device: where it computes.
    """

    def __init__(self, experiment: Experiment, shape: Shape, task: int, device: torch.device) -> None:
        self.learner = learner_of(experiment, shape, device)
        self.task, self.lr, self.steps = task, experiment.training.optimizer.lr, 0
        self.state = self.learner.start_task(self.learner.init(), task)
        self.context = self.learner.task_context(self.state, task)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """One training step; the losses `task` and `regularizer`."""
        info = StepInfo(self.task, self.steps, self.lr)
        self.state, losses = self.learner.step(self.state, self.context, [batch], info)
        self.steps += 1
        return losses

    def stepper(self, batches: Sequence[Batch]) -> Any:
        """A call that takes a step on the next batch, round and round."""
        turns = cycle(batches)
        return lambda: self.step(next(turns))


class Theirs:
    """hypnettorch's functions at a task, from the same weights.

    Args:
        experiment: hypercl's settings.
        shape: of the stream.
        theta: hypercl's parameters, copied.
        embeddings: of all tasks, copied.
        plain: gradient descent instead of Adam for theta and the task's embedding.
    """

    def __init__(
        self,
        experiment: Experiment,
        shape: Shape,
        theta: Tensors,
        embeddings: Tensor,
        plain: bool = False,
    ) -> None:
        config, optimizer, self.beta = experiment.hypernet, experiment.training.optimizer, experiment.method.beta
        self.optimizer = partial(SGD, lr=optimizer.lr) if plain else partial(Adam, lr=optimizer.lr, eps=optimizer.eps)
        self.images = experiment.target.name == "resnet32"
        self.mnet = _main_network(experiment, shape).to(embeddings.device)
        self.hnet = ChunkedHMLP(
            self.mnet.param_shapes,
            config.chunk_size,
            chunk_emb_size=config.chunk_embedding,
            cond_in_size=config.task_embedding,
            layers=config.hidden,
            activation_fn=ACTIVATIONS[config.activation],
            num_cond_embs=len(embeddings),
            verbose=False,
        ).to(embeddings.device)
        masked = experiment.method.regularizer.mask_heads
        self.heads = [list(range(head.start, head.stop)) for head in shape.heads]
        self.masks = {"mnet": self.mnet, "inds_of_out_heads": self.heads} if masked else {}
        with torch.no_grad():
            for parameter, value in zip(self.hnet.unconditional_params, chunk_first(theta, config), strict=True):
                parameter.copy_(value)
            for parameter, value in zip(self.hnet.conditional_params, embeddings, strict=True):
                parameter.copy_(value)

    def start_task(self, task: int) -> "Theirs":
        """Targets of the earlier tasks and new optimisers; returns itself."""
        self.task = task
        self.targets = get_current_targets(task, self.hnet) if task else []
        self.of_theta = self.optimizer(self.hnet.unconditional_params)
        self.of_embedding = self.optimizer([self.hnet.conditional_params[task]])
        self.mnet.train()
        self.hnet.train()
        return self

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """One training step; the losses `task` and `regularizer`."""
        losses = {"task": self.task_loss(batch)}
        self.of_embedding.step()
        if self.task:
            losses["regularizer"] = self.regularizer(self.beta)
        self.of_theta.step()
        return losses

    def task_loss(self, batch: Batch) -> Tensor:
        """The loss on a batch; its gradients replace those of the step before."""
        self.of_theta.zero_grad()
        self.of_embedding.zero_grad()
        loss = cross_entropy(self.logits(self.hnet.forward(cond_id=self.task), batch[0], self.task), batch[1])
        loss.backward()
        return loss.detach()

    def regularizer(self, beta: float) -> Tensor:
        """R where the optimiser would go on the gradients that are there; adds beta times its gradient."""
        step = calc_delta_theta(self.of_theta, False, detach_dt=True)
        value = calc_fix_target_reg(self.hnet, self.task, targets=self.targets, dTheta=step, **self.masks)
        (beta * value).backward()
        return value.detach()

    def logits(self, weights: list[Tensor], inputs: Tensor, task: int) -> Tensor:
        """Outputs of a task's head: (samples, classes)."""
        inputs = inputs.permute(0, 2, 3, 1) if self.images else inputs  # it reads flat images, channels last
        return self.mnet.forward(inputs.flatten(1), weights=weights)[:, self.heads[task]]

    def stepper(self, batches: Sequence[Batch]) -> Any:
        """A call that takes a step on the next batch, round and round."""
        turns = cycle(batches)
        return lambda: self.step(next(turns))


def ignore_old_calls() -> None:
    """hypnettorch 0.0.4 calls torch's add_ and addcmul_ in a form that is deprecated."""
    warnings.filterwarnings("ignore", category=UserWarning, module="hypnettorch")


def chunk_first(theta: Tensors, config: Any) -> list[Tensor]:
    """hypercl's parameters in hypnettorch's order: its input is [chunk embedding, task embedding], ours the other way.

    Args:
        theta: by hypercl's names.
        config: the section `hypernet`.
    """
    trunk = [value for name, value in theta.items() if name.startswith("trunk.")]
    first, *others = [*trunk, theta["head"][:, :-1], theta["head"][:, -1]]
    ours = first.split([config.task_embedding, config.chunk_embedding], dim=1)
    return [torch.cat(ours[::-1], dim=1), *others, theta["chunks"]]


def _main_network(experiment: Experiment, shape: Shape) -> Any:
    if experiment.target.name == "resnet32":
        channels, *pixels = shape.input_shape
        return ResNet(in_shape=(*pixels, channels), num_classes=shape.num_outputs, no_weights=True, verbose=False)
    return MLP(
        n_in=torch.Size(shape.input_shape).numel(),
        n_out=shape.num_outputs,
        hidden_layers=experiment.target.hidden,
        no_weights=True,
        verbose=False,
    )
