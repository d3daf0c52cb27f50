"""A task-conditioned hypernetwork trained on one task after the other, without protection: fine-tuning."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hypercl.config.training import Training
from hypercl.hypernets import Hypernetwork
from hypercl.methods.learner import Batch, Learner, Losses, Memory, Moment, State
from hypercl.methods.loss import classification_loss
from hypercl.methods.precision import autocast
from hypercl.regularizers import build_optimizer, clip_norm
from hypercl.seeds import derive, generator
from hypercl.targets import GeneratedModel

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Parts:
    """What a method is made of."""

    target: GeneratedModel
    hypernet: Hypernetwork
    heads: tuple[slice, ...]
    """Outputs of each task."""
    training: Training
    device: torch.device


@dataclass(frozen=True)
class Protection:
    """What a method makes of a task's gradient, to protect earlier tasks."""

    grads: Tensors
    """Gradient with respect to theta."""
    losses: Losses = field(default_factory=dict)
    """What it costs, by name."""
    earlier: tuple[Tensor, Tensors] | None = None
    """Embeddings of the earlier tasks (tasks, dim) after the step and their optimiser's state, where they move."""


class HypernetLearner(Learner):
    """A target whose weights for task t are h(e_t, theta). The methods on a hypernetwork add to this what they are.

    State:
        theta: the hypernetwork's parameters, chunk embeddings included.
        embeddings: (tasks, dim).
        buffers: the target's buffers for each task, such as running statistics.
        optimizer: states of the optimisers of theta and of the embeddings trained on, made anew for each task.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.optimizer = build_optimizer(parts.training.optimizer)

    def init(self) -> State:
        """Initial weights are drawn on the CPU, so that they do not depend on the device."""
        buffers = self.parts.target.initial_buffers()
        tasks = range(len(self.parts.heads))
        embeddings = self.parts.hypernet.init_embeddings(len(tasks), self._draw("embeddings"))
        return {
            "theta": self._initial_theta("theta"),
            "embeddings": embeddings.to(self.parts.device),
            "buffers": {str(task): {name: value.clone() for name, value in buffers.items()} for task in tasks},
            "optimizer": {},
        }

    def start_task(self, state: State, task: int) -> State:
        embeddings = state["embeddings"]
        if task and self.parts.hypernet.embedding_init == "previous":
            embeddings = embeddings.clone()
            embeddings[task] = embeddings[task - 1]
        optimizer = {
            "theta": self.optimizer.init(state["theta"]),
            "embeddings": self.optimizer.init({"embeddings": embeddings[list(self.trains_on(task))]}),
        }
        return {**state, "embeddings": embeddings, "optimizer": optimizer}

    def step(self, state: State, memory: Memory, batches: Sequence[Batch], now: Moment) -> tuple[State, Losses]:
        tasks, bound = list(self.trains_on(now.task)), self.parts.training.clip_norm
        loss, grads, embedding_grads, buffers = self._task_gradients(state, tasks, batches, now)
        protection = self._protected(state, memory, grads, now)
        theta, theta_state = self._moved(
            state["theta"], clip_norm(protection.grads, bound), state["optimizer"]["theta"], now.lr
        )
        own, own_state = self._moved(
            {"embeddings": state["embeddings"][tasks]},
            clip_norm({"embeddings": embedding_grads}, bound),
            state["optimizer"]["embeddings"],
            now.lr,
        )
        embeddings = state["embeddings"].clone()
        embeddings[tasks] = own["embeddings"]
        optimizer = {"theta": theta_state, "embeddings": own_state}
        if protection.earlier is not None:
            embeddings[: now.task], optimizer["earlier"] = protection.earlier
        changed = {
            "theta": theta,
            "embeddings": embeddings,
            "buffers": {**state["buffers"], **buffers},
            "optimizer": optimizer,
        }
        return {**state, **changed}, {"task": loss, **protection.losses}

    def predictor(self, state: State, task: int) -> Callable[[Tensor], Tensor]:
        theta, head = self._theta_of(state, task), self.parts.heads[task]
        with torch.no_grad(), self._networks_run():
            weights = self.parts.hypernet(theta, state["embeddings"][task : task + 1])[0].float()

        def predict(inputs: Tensor) -> Tensor:
            with torch.no_grad(), self._networks_run():
                outputs, _ = self.parts.target(weights, state["buffers"][str(task)], inputs, training=False)
            return outputs[:, head].float()

        return predict

    def knowledge(self, state: State) -> State:
        return {key: value for key, value in state.items() if key != "optimizer"}

    def _protected(self, state: State, memory: Memory, grads: Tensors, now: Moment) -> Protection:
        """The task's gradient with respect to theta, and what is added to it to protect earlier tasks: here nothing."""
        del state, memory, now
        return Protection(grads)

    def _theta_of(self, state: State, task: int) -> Tensors:
        """The hypernetwork that makes a task's weights."""
        del task
        return state["theta"]

    def _initial_theta(self, *purpose: int | str) -> Tensors:
        theta = self.parts.hypernet.init(self._draw(*purpose))
        return {name: value.to(self.parts.device) for name, value in theta.items()}

    def _networks_run(self) -> AbstractContextManager[Any]:
        return autocast(self.parts.training.precision, self.parts.device)

    def _drawn(self, tasks: int, now: Moment) -> Tensors | None:
        """Noise and dropout masks of the hypernetwork at a step, drawn on the device."""
        if not self.parts.hypernet.random:
            return None
        draw = generator(self.parts.training.seed, "hypernetwork", now.task, now.step, device=self.parts.device)
        return self.parts.hypernet.draw(tasks, draw)

    def _draw(self, *purpose: int | str) -> torch.Generator:
        return generator(self.parts.training.seed, *purpose)

    def _task_gradients(
        self, state: State, tasks: Sequence[int], batches: Sequence[Batch], now: Moment
    ) -> tuple[Tensor, Tensors, Tensor, dict[str, Tensors]]:
        """The mean of the tasks' losses, its gradients, and the target's new buffers.

        Returns:
            Loss; gradient with respect to theta; with respect to the tasks' embeddings (tasks, dim); buffers by task.
        """
        theta = {name: value.detach().requires_grad_() for name, value in state["theta"].items()}
        embeddings = state["embeddings"][list(tasks)].detach().requires_grad_()
        training, losses, buffers = self.parts.training, [], {}
        with self._networks_run():
            weights = self.parts.hypernet(theta, embeddings, self._drawn(len(tasks), now)).float()
        for task, own, (inputs, labels) in zip(tasks, weights, batches, strict=True):
            seed = derive(training.seed, "dropout", task, now.step)
            with self._networks_run():
                outputs, buffers[str(task)] = self.parts.target(own, state["buffers"][str(task)], inputs, True, seed)
            losses.append(classification_loss(outputs[:, self.parts.heads[task]], labels, training.label_smoothing))
        loss = torch.stack(losses).mean()
        *grads, embedding_grad = torch.autograd.grad(loss, [*theta.values(), embeddings])
        return loss.detach(), dict(zip(theta, grads, strict=True)), embedding_grad, buffers

    def _moved(self, values: Tensors, grads: Tensors, state: Tensors, lr: float) -> tuple[Tensors, Tensors]:
        """Values after a step of the optimiser, and the optimiser's new state."""
        delta, state = self.optimizer.delta(values, grads, state, lr)
        return _sum(values, delta), state


def _sum(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Tensors:
    return {name: value.detach() + right[name] for name, value in left.items()}
