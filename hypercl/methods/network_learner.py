"""Fine-tuning: a network with generated or own weights, trained on one task after another without protection."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Any, ClassVar

import torch
from torch import Tensor

from hypercl.config import Experiment
from hypercl.config.models import Hypernet, OneNetwork
from hypercl.hypernets import OwnWeights
from hypercl.methods.learner import (
    AnyHypernetwork,
    Batch,
    Decision,
    Learner,
    LearnerSpec,
    Losses,
    State,
    StepInfo,
    TaskContext,
    TaskInference,
    confidence_of,
)
from hypercl.methods.loss import autocast, classification_loss, squared_error
from hypercl.regularizers import build_optimizer, clip_norm
from hypercl.seeds import derive, generator
from hypercl.tensors import Tensors, copied, rows_of

WEIGHTS_AT_ONCE = 4_000_000
"""Weights generated together for predictions on the CPU; on a GPU 16 times as many. On a CPU core the five tasks of
Split MNIST (2.4 million) took a third of the time of one by one, the ten of PermutedMNIST (21 million) half as long
again."""


@dataclass(frozen=True)
class Protection:
    """A task's gradient after the method has added its protection of earlier tasks."""

    grads: Tensors
    """Gradient with respect to theta."""
    losses: Losses = field(default_factory=dict[str, Tensor])
    """Losses of the protection, by name."""
    earlier: Tensor | None = None
    """Gradient with respect to the embeddings of the earlier tasks (tasks, dim), where they are trained."""


@dataclass(frozen=True)
class Loss:
    """The loss of a batch."""

    minimized: Tensor
    """The value to differentiate: a scalar, or (replicas,)."""
    buffers: Tensors
    """The network's buffers after the pass."""
    logged: Losses
    """Losses by name: always `task`."""


@dataclass(frozen=True)
class Network:
    """The arguments of a target besides its inputs."""

    weights: Tensor
    """(num_weights,), or (replicas, num_weights)."""
    buffers: Tensors


class NetworkLearner(Learner):
    """A target whose weights for task t are h(e_t, theta), or its own; the base of all built-in methods.

    Own weights are one theta for all tasks: then there is one set of buffers unless `method.task_buffers` is true,
    embeddings are empty, and a task's loss covers all outputs in scenario domain, the classes of all tasks seen in
    scenario class. A generated network is trained on its own task's classes only, in every scenario (von Oswald et
    al., 2020).

    With one seed no tensor has a replica axis; with several, each replica equals a single run of its seed.

    State:
        theta: the hypernetwork's parameters, chunk embeddings included; or the target's weights.
        embeddings: (tasks, dim).
        buffers: the target's buffers, such as running statistics, for each task; own weights have those of task 0
            unless `method.task_buffers` is true.
        optimizer: states of the optimisers of theta and of the trained embeddings, reset at each task; theta's
            continues if `training.optimizer.renew` is false.
    """

    training_only: ClassVar[tuple[str, ...]] = ("optimizer",)
    """Entries of the state that predictions do not need."""

    def __init__(self, spec: LearnerSpec) -> None:
        self.spec = spec
        self.optimizer = build_optimizer(spec.training.optimizer)
        self.bundled = len(spec.variants) > 1
        self.samples_axis = 1 if self.bundled else 0
        """The axis of the samples in a batch's inputs and labels."""
        self.own_weights = isinstance(spec.hypernet, OwnWeights)
        rates = [variant.training.optimizer.lr for variant in spec.variants]
        self.one = torch.ones(len(spec.variants) if self.bundled else (), device=spec.device)
        """The gradient of the minimised loss by itself."""
        self.rates = [rate / rates[0] for rate in rates] if len(set(rates)) > 1 else None

    def init(self) -> State:
        """Initial weights are drawn on the CPU, independent of the device."""
        tasks = range(len(self.spec.heads))
        return {
            "theta": self._initial_theta("theta"),
            "embeddings": self._initial_embeddings(len(tasks), "embeddings").to(self.spec.device),
            "buffers": {self._buffers_of(task): self._initial_buffers() for task in tasks},
            "optimizer": {},
        }

    def start_task(self, state: State, task: int) -> State:
        theta = copied(state["theta"])
        state = self._with_room_for(state, task)
        embeddings = state["embeddings"].clone()
        rows = self._rows(task)
        if task and self.spec.hypernet.embedding_init == "previous":
            embeddings[..., rows, :] = embeddings[..., rows.start - 1 : rows.start, :]
        optimizer = {
            "theta": self._optimizer_of("theta", theta, state),
            "embeddings": self.optimizer.init({"embeddings": embeddings[..., rows_of(self._adapts(task)), :]}),
        }
        return {**state, "theta": theta, "embeddings": embeddings, "optimizer": optimizer}

    def step(
        self, state: State, context: TaskContext, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[State, Losses]:
        if self.rates is not None and not isinstance(info.lr, Sequence):
            info = replace(info, lr=[info.lr * rate for rate in self.rates])
        losses, grads, of_embeddings, buffers = self._task_gradients(state, context, batches, info)
        protection = self._protected(state, context, grads, info)
        moved = [_Moved("embeddings", rows_of(self._adapts(info.task)), of_embeddings)]
        if protection.earlier is not None:
            moved.append(_Moved("earlier", slice(0, info.task), protection.earlier))
        self._update_(state, protection.grads, moved if state["embeddings"].shape[-1] else [], info)
        return {**state, "buffers": buffers}, losses | protection.losses

    def not_recordable(self, context: TaskContext, task: int) -> str:
        return "the target draws at random in each pass (dropout)" if self.spec.target.random else ""

    def _update_(self, state: State, grads: Tensors, moved: Sequence["_Moved"], info: StepInfo) -> None:
        """One step of theta and of some embeddings by their gradients, each clipped by itself, in one call."""
        embeddings, optimizer = state["embeddings"], state["optimizer"]
        updates = [(state["theta"], self._clipped(grads), optimizer["theta"])]
        parts = [embeddings[..., each.rows, :] for each in moved]
        whole = [part.contiguous() for part in parts]
        for each, values in zip(moved, whole, strict=True):
            gradient = self._clipped({"embeddings": each.gradient})
            updates.append(({"embeddings": values}, gradient, optimizer[each.optimizer]))
        self.optimizer.step_all_(updates, info.lr)
        for each, part, values in zip(moved, parts, whole, strict=True):
            if values is not part or not isinstance(each.rows, slice):  # otherwise it is the embeddings' own memory
                embeddings[..., each.rows, :] = values

    def _optimizer_of(self, name: str, params: Tensors, state: State) -> Tensors:
        """The optimiser's state at the start of a task, for parameters that tasks share."""
        if self.spec.training.optimizer.renew or name not in state["optimizer"]:
            return self.optimizer.init(params)
        return copied(state["optimizer"][name])

    def _with_room_for(self, state: State, task: int) -> State:
        """Adds embeddings and buffers for a task beyond those known at `init`."""
        known, needed = state["embeddings"].shape[-2], self._rows(task).stop
        if needed <= known:
            return state
        added = [self._initial_embeddings(1, "embedding", row) for row in range(known, needed)]
        embeddings = torch.cat([state["embeddings"], *(row.to(state["embeddings"]) for row in added)], dim=-2)
        buffers = {self._buffers_of(task): self._initial_buffers()} | state["buffers"]
        return {**state, "embeddings": embeddings, "buffers": buffers}

    def predictor(self, state: State, task: int) -> Callable[[Tensor], Tensor]:
        return next(self.predictors(state, [task]))

    def predictors(self, state: State, tasks: Sequence[int]) -> Iterator[Callable[[Tensor], Tensor]]:
        """As `Learner.predictors`; weights are generated in blocks of as many tasks as `WEIGHTS_AT_ONCE` allows."""
        limit = WEIGHTS_AT_ONCE if self.spec.device.type == "cpu" else 16 * WEIGHTS_AT_ONCE
        size = max(1, limit // (self.spec.target.num_weights * len(self.spec.seeds)))
        for _, group in groupby(tasks, lambda task: id(self._theta_of(state, task))):
            alike = list(group)
            for block in (alike[start : start + size] for start in range(0, len(alike), size)):
                with torch.no_grad(), self._autocast():
                    weights = self.spec.hypernet(self._theta_of(state, block[0]), state["embeddings"][..., block, :])
                for task, network in zip(block, at_least_float32(weights).unbind(-2), strict=True):
                    buffers = state["buffers"][self._buffers_of(task)]
                    yield partial(self._predict, network, buffers, self.spec.heads[task])

    def network(self, state: State, task: int, embedding: Tensor | None = None) -> Network:
        """The weights and buffers that a task is predicted with; generated from its own embedding or another (dim,)."""
        embeddings = state["embeddings"][..., task : task + 1, :]
        if embedding is not None:
            embeddings = embedding.to(embeddings).expand(embeddings.shape)
        with torch.no_grad(), self._autocast():
            weights = self.spec.hypernet(self._theta_of(state, task), embeddings)
        return Network(at_least_float32(weights).squeeze(-2), state["buffers"][self._buffers_of(task)])

    def task_inferences(self, state: State, met: int) -> Iterator[TaskInference]:
        """One pass with the target's own weights: the largest output among those of all tasks seen so far; of a
        regression the outputs, which all tasks share."""
        if not self.own_weights:
            yield from super().task_inferences(state, met)
        with torch.no_grad():
            weights = self.spec.hypernet(state["theta"], state["embeddings"][..., :1, :]).squeeze(-2)
        known = slice(0, max(head.stop for head in self.spec.heads[:met]))
        predict = partial(self._predict, weights, state["buffers"]["0"], known)
        yield lambda inputs, _: Decision(predict(inputs)) if self.spec.shape.regression else _decided(predict(inputs))

    def _predict(self, weights: Tensor, buffers: Tensors, head: slice, inputs: Tensor) -> Tensor:
        with torch.no_grad(), self._autocast():
            outputs, _ = self._outputs(weights, buffers, inputs)
        return at_least_float32(outputs[..., head])

    def inference_state(self, state: State) -> State:
        return {key: value for key, value in state.items() if key not in self.training_only}

    def _adapts(self, task: int) -> Sequence[int]:
        """The tasks whose loss a step minimises, each with its own batch and embedding."""
        return self.trains_on(task)

    def _rows(self, task: int) -> slice:
        """The embeddings of a task; those before them are of earlier tasks."""
        return slice(task, task + 1)

    def _protected(self, state: State, context: TaskContext, grads: Tensors, info: StepInfo) -> Protection:
        """The task's gradient with respect to theta, plus the protection of earlier tasks: none here."""
        return Protection(grads)

    def _theta_of(self, state: State, task: int) -> Tensors:
        """Theta of the hypernetwork that generates a task's weights."""
        return state["theta"]

    def _buffers_of(self, task: int) -> str:
        """The key of a task's buffers in the state."""
        method = self.spec.experiment.method
        own = isinstance(method, OneNetwork) and method.task_buffers
        return str(task) if own or not self.own_weights else "0"

    def _trained_outputs(self, task: int, info: StepInfo) -> slice:
        """The outputs that a task's loss covers during this step."""
        shape = self.spec.shape
        if not self.own_weights or shape.scenario == "task":
            return shape.heads[task]
        return slice(0, shape.heads[info.task].stop if shape.scenario == "class" else shape.num_outputs)

    def _initial_theta(self, *purpose: int | str) -> Tensors:
        theta = self._of_each(lambda variant: self._hypernet_of(variant).init(_draw(variant, *purpose)))
        return {name: value.to(self.spec.device) for name, value in theta.items()}

    def _initial_embeddings(self, tasks: int, *purpose: int | str) -> Tensor:
        def draw(variant: Experiment) -> Tensors:
            return {"embeddings": self._hypernet_of(variant).init_embeddings(tasks, _draw(variant, *purpose))}

        return self._of_each(draw)["embeddings"]

    def _initial_buffers(self) -> Tensors:
        return self._of_each(lambda _: self.spec.target.initial_buffers())

    def _autocast(self) -> AbstractContextManager[Any]:
        return autocast(self.spec.training.precision, self.spec.device)

    def _hypernet_of(self, variant: Experiment) -> AnyHypernetwork:
        """The hypernetwork with a replica's initialisation."""
        hypernet, config = self.spec.hypernet, variant.hypernet
        if isinstance(hypernet, OwnWeights) or not isinstance(config, Hypernet):
            return hypernet
        return hypernet.initialized(config.embedding_scale, config.init)

    def _of_each(self, make: Callable[[Experiment], Tensors]) -> Tensors:
        """Tensors made for each replica, stacked if there are several."""
        parts = [make(variant) for variant in self.spec.variants]
        return {name: torch.stack([part[name] for part in parts]) for name in parts[0]} if self.bundled else parts[0]

    def _drawn(self, tasks: int, info: StepInfo) -> Tensors | None:
        """Noise and dropout masks of the hypernetwork at a step, drawn on the device."""
        hypernet, device = self.spec.hypernet, self.spec.device
        if not hypernet.random:
            return None

        def draw(at: StepInfo) -> Tensors:
            keys = ("hypernetwork", at.task, at.step)
            return self._of_each(lambda variant: hypernet.draw(tasks, _draw(variant, *keys, device=device)))

        return info.drawn(draw)

    def _task_gradients(
        self, state: State, context: TaskContext, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[Losses, Tensors, Tensor, dict[str, Tensors]]:
        """The mean of the losses of the tasks trained on, its gradients, and all buffers after the step.

        Returns:
            Losses by name; gradient with respect to theta; with respect to the tasks' embeddings (tasks, dim); buffers
            by task.
        """
        tasks, buffers = self._adapts(info.task), dict(state["buffers"])
        with self._autocast():
            embeddings = state["embeddings"][..., rows_of(tasks), :]
            generated, back = self.spec.hypernet.generate(state["theta"], embeddings, self._drawn(len(tasks), info))
        of_tasks = [weights.requires_grad_() for weights in at_least_float32(generated).detach().unbind(-2)]
        losses: list[Loss] = []
        for task, weights, batch in zip(tasks, of_tasks, batches, strict=True):
            key = self._buffers_of(task)
            losses.append(self._loss(task, Network(weights, buffers[key]), batch, context, info))
            buffers[key] = losses[-1].buffers
        minimized = _mean([loss.minimized for loss in losses])
        gradients = torch.autograd.grad(minimized, of_tasks, self.one.to(minimized.dtype))
        gradient = gradients[0].unsqueeze(-2) if len(gradients) == 1 else torch.stack(gradients, -2)
        logged = {name: _mean([loss.logged[name].detach() for loss in losses]) for name in losses[0].logged}
        return logged, *back(gradient), buffers

    def _loss(self, task: int, network: Network, batch: Batch, context: TaskContext, info: StepInfo) -> Loss:
        """A task's loss on a batch."""
        inputs, labels = batch
        outputs, buffers = self._trained_pass(task, network, inputs, info)
        loss = self._task_loss(task, outputs, labels, info)
        return Loss(loss, buffers, {"task": loss})

    def _trained_pass(self, task: int, network: Network, inputs: Tensor, info: StepInfo) -> tuple[Tensor, Tensors]:
        """All outputs (samples, num_outputs) for a step's inputs, and the network's buffers after the pass."""
        seeds = [derive(seed, "dropout", task, info.step) for seed in self.spec.seeds]
        with self._autocast():
            return self._outputs(network.weights, network.buffers, inputs, seeds)

    def _task_loss(self, task: int, outputs: Tensor, labels: Tensor, info: StepInfo) -> Tensor:
        """The loss of a task's samples from all outputs (samples, num_outputs)."""
        trained = self._trained_outputs(task, info)
        if self.spec.shape.steps:
            outputs, labels = outputs.flatten(-3, -2), labels.flatten(-2)
        if labels.is_floating_point():
            return squared_error(outputs[..., trained], labels)
        if shift := self.spec.heads[task].start - trained.start:
            labels = labels + shift
        return classification_loss(outputs[..., trained], labels, self.spec.training.label_smoothing)

    def _outputs(
        self, weights: Tensor, buffers: Tensors, inputs: Tensor, seeds: Sequence[int] | None = None
    ) -> tuple[Tensor, Tensors]:
        """The target's outputs, and its buffers after the pass; in training mode if there are `seeds`.

        Where steps have classes, the outputs are (samples, steps, num_outputs), of those steps.
        """
        target, training = self.spec.target, seeds is not None
        if self.bundled:
            outputs, after = target.bundle(weights, buffers, inputs, training, seeds)
        else:
            outputs, after = target(weights, buffers, inputs, training, seeds[0] if seeds else None)
        return self.spec.shape.labelled(outputs), after

    def _clipped(self, grads: Tensors) -> Tensors:
        return clip_norm(grads, self.spec.training.clip_norm, self.bundled)


@dataclass(frozen=True)
class _Moved:
    """Embeddings that a step changes."""

    optimizer: str
    """Its name in the state."""
    rows: slice | list[int]
    """Their tasks."""
    gradient: Tensor
    """(tasks, dim)."""


def _decided(logits: Tensor) -> Decision:
    return Decision(logits.argmax(-1), confidence=confidence_of(logits))


def _mean(losses: Sequence[Tensor]) -> Tensor:
    """Of one or more tasks."""
    return losses[0] if len(losses) == 1 else torch.stack(list(losses)).mean(0)


def _draw(variant: Experiment, *purpose: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    return generator(variant.training.seed, *purpose, device=device)


def at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
