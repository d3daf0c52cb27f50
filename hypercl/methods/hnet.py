"""Task-conditioned hypernetworks with the output regulariser (von Oswald et al., 2020)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import log
from typing import Any, cast

import torch
from torch import Tensor

from hypercl.config.models import HnetEnt, HypernetMethod
from hypercl.hypernets import CompositeHypernetwork, Hypernetwork
from hypercl.methods.learner import (
    Decision,
    LearnerSpec,
    State,
    StepInfo,
    TaskContext,
    TaskData,
    TaskInference,
    confidence_of,
)
from hypercl.methods.network_learner import NetworkLearner, Protection
from hypercl.methods.regularizer import AnyAnchor, build_regularizer
from hypercl.regularizers import GramAnchor, HeadMask, Point, Strength, draw_subset
from hypercl.seeds import generator
from hypercl.tensors import Tensors, copied

AnyGenerating = Hypernetwork | CompositeHypernetwork


class HnetLearner(NetworkLearner):
    """loss = L_task + beta * R, R the output regulariser at theta + dtheta.

    An embedding is trained on its own task's loss, which does not depend on R, then frozen; or, with
    `train_earlier_embeddings`, it is trained on R alone during later tasks, by a separate optimiser.
    Adds to the state `anchor`, theta and the earlier embeddings before the task; the outputs they generate belong to
    the task's context.
    """

    training_only = (*NetworkLearner.training_only, "anchor")

    def __init__(self, spec: LearnerSpec) -> None:
        super().__init__(spec)
        configs = [variant.method for variant in spec.variants if isinstance(variant.method, HypernetMethod)]
        self.config = config = configs[0]
        self.betas = betas = [config.beta for config in configs]
        self.strength = torch.tensor(betas, device=spec.device) if len(set(betas)) > 1 else betas[0]
        heads = torch.tensor([[head.start, head.stop] for head in spec.heads], device=spec.device)
        masked = config.regularizer.mask_heads and len(heads.unique(dim=0)) > 1
        mask = HeadMask(spec.target.output_of().to(spec.device), heads) if masked else None
        self.regularizer = build_regularizer(cast(AnyGenerating, spec.hypernet), mask, config.regularizer)

    def init(self) -> State:
        return {**super().init(), "anchor": {}}

    def start_task(self, state: State, task: int) -> State:
        state = {**super().start_task(state, task), "anchor": {}}
        if not self._protects(task):
            return state
        earlier = state["embeddings"][..., :task, :].clone()
        if self.config.train_earlier_embeddings:
            optimizer = {"earlier": self.optimizer.init({"embeddings": earlier})}
            state = {**state, "optimizer": state["optimizer"] | optimizer}
        return {**state, "anchor": {"theta": copied(state["theta"]), "embeddings": earlier}}

    def task_context(self, state: State, task: int) -> TaskContext:
        if not self._protects(task):
            return None
        return self.regularizer.anchor(**state["anchor"])

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        return {**state, "anchor": {}}

    def _protected(self, state: State, context: TaskContext, grads: Tensors, info: StepInfo) -> Protection:
        if context is None:
            return Protection(grads)
        theta, optimizer, of_earlier, gradient = state["theta"], state["optimizer"], None, grads
        point = Point(theta, None)
        if self.config.lookahead:
            point = Point(self.optimizer.look_ahead(theta, self._clipped(grads), optimizer["theta"], info.lr), None)
        if self.config.train_earlier_embeddings:
            earlier = {"embeddings": state["embeddings"][..., : info.task, :]}
            of_earlier = torch.zeros_like(earlier["embeddings"])
            gradient = {**grads, "embeddings": of_earlier}
            if self.config.lookahead:
                zero = {"embeddings": of_earlier}
                earlier = self.optimizer.look_ahead(earlier, zero, optimizer["earlier"], info.lr)
            point = replace(point, embeddings=earlier["embeddings"])
        return Protection(grads, {"regularizer": self._add_gradient_(gradient, point, context, info)}, of_earlier)

    def _add_gradient_(self, gradient: Tensors, point: Point, anchor: AnyAnchor, info: StepInfo) -> Tensor:
        """R; adds beta times its gradient to `gradient`.

        Replicas that draw different tasks or pairs are compared one by one.
        """
        subsets = [self._subset(seed, anchor, info) for seed in self.spec.seeds]
        if not (self.bundled and subsets[0]):
            return self._compare(gradient, point, anchor, subsets[0], self.strength)
        values: list[Tensor] = []
        for replica, subset in enumerate(subsets):
            embeddings = None if point.embeddings is None else point.embeddings[replica]
            replica_point = Point(_of_replica(replica, point.theta), embeddings)
            into, before = _of_replica(replica, gradient), anchor.of_replica(replica)
            values.append(self._compare(into, replica_point, before, subset, self.betas[replica]))
        return torch.stack(values)

    def _compare(
        self, gradient: Tensors, point: Point, anchor: AnyAnchor, subset: dict[str, Tensor], strength: Strength
    ) -> Tensor:
        form: Any = self.regularizer
        return form.add_gradient_(gradient, point.theta, anchor, strength, embeddings=point.embeddings, **subset)

    def _subset(self, seed: int, anchor: AnyAnchor, info: StepInfo) -> dict[str, Tensor]:
        """The subset that this step compares: some `tasks`, some `pairs`, or {} for all."""
        config, keys = self.config.regularizer, (info.task, info.step)
        if isinstance(anchor, GramAnchor) and config.pairs is not None and config.pairs < anchor.num_pairs:
            return {"pairs": draw_subset(anchor.num_pairs, config.pairs, generator(seed, "regularized pairs", *keys))}
        if config.tasks is not None and config.tasks < info.task:
            return {"tasks": draw_subset(info.task, config.tasks, generator(seed, "regularized tasks", *keys))}
        return {}

    def _protects(self, task: int) -> bool:
        return task > 0 and max(self.betas) > 0


def _of_replica(replica: int, tensors: Tensors) -> Tensors:
    return {name: value[replica] for name, value in tensors.items()}


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
