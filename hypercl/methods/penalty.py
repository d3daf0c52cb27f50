"""A network whose own weights are held by a quadratic penalty."""

from dataclasses import fields

import torch
from torch import Tensor

from hypercl.config.models.method import SI, Ewc, OnlineEwc
from hypercl.methods.learner import Memory, Moment, State
from hypercl.methods.learner_spec import Parts
from hypercl.methods.network_learner import NetworkLearner, Protection, Tensors
from hypercl.regularizers import Quadratic


class PenaltyLearner(NetworkLearner):
    """loss = L_task + strength * Q(w), Q a quadratic of the weights.

    Adds to the state `held`, that quadratic; its size does not grow with the tasks.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.configs = [each.method for each in parts.variants if isinstance(each.method, Ewc | OnlineEwc | SI)]
        strengths = [config.strength for config in self.configs]
        self.protects = max(strengths) > 0
        """Whether any replica is held at all."""
        self.remembers = self.protects or any(parts.experiment.by_task.get("method.strength", ()))
        """Whether what a task is to be held by is measured: a later task of `by_task` may be held where this is not."""
        self.strength = strengths[0]
        if len(set(strengths)) > 1:
            self.strength = torch.tensor(strengths, device=parts.device).unsqueeze(-1)

    def init(self) -> State:
        state = super().init()
        weights = state["theta"]["weights"]
        return {**state, "held": held(Quadratic.around(weights, torch.zeros_like(weights)))}

    def memory(self, state: State, task: int) -> Memory:
        return Quadratic(**state["held"]) if task and self.protects else None

    def knowledge(self, state: State) -> State:
        return {key: value for key, value in super().knowledge(state).items() if key != "held"}

    def _protected(self, state: State, memory: Memory, grads: Tensors, now: Moment) -> Protection:
        del now
        if memory is None:
            return Protection(grads)
        value = memory.pull_(grads["weights"], state["theta"]["weights"], self.strength)
        return Protection(grads, {"regularizer": value})


def held(quadratic: Quadratic) -> dict[str, Tensor]:
    """As the state has it."""
    return {each.name: getattr(quadratic, each.name) for each in fields(quadratic)}
