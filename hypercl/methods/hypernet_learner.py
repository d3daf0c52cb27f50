"""A task-conditioned hypernetwork trained on one task after the other, without protection: fine-tuning."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hypercl.config import Experiment
from hypercl.config.training import Training
from hypercl.hypernets import Hypernetwork
from hypercl.methods.learner import Batch, Learner, Losses, Memory, Moment, State
from hypercl.methods.loss import classification_loss
from hypercl.methods.precision import autocast
from hypercl.regularizers import build_optimizer, clip_norm
from hypercl.seeds import derive, generator
from hypercl.targets import GeneratedModel

Tensors = dict[str, Tensor]

WEIGHTS_AT_ONCE = 4_000_000
"""Weights generated together for predictions on the CPU; on a GPU 16 times as many. On a CPU core the five tasks of
Split MNIST (2.4 million) took a third of the time of one by one, the ten of PermutedMNIST (21 million) half as long
again."""


@dataclass(frozen=True)
class Parts:
    """What a method is made of."""

    target: GeneratedModel
    hypernet: Hypernetwork
    heads: tuple[slice, ...]
    """Outputs of each task."""
    training: Training
    device: torch.device
    variants: tuple[Experiment, ...]
    """The setting of each replica; they differ in scalars alone."""

    @property
    def seeds(self) -> list[int]:
        """Of each replica."""
        return [variant.training.seed for variant in self.variants]


@dataclass(frozen=True)
class Protection:
    """What a method makes of a task's gradient, to protect earlier tasks."""

    grads: Tensors
    """Gradient with respect to theta."""
    losses: Losses = field(default_factory=dict)
    """What it costs, by name."""
    earlier: Tensor | None = None
    """Gradient with respect to the embeddings of the earlier tasks (tasks, dim), where they are trained."""


class HypernetLearner(Learner):
    """A target whose weights for task t are h(e_t, theta). The methods on a hypernetwork add to this what they are.

    With one seed no tensor has an axis of replicas; with several, each replica is what a run of its seed alone is.

    State:
        theta: the hypernetwork's parameters, chunk embeddings included.
        embeddings: (tasks, dim).
        buffers: the target's buffers for each task, such as running statistics.
        optimizer: states of the optimisers of theta and of the embeddings trained on, made anew for each task.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.optimizer = build_optimizer(parts.training.optimizer)
        self.bundled = len(parts.variants) > 1
        rates = [variant.training.optimizer.lr for variant in parts.variants]
        self.rates = [rate / rates[0] for rate in rates] if len(set(rates)) > 1 else None

    def init(self) -> State:
        """Initial weights are drawn on the CPU, so that they do not depend on the device."""
        tasks = range(len(self.parts.heads))
        buffers = self._of_each(lambda _: self.parts.target.initial_buffers())
        embeddings = self._of_each(
            lambda each: {"all": self._hypernet_of(each).init_embeddings(len(tasks), _draw(each, "embeddings"))}
        )
        return {
            "theta": self._initial_theta("theta"),
            "embeddings": embeddings["all"].to(self.parts.device),
            "buffers": {str(task): {name: value.clone() for name, value in buffers.items()} for task in tasks},
            "optimizer": {},
        }

    def start_task(self, state: State, task: int) -> State:
        theta = {name: value.clone() for name, value in state["theta"].items()}
        embeddings = state["embeddings"].clone()
        if task and self.parts.hypernet.embedding_init == "previous":
            embeddings[..., task, :] = embeddings[..., task - 1, :]
        optimizer = {
            "theta": self.optimizer.init(theta),
            "embeddings": self.optimizer.init({"embeddings": embeddings[..., list(self.trains_on(task)), :]}),
        }
        return {**state, "theta": theta, "embeddings": embeddings, "optimizer": optimizer}

    def step(self, state: State, memory: Memory, batches: Sequence[Batch], now: Moment) -> tuple[State, Losses]:
        if self.rates is not None and isinstance(now.lr, float):
            now = replace(now, lr=[now.lr * rate for rate in self.rates])
        tasks, embeddings = list(self.trains_on(now.task)), state["embeddings"]
        loss, grads, of_embeddings, buffers = self._task_gradients(state, tasks, batches, now)
        protection = self._protected(state, memory, grads, now)
        optimizer = state["optimizer"]
        self.optimizer.step_(state["theta"], self._clipped(protection.grads), optimizer["theta"], now.lr)
        self._move_embeddings(embeddings, tasks, of_embeddings, optimizer["embeddings"], now)
        if protection.earlier is not None:
            earlier = list(range(now.task))
            self._move_embeddings(embeddings, earlier, protection.earlier, optimizer["earlier"], now)
        return {**state, "buffers": state["buffers"] | buffers}, {"task": loss, **protection.losses}

    def predictor(self, state: State, task: int) -> Callable[[Tensor], Tensor]:
        return next(self.predictors(state, [task]))

    def predictors(self, state: State, tasks: Sequence[int]) -> Iterator[Callable[[Tensor], Tensor]]:
        """As of the learner; the weights of as many tasks are generated at once as have room."""
        room = WEIGHTS_AT_ONCE if self.parts.device.type == "cpu" else 16 * WEIGHTS_AT_ONCE
        many = max(1, room // (self.parts.target.num_weights * len(self.parts.seeds)))
        for theta, those in self._by_theta(state, tasks):
            for block in (those[start : start + many] for start in range(0, len(those), many)):
                with torch.no_grad(), self._networks_run():
                    weights = self.parts.hypernet(theta, state["embeddings"][..., block, :])
                for task, own in zip(block, _at_least_float32(weights).unbind(-2), strict=True):
                    yield partial(self._predict, own, state["buffers"][str(task)], self.parts.heads[task])

    def _predict(self, weights: Tensor, buffers: Tensors, head: slice, inputs: Tensor) -> Tensor:
        with torch.no_grad(), self._networks_run():
            outputs, _ = self._outputs(weights, buffers, inputs)
        return _at_least_float32(outputs[..., head])

    def _by_theta(self, state: State, tasks: Sequence[int]) -> list[tuple[Tensors, list[int]]]:
        """Tasks that follow each other and have one hypernetwork."""
        found: list[tuple[Tensors, list[int]]] = []
        for task in tasks:
            theta = self._theta_of(state, task)
            if found and found[-1][0] is theta:
                found[-1][1].append(task)
            else:
                found.append((theta, [task]))
        return found

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
        theta = self._of_each(lambda each: self._hypernet_of(each).init(_draw(each, *purpose)))
        return {name: value.to(self.parts.device) for name, value in theta.items()}

    def _networks_run(self) -> AbstractContextManager[Any]:
        return autocast(self.parts.training.precision, self.parts.device)

    def _hypernet_of(self, variant: Experiment) -> Hypernetwork:
        """The hypernetwork with a replica's initial scales."""
        config = variant.hypernet
        return replace(self.parts.hypernet, embedding_scale=config.embedding_scale, initialization=config.init)

    def _of_each(self, make: Callable[[Experiment], Tensors]) -> Tensors:
        """What is made for a replica; where there are several, that of each, one after the other."""
        made = [make(variant) for variant in self.parts.variants]
        return {name: torch.stack([each[name] for each in made]) for name in made[0]} if self.bundled else made[0]

    def _drawn(self, tasks: int, now: Moment) -> Tensors | None:
        """Noise and dropout masks of the hypernetwork at a step, drawn on the device."""
        hypernet, device = self.parts.hypernet, self.parts.device
        if not hypernet.random:
            return None
        keys = ("hypernetwork", now.task, now.step)
        return self._of_each(lambda each: hypernet.draw(tasks, _draw(each, *keys, device=device)))

    def _task_gradients(
        self, state: State, tasks: Sequence[int], batches: Sequence[Batch], now: Moment
    ) -> tuple[Tensor, Tensors, Tensor, dict[str, Tensors]]:
        """The mean of the tasks' losses, its gradients, and the target's new buffers.

        Returns:
            Loss; gradient with respect to theta; with respect to the tasks' embeddings (tasks, dim); buffers by task.
        """
        smoothing, losses, buffers = self.parts.training.label_smoothing, [], {}
        with self._networks_run():
            embeddings = state["embeddings"][..., list(tasks), :]
            weights, back = self.parts.hypernet.generate(state["theta"], embeddings, self._drawn(len(tasks), now))
        weights = _at_least_float32(weights).requires_grad_()
        for task, own, (inputs, labels) in zip(tasks, weights.unbind(-2), batches, strict=True):
            seeds = [derive(seed, "dropout", task, now.step) for seed in self.parts.seeds]
            with self._networks_run():
                outputs, buffers[str(task)] = self._outputs(own, state["buffers"][str(task)], inputs, seeds)
            losses.append(classification_loss(outputs[..., self.parts.heads[task]], labels, smoothing))
        loss = torch.stack(losses).mean(0)
        (gradient,) = torch.autograd.grad(loss.sum(), weights)
        return loss.detach(), *back(gradient), buffers

    def _outputs(
        self, weights: Tensor, buffers: Tensors, inputs: Tensor, seeds: Sequence[int] | None = None
    ) -> tuple[Tensor, Tensors]:
        """The target's outputs and buffers after the pass; in training there are seeds, for what it draws."""
        target, training = self.parts.target, seeds is not None
        if self.bundled:
            return target.bundle(weights, buffers, inputs, training, seeds)
        return target(weights, buffers, inputs, training, seeds[0] if seeds else None)

    def _clipped(self, grads: Tensors) -> Tensors:
        return clip_norm(grads, self.parts.training.clip_norm, self.bundled)

    def _move_embeddings(self, all: Tensor, tasks: list[int], gradient: Tensor, state: Tensors, now: Moment) -> None:
        """A step of some tasks' embeddings, in place."""
        moved = {"embeddings": all[..., tasks, :].contiguous()}
        self.optimizer.step_(moved, self._clipped({"embeddings": gradient}), state, now.lr)
        all[..., tasks, :] = moved["embeddings"]


def _draw(variant: Experiment, *purpose: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    return generator(variant.training.seed, *purpose, device=device)


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
