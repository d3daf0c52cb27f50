"""Quadratic penalties on a network's own weights: EWC, online EWC and SI."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import cast

import torch
from torch import Tensor

from hypercl.config.models import SI, Ewc, OnlineEwc
from hypercl.methods.fisher import FisherInformation, Learned, of_replicas
from hypercl.methods.learner import Batch, LearnerSpec, Losses, State, StepInfo, TaskContext, TaskData
from hypercl.methods.network_learner import Network, NetworkLearner, Protection
from hypercl.regularizers import Quadratic
from hypercl.tensors import Tensors


class PenaltyLearner(NetworkLearner):
    """loss = L_task + strength * Q(w), Q a quadratic of the weights.

    Adds to the state `held`, that quadratic; its size does not grow with the number of tasks.
    """

    training_only = (*NetworkLearner.training_only, "held")

    def __init__(self, spec: LearnerSpec) -> None:
        super().__init__(spec)
        self.configs = [config.method for config in spec.variants if isinstance(config.method, Ewc | OnlineEwc | SI)]
        strengths = [config.strength for config in self.configs]
        self.protects = max(strengths) > 0
        """Whether any replica has a penalty."""
        self.remembers = self.protects or any(spec.experiment.by_task.get("method.strength", ()))
        """Whether importance is measured after a task: with `by_task`, only a later task may have a penalty."""
        self.strength = strengths[0]
        if len(set(strengths)) > 1:
            self.strength = torch.tensor(strengths, device=spec.device).unsqueeze(-1)

    def init(self) -> State:
        state = super().init()
        weights = state["theta"]["weights"]
        return {**state, "held": held(Quadratic.around(weights, torch.zeros_like(weights)))}

    def task_context(self, state: State, task: int) -> TaskContext:
        return Quadratic(**state["held"]) if task and self.protects else None

    def _protected(self, state: State, context: TaskContext, grads: Tensors, info: StepInfo) -> Protection:
        if context is None:
            return Protection(grads)
        value = context.add_gradient_(grads["weights"], state["theta"]["weights"], self.strength)
        return Protection(grads, {"regularizer": value})


def held(quadratic: Quadratic) -> dict[str, Tensor]:
    """The quadratic as stored in the state."""
    return {field.name: getattr(quadratic, field.name) for field in fields(quadratic)}


@dataclass
class _Path:
    """Buffers for the path integral, overwritten at each step."""

    penalty: Quadratic | None
    gradient: Tensor
    """Of the task's loss alone."""
    before: Tensor
    """The weights before the step."""


class SILearner(PenaltyLearner):
    """loss = L_task + strength * sum_i O_i (w_i - w*_i)^2, w* the weights after the last task (Zenke et al., 2017).

    Along a task's steps, omega = -sum g * (change of w) with g the gradient of L_task alone, before clipping: each
    weight's contribution to lowering the loss. After the task, O grows by omega / (d^2 + damping), d the weight's
    change in the task, and is clamped at 0: a negative O would drive its weight away from w* without bound. In short
    runs no O was negative at the published strength of 50; at 10,000 and more some were, and accuracy collapsed
    (split digits at 100,000: 75 % against 98 % with the clamp).

    Adds to the state `path`, omega of the task being learned; of its `held`, the precision is 2 O. The path is part of
    the inference state: restoring a task's best weights restores the path that led to them.
    """

    def init(self) -> State:
        state = super().init()
        return {**state, "path": torch.zeros_like(state["theta"]["weights"])}

    def start_task(self, state: State, task: int) -> State:
        state = super().start_task(state, task)
        return {**state, "path": torch.zeros_like(state["theta"]["weights"])}

    def task_context(self, state: State, task: int) -> TaskContext:
        weights = state["theta"]["weights"]
        if not self.remembers:
            return None
        return _Path(super().task_context(state, task), torch.empty_like(weights), torch.empty_like(weights))

    def step(
        self, state: State, context: TaskContext, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[State, Losses]:
        state, losses = super().step(state, context, batches, info)
        if context is not None:
            state["path"].addcmul_(context.gradient, context.before.sub_(state["theta"]["weights"]))
        return state, losses

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        if not self.remembers:
            return state
        weights, before = state["theta"]["weights"], Quadratic(**state["held"])
        gained = state["path"] / ((weights - before.centre).square() + cast(SI, self.configs[0]).damping)
        precision = (before.precision + 2 * gained).clamp_(min=0)
        return {**state, "held": held(Quadratic.around(weights, precision))}

    def _protected(self, state: State, context: TaskContext, grads: Tensors, info: StepInfo) -> Protection:
        if context is None:
            return Protection(grads)
        context.gradient.copy_(grads["weights"])
        context.before.copy_(state["theta"]["weights"])
        return super()._protected(state, context.penalty, grads, info)


class EwcLearner(PenaltyLearner):
    """loss = L_task + strength * 1/2 sum_t sum_i F_ti (w_i - w_ti)^2 over earlier tasks t (Kirkpatrick et al., 2017).

    F_t is the diagonal Fisher information on task t's training data at w_t, the weights after it.
    Raises a UserError if the target cannot process a single sample.
    """

    def __init__(self, spec: LearnerSpec) -> None:
        super().__init__(spec)
        self.config = cast(Ewc | OnlineEwc, self.configs[0])
        self.fisher = FisherInformation(spec, self.config.fisher_labels, self.config.fisher_samples)

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        if not self.remembers:
            return state
        weights, buffers = state["theta"]["weights"], state["buffers"][self._buffers_of(task)]
        networks = of_replicas(Network(weights, buffers), len(self.spec.seeds))
        learned = [Learned(network.weights, None, network.buffers) for network in networks]
        fisher = self.fisher.of(learned, task, self._trained_outputs(task, StepInfo(task, 0, 0.0)), data)
        return {**state, "held": held(self._joined(Quadratic(**state["held"]), fisher, weights))}

    def _joined(self, before: Quadratic, fisher: Tensor, weights: Tensor) -> Quadratic:
        """The penalty after one more task."""
        return before.plus(fisher, weights)


class OnlineEwcLearner(EwcLearner):
    """loss = L_task + strength * 1/2 sum_i decay F_i (w_i - w*_i)^2, w* the weights after the last task.

    F is decay times its previous value plus the task's own, once a task, and decay times F is held (Schwarz et al.,
    2018; also the code of van de Ven and Tolias, 2019). The code of von Oswald et al. (2020) multiplies F by decay at
    each step instead.
    """

    def _joined(self, before: Quadratic, fisher: Tensor, weights: Tensor) -> Quadratic:
        decay = cast(OnlineEwc, self.config).decay
        return Quadratic.around(weights, decay * (before.precision + fisher))
