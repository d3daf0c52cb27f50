"""Task-conditioned hypernetworks with the output regulariser (von Oswald et al., 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from hypercl.config.models import HypernetMethod
from hypercl.methods.fisher import FisherInformation, Learned, of_replicas
from hypercl.methods.learner import Batch, LearnerSpec, Losses, State, StepInfo, TaskContext, TaskData
from hypercl.methods.network_learner import Network, NetworkLearner, Protection, at_least_float32
from hypercl.methods.penalty import held
from hypercl.methods.proximal import ProximalSteps
from hypercl.methods.regularizer import (
    AnyAnchor,
    AnyGenerating,
    CompositeAnchor,
    Step,
    add_gradient_,
    build_regularizer,
    of_replica,
)
from hypercl.methods.theta import ThetaForm
from hypercl.regularizers import GramAnchor, HeadMask, Point, Quadratic, StepForm, draw_subset, speed_of, step_back
from hypercl.seeds import generator
from hypercl.tensors import Tensors, copied, on_device


class HnetLearner(NetworkLearner):
    """loss = L_task + beta * R, R the output regulariser at theta + dtheta.

    An embedding is trained on its own task's loss, which does not depend on R, then frozen; or, with
    `train_earlier_embeddings`, it is trained on R alone during later tasks, by a separate optimiser.
    Adds to the state `anchor`, theta and the earlier embeddings before the task; the outputs they generate belong to
    the task's context. With importance fisher also `fisher`, the Fisher information of the weights of each task,
    (tasks, num_weights); with kind ewc `held`, the quadratic that holds theta.
    """

    training_only = (*NetworkLearner.training_only, "anchor", "fisher", "held")

    def __init__(self, spec: LearnerSpec) -> None:
        super().__init__(spec)
        configs = [variant.method for variant in spec.variants if isinstance(variant.method, HypernetMethod)]
        self.config = config = configs[0]
        self.betas = betas = [config.beta for config in configs]
        self.strength = torch.tensor(betas, device=spec.device) if len(set(betas)) > 1 else betas[0]
        heads = torch.tensor([[head.start, head.stop] for head in spec.heads], device=spec.device)
        masked = config.regularizer.mask_heads and len(heads.unique(dim=0)) > 1
        mask = HeadMask(spec.target.output_of().to(spec.device), heads) if masked else None
        self.regularizer = build_regularizer(
            cast(AnyGenerating, spec.hypernet), mask, config.regularizer, recorded=spec.training.capture == "auto"
        )
        speed_of(spec.device)  # measured here: memory is measured in a step
        self.proximal: ProximalSteps | None = None
        if config.proximal is not None:
            self.proximal = ProximalSteps(config.proximal, self.optimizer, self.bundled)
        self.remembers = max([*betas, *spec.experiment.by_task.get("method.beta", ())]) > 0
        """Whether importance is measured after a task: with `by_task`, only a later task may be protected."""
        self.fisher: FisherInformation | None = None
        if self.remembers and config.regularizer.reads_fisher:
            section = config.regularizer
            self.fisher = FisherInformation(spec, section.fisher_labels, section.fisher_samples)

    def init(self) -> State:
        state = {**super().init(), "anchor": {}}
        if self.fisher is None:
            return state
        if isinstance(self.regularizer, ThetaForm):
            theta = self.regularizer.theta.flat(state["theta"])
            return {**state, "held": held(Quadratic.around(theta, torch.zeros_like(theta)))}
        return {
            **state,
            "fisher": state["embeddings"].new_zeros(
                *self._replicas, len(self.spec.heads), self.spec.target.num_weights
            ),
        }

    def start_task(self, state: State, task: int) -> State:
        state = {**super().start_task(state, task), "anchor": {}}
        if self.proximal is not None and self._protects(task):
            state["optimizer"]["change"] = self.optimizer.init(state["theta"])
        if not self._protects(task) or isinstance(self.regularizer, ThetaForm):
            return state
        earlier = state["embeddings"][..., : self._rows(task).start, :].clone()
        if self.config.train_earlier_embeddings:
            state["optimizer"]["earlier"] = self.optimizer.init({"embeddings": earlier})
        return {**state, "anchor": {"theta": copied(state["theta"]), "embeddings": earlier}}

    def task_context(self, state: State, task: int) -> TaskContext:
        if not self._protects(task):
            return None
        if isinstance(self.regularizer, ThetaForm):
            return Quadratic(**state["held"])
        return self.regularizer.anchor(**state["anchor"], importance=self._importance(state, task))

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        state = {**state, "anchor": {}}
        if self.fisher is None:
            return state
        outputs, factors = self._trained_outputs(task, StepInfo(task, 0, 0.0)), self.config.regularizer.task_factors
        networks = of_replicas(self.network(state, task), len(self.spec.seeds))
        if isinstance(self.regularizer, ThetaForm):
            theta = self.regularizer.theta.flat(state["theta"])
            learned = self.regularizer.learned(self.spec.hypernet, theta, state["embeddings"][..., task, :], networks)
            fisher = self.fisher.of(learned, task, outputs, data) * (factors[task] if factors else 1)
            return {**state, "held": held(Quadratic(**state["held"]).plus(fisher, theta))}
        learned = [Learned(network.weights, None, network.buffers) for network in networks]
        fisher, row = state["fisher"], self.fisher.of(learned, task, outputs, data).unsqueeze(-2)
        return {**state, "fisher": torch.cat([fisher[..., :task, :], row, fisher[..., task + 1 :, :]], -2)}

    def _importance(self, state: State, task: int) -> Tensor | None:
        """Of the weights of the earlier tasks: (tasks, num_weights), or (tasks, 1); None where all are 1."""
        section = self.config.regularizer
        importance = state["fisher"][..., :task, :] if section.importance == "fisher" else None
        if not section.task_factors:
            return importance
        factors = state["embeddings"].new_tensor(section.task_factors[:task]).unsqueeze(-1)
        factors = factors.expand(*self._replicas, -1, -1)
        return factors if importance is None else importance * factors

    @property
    def _replicas(self) -> tuple[int, ...]:
        """The leading axes of the state's tensors."""
        return (len(self.spec.seeds),) if self.bundled else ()

    def step(
        self, state: State, context: TaskContext, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[State, Losses]:
        if context is not None and self.proximal is not None:
            return self._proximal_step(self.proximal, state, context, batches, info)
        if context is not None and self.config.backpropagate_lookahead:
            context = _WithBatches(context, batches)
        return super().step(state, context, batches, info)

    def _proximal_step(
        self, proximal: ProximalSteps, state: State, anchor: AnyAnchor, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[State, Losses]:
        """A step of theta by several; then one of the embedding, by the loss on the same batch where theta is then."""
        theta, optimizer, logged = state["theta"], state["optimizer"], Losses()
        embedding = slice(info.task, info.task + 1)

        def gradient(ahead: Tensors) -> Tensors:
            _, grads, _, _ = self._task_gradients({**state, "theta": ahead}, anchor, batches, info)
            step = Step(Point(theta, None), Point(ahead, None))
            if not isinstance(self.regularizer, StepForm):
                logged["regularizer"] = self._add_gradient_(grads, step, anchor, info)
                return grads
            aside = {name: torch.zeros_like(value) for name, value in grads.items()}  # theta itself is constant here
            logged["regularizer"] = self._add_gradient_(aside, replace(step, gradient=grads), anchor, info)
            return grads

        change = proximal.change(theta, optimizer["change"], info.lr, gradient, self._clipped)
        for name, value in theta.items():
            value += change[name]
        losses, _, of_embedding, buffers = self._task_gradients(state, anchor, batches, info)
        row = {"embeddings": state["embeddings"][..., embedding, :].contiguous()}
        self.optimizer.step_(row, self._clipped({"embeddings": of_embedding}), optimizer["embeddings"], info.lr)
        state["embeddings"][..., embedding, :] = row["embeddings"]
        return {**state, "buffers": buffers}, losses | logged

    def _protected(self, state: State, context: TaskContext, grads: Tensors, info: StepInfo) -> Protection:
        if context is None:
            return Protection(grads)
        anchor = context.anchor if isinstance(context, _WithBatches) else context
        theta, optimizer, of_earlier, gradient = state["theta"], state["optimizer"], None, dict(grads)
        step = Step(Point(theta, None), Point(theta, None))
        if self.config.lookahead and not isinstance(self.regularizer, ThetaForm):
            ahead = self.optimizer.look_ahead(theta, self._clipped(grads), optimizer["theta"], info.lr)
            step = Step(step.origin, Point(ahead, None))
        if self.config.train_earlier_embeddings:
            earlier = {"embeddings": state["embeddings"][..., : info.task, :]}
            of_earlier = gradient["embeddings"] = torch.zeros_like(earlier["embeddings"])
            ahead = earlier
            if self.config.lookahead:
                zero = {"embeddings": of_earlier}
                ahead = self.optimizer.look_ahead(earlier, zero, optimizer["earlier"], info.lr)
            origin, point = (replace(old, **new) for old, new in ((step.origin, earlier), (step.ahead, ahead)))
            step = Step(origin, point)
        if not isinstance(context, _WithBatches):
            return Protection(grads, {"regularizer": self._add_gradient_(gradient, step, anchor, info)}, of_earlier)
        of_task = {name: value.clone() for name, value in grads.items()}
        of_step = {name: torch.zeros_like(value) for name, value in theta.items()}
        value = self._add_gradient_(gradient, replace(step, gradient=of_step), anchor, info)
        self._add_through_step_(grads, state, of_step, of_task, context.batches, info)
        return Protection(grads, {"regularizer": value}, of_earlier)

    def _add_gradient_(self, gradient: Tensors, step: "Step", anchor: AnyAnchor, info: StepInfo) -> Tensor:
        """R; adds beta times its gradient to `gradient`.

        Replicas that draw different tasks or pairs are compared one by one.
        """
        subsets = [self._subset(seed, anchor, info) for seed in self.spec.seeds]
        if not (self.bundled and subsets[0]) or isinstance(anchor, Quadratic):
            return add_gradient_(self.regularizer, gradient, step, anchor, self.strength, **subsets[0])
        values: list[Tensor] = []
        for replica, subset in enumerate(subsets):
            into, own, before = of_replica(replica, gradient), step.of_replica(replica), anchor.of_replica(replica)
            values.append(add_gradient_(self.regularizer, into, own, before, self.betas[replica], **subset))
        return torch.stack(values)

    def _add_through_step_(
        self,
        gradient: Tensors,
        state: State,
        of_step: Tensors,
        of_task: Tensors,
        batches: Sequence[Batch],
        info: StepInfo,
    ) -> None:
        """Adds to `gradient` that of the look-ahead step, which the task's gradient depends on theta by.

        Args:
            gradient: of theta.
            state: before the step.
            of_step: the gradient with respect to the look-ahead step.
            of_task: the task's gradient, before clipping.
            batches: of the step.
            info: of the step.
        """
        leaves = {name: value.requires_grad_() for name, value in of_task.items()}
        with torch.enable_grad():
            clipped = self._clipped(leaves)
        stepped = {name: value.detach() for name, value in clipped.items()}
        moments = state["optimizer"]["theta"]
        config = self.spec.training.optimizer
        of_theta, of_grads = step_back(config, of_step, state["theta"], stepped, moments, info.lr)
        direction = of_grads
        if self.spec.training.clip_norm is not None:
            found = torch.autograd.grad(list(clipped.values()), list(leaves.values()), list(of_grads.values()))
            direction = dict(zip(leaves, found, strict=True))
        curved = self._curvature(state, batches, info, direction)
        for name, value in gradient.items():
            value += of_theta[name] + curved[name]

    def _curvature(self, state: State, batches: Sequence[Batch], info: StepInfo, direction: Tensors) -> Tensors:
        """The Hessian of a step's task loss with respect to theta, times a direction; by name."""
        (batch,), hypernet = batches, self.spec.hypernet
        theta = {name: value.detach().requires_grad_() for name, value in state["theta"].items()}
        with torch.enable_grad():
            with self._autocast():
                embeddings = state["embeddings"][..., info.task : info.task + 1, :]
                weights = hypernet(theta, embeddings, self._drawn(1, info))
            network = Network(at_least_float32(weights).squeeze(-2), state["buffers"][self._buffers_of(info.task)])
            loss = self._loss(info.task, network, batch, None, info).minimized
            leaves = list(theta.values())
            one = self.one.to(loss.dtype)
            grads = torch.autograd.grad(loss, leaves, one, create_graph=True, materialize_grads=True)
        along = [direction[name] for name in theta]
        return dict(zip(theta, torch.autograd.grad(grads, leaves, along, materialize_grads=True), strict=True))

    def _subset(self, seed: int, anchor: AnyAnchor, info: StepInfo) -> dict[str, Tensor]:
        """The subset that this step compares: some `tasks`, some `pairs`, or {} for all."""
        config, keys = self.config.regularizer, (info.task, info.step)
        if isinstance(anchor, GramAnchor) and config.pairs is not None and config.pairs < anchor.num_pairs:
            return {"pairs": draw_subset(anchor.num_pairs, config.pairs, generator(seed, "regularized pairs", *keys))}
        if (size := config.tasks) is None or size >= info.task:
            return {}

        def draw(at: StepInfo) -> Tensor:
            return draw_subset(at.task, size, generator(seed, "regularized tasks", at.task, at.step))

        if _on_host(anchor):
            return {"tasks": draw(info)}
        return {"tasks": info.drawn(lambda at: on_device(draw(at), self.spec.device))}

    def not_recordable(self, context: TaskContext, task: int) -> str:
        config = self.config.regularizer
        if context is not None and _on_host(context):
            if config.pairs is not None:
                return "method.regularizer.pairs: pairs are chosen on the host, in blocks of changing size"
            if config.tasks is not None and config.tasks < task:
                return "method.regularizer.tasks: what the Gram form compares of some tasks is chosen on the host"
        return super().not_recordable(context, task)

    def _protects(self, task: int) -> bool:
        return task > 0 and max(self.betas) > 0


def _on_host(anchor: AnyAnchor) -> bool:
    """Whether a subset that a step compares decides on the host which pairs there are."""
    parts = anchor.parts if isinstance(anchor, CompositeAnchor) else [anchor]
    return any(isinstance(part, GramAnchor) for part in parts)


@dataclass(frozen=True)
class _WithBatches:
    """An anchor, and the batches of a step."""

    anchor: AnyAnchor
    batches: Sequence[Batch]
