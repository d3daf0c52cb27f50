"""A task-conditioned hypernetwork whose outputs for earlier embeddings are held fixed (von Oswald et al., 2020)."""

from collections.abc import Callable, Iterator
from functools import partial
from math import log
from typing import cast

import torch
from torch import Tensor

from hypercl.config.models import HnetEnt, HypernetMethod
from hypercl.hypernets import Hypernetwork
from hypercl.methods.learner import Decision, LearnerSpec, State, StepInfo, TaskContext, TaskData, TaskInference
from hypercl.methods.network_learner import NetworkLearner, Protection, Tensors
from hypercl.regularizers import (
    DirectAnchor,
    DirectForm,
    GramAnchor,
    GramForm,
    HeadMask,
    Point,
    Strength,
    cheaper_form,
    draw_subset,
)
from hypercl.seeds import generator

AnyAnchor = GramAnchor | DirectAnchor


class HnetLearner(NetworkLearner):
    """loss = L_task + beta * R, R the output regulariser at theta + dtheta.

    An embedding is trained on its own task alone, which does not feel R, and frozen afterwards; or, if the method is
    asked to, it is trained on R alone while later tasks are learned, by an optimiser of its own.
    Adds to the state `anchor`, theta and the earlier embeddings as they were before the task; the outputs made with
    them are context, not state.
    """

    def __init__(self, spec: LearnerSpec) -> None:
        super().__init__(spec)
        configs = [each.method for each in spec.variants if isinstance(each.method, HypernetMethod)]
        self.config = config = configs[0]
        self.betas = betas = [each.beta for each in configs]
        self.strength = torch.tensor(betas, device=spec.device) if len(set(betas)) > 1 else betas[0]
        heads = torch.tensor([[head.start, head.stop] for head in spec.heads], device=spec.device)
        masked = config.regularizer.mask_heads and len(heads.unique(dim=0)) > 1
        mask = HeadMask(spec.target.output_of().to(spec.device), heads) if masked else None
        hypernet = cast(Hypernetwork, spec.hypernet)
        self.direct = DirectForm(hypernet, mask, store=config.regularizer.tasks is None)
        self.gram = GramForm(hypernet, mask)

    def init(self) -> State:
        return {**super().init(), "anchor": {}}

    def start_task(self, state: State, task: int) -> State:
        state = {**super().start_task(state, task), "anchor": {}}
        if not self._protects(task):
            return state
        earlier = state["embeddings"][..., :task, :].clone()
        if self.config.train_earlier_embeddings:
            own = {"earlier": self.optimizer.init({"embeddings": earlier})}
            state = {**state, "optimizer": state["optimizer"] | own}
        theta = {name: value.clone() for name, value in state["theta"].items()}
        return {**state, "anchor": {"theta": theta, "embeddings": earlier}}

    def task_context(self, state: State, task: int) -> TaskContext:
        if not self._protects(task):
            return None
        form = self.gram if self._form(task) == "gram" else self.direct
        return form.anchor(**state["anchor"])

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        del task, data
        return {**state, "anchor": {}}

    def inference_state(self, state: State) -> State:
        return {key: value for key, value in super().inference_state(state).items() if key != "anchor"}

    def _protected(self, state: State, context: TaskContext, grads: Tensors, info: StepInfo) -> Protection:
        if context is None:
            return Protection(grads)
        theta, earlier, optimizer = state["theta"], None, state["optimizer"]
        if self.config.train_earlier_embeddings:
            earlier = state["embeddings"][..., : info.task, :]
        unfelt = None if earlier is None else torch.zeros_like(earlier)
        if self.config.lookahead:
            theta = self.optimizer.look_ahead(theta, self._clipped(grads), optimizer["theta"], info.lr)
        if self.config.lookahead and earlier is not None and unfelt is not None:
            own = {"embeddings": earlier}
            ahead = self.optimizer.look_ahead(own, {"embeddings": unfelt}, optimizer["earlier"], info.lr)
            earlier = ahead["embeddings"]
        gradient = grads if unfelt is None else {**grads, "embeddings": unfelt}
        value = self._add_gradient_(gradient, theta, earlier, context, info)
        return Protection(grads, {"regularizer": value}, unfelt)

    def _add_gradient_(
        self, gradient: Tensors, theta: Tensors, earlier: Tensor | None, context: AnyAnchor, info: StepInfo
    ) -> Tensor:
        """R, and beta times its gradient added to another.

        Replicas that compare other tasks or pairs than each other do so one by one.
        """
        chosen = [self._chosen(seed, context, info) for seed in self.spec.seeds]
        if not (self.bundled and chosen[0]):
            return self._compare(gradient, Point(theta, earlier), context, chosen[0], self.strength)
        values = []
        for replica, own in enumerate(chosen):
            point = Point(_of(replica, theta), None if earlier is None else earlier[replica])
            into, before = _of(replica, gradient), context.of_replica(replica)
            values.append(self._compare(into, point, before, own, self.betas[replica]))
        return torch.stack(values)

    def _compare(
        self, gradient: Tensors, point: Point, context: AnyAnchor, chosen: dict[str, Tensor], strength: Strength
    ) -> Tensor:
        theta, earlier = point.theta, point.embeddings
        if isinstance(context, GramAnchor):
            return self.gram.add_gradient_(gradient, theta, context, strength, embeddings=earlier, **chosen)
        return self.direct.add_gradient_(gradient, theta, context, strength, embeddings=earlier, **chosen)

    def _chosen(self, seed: int, context: AnyAnchor, info: StepInfo) -> dict[str, Tensor]:
        """What this step compares of all: some `tasks`, some `pairs`, or nothing, which is everything."""
        config, when = self.config.regularizer, (info.task, info.step)
        if isinstance(context, GramAnchor) and config.pairs is not None and config.pairs < context.num_pairs:
            draw = generator(seed, "regularized pairs", *when)
            return {"pairs": draw_subset(context.num_pairs, config.pairs, draw)}
        if config.tasks is not None and config.tasks < info.task:
            return {"tasks": draw_subset(info.task, config.tasks, generator(seed, "regularized tasks", *when))}
        return {}

    def _protects(self, task: int) -> bool:
        return task > 0 and max(self.betas) > 0

    def _form(self, task: int) -> str:
        """The form in which a task's steps compare; the same whenever it is asked."""
        config = self.config.regularizer
        if config.form != "auto":
            return config.form
        if config.pairs is not None and config.pairs < self.gram.num_pairs(task):
            return "gram"
        return cheaper_form(self.gram.sizes(min(task, config.tasks or task)))


def _of(replica: int, tensors: Tensors) -> Tensors:
    return {name: value[replica] for name, value in tensors.items()}


class HnetEntLearner(HnetLearner):
    """Trained as `hnet`; where the task is not given, every task's network predicts, one pass over the samples each."""

    def task_inferences(self, state: State, met: int) -> Iterator[TaskInference]:
        temperature = cast(HnetEnt, self.config).temperature
        for task, predict in enumerate(self.predictors(state, range(met))):
            yield partial(_surer, predict, task, self.spec.heads[task].start, temperature)


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
    entropy, outputs = relative_entropy(logits / temperature), logits.argmax(-1) + first_output
    if before is None or before.tasks is None or before.entropy is None:
        return Decision(outputs, torch.full_like(outputs, task), entropy)
    surer = entropy < before.entropy
    return Decision(
        torch.where(surer, outputs, before.outputs),
        torch.where(surer, task, before.tasks),
        torch.where(surer, entropy, before.entropy),
    )


def relative_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax over the last axis, as a share of the largest there can be, log K.

    Computed from log-probabilities, which are finite where probabilities have become 0.

    Args:
        logits: (..., K), K at least 2.
    """
    logarithms = logits.log_softmax(-1)
    return -(logarithms.exp() * logarithms).sum(-1) / log(logits.shape[-1])
