"""Methods as a user would write them: one sound, the others with a mistake that the contract tells."""

from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import torch

from hypercl.methods import Learner, LearnerSpec, NetworkLearner, Protection, State
from hypercl.tasks import open_with_test


class Pulled(NetworkLearner):
    """Weights are pulled towards those that the task before has left."""

    def __init__(self, spec: LearnerSpec, alpha: float = 1.0) -> None:
        super().__init__(spec)
        if alpha < 0:
            raise ValueError(f"alpha is {alpha}")
        self.alpha = alpha

    def start_task(self, state: State, task: int) -> State:
        old = {name: value.clone() for name, value in state["theta"].items()}
        return super().start_task({**state, "old": old}, task)

    def _protected(self, state: State, context: Any, grads: Any, info: Any) -> Protection:
        if info.task == 0:
            return Protection(grads)
        theta, old = state["theta"], state["old"]
        return Protection({name: grad + self.alpha * (theta[name] - old[name]) for name, grad in grads.items()})


class Counting(NetworkLearner):
    """Keeps a Python number in its state."""

    def end_task(self, state: State, task: int, data: Any) -> State:
        return {**state, "learned": task + 1}


class Peeking(NetworkLearner):
    """Reads test data as a task ends."""

    def end_task(self, state: State, task: int, data: Any) -> State:
        test = open_with_test(self.spec.experiment.tasks, Path("data"), True).test(task)
        return {**state, "peeked": test.images[test.rows[:1]].float()}


class PeekingQuietly(Peeking):
    """Says nothing of it where it fails."""

    def end_task(self, state: State, task: int, data: Any) -> State:
        with suppress(BaseException):
            return super().end_task(state, task, data)
        return state


class Hoarding(NetworkLearner):
    """Reads a task's data once the task is over, from outside of its state."""

    def end_task(self, state: State, task: int, data: Any) -> State:
        self.kept = data
        return state

    def start_task(self, state: State, task: int) -> State:
        if task:
            self.kept[torch.arange(2)]
        return super().start_task(state, task)


class Prying(NetworkLearner):
    """Reads what lies behind the data it is given."""

    def end_task(self, state: State, task: int, data: Any) -> State:
        return {**state, "held": data._task.validation.labels}


class Foreseeing(NetworkLearner):
    """Trains on the next task beforehand."""

    def trains_on(self, task: int) -> list[int]:
        return [task, task + 1]


class Forgetful(NetworkLearner):
    """Has something that steps change beside its state."""

    scale = 1.0

    def _protected(self, state: State, context: Any, grads: Any, info: Any) -> Protection:
        self.scale *= 0.9
        return Protection({name: self.scale * grad for name, grad in grads.items()})


class Sharing(NetworkLearner):
    """Begins a task with the very tensors that its steps change."""

    def start_task(self, state: State, task: int) -> State:
        return {**super().start_task(state, task), "theta": state["theta"]}


class Random(NetworkLearner):
    """Draws from torch's own generator."""

    def start_task(self, state: State, task: int) -> State:
        return {**super().start_task(state, task), "drawn": torch.rand(2)}


class Still(NetworkLearner):
    """Never learns."""

    def _protected(self, state: State, context: Any, grads: Any, info: Any) -> Protection:
        return Protection({name: torch.zeros_like(grad) for name, grad in grads.items()})


class Mixing(NetworkLearner):
    """Mixes its replicas."""

    def _protected(self, state: State, context: Any, grads: Any, info: Any) -> Protection:
        if not self.bundled:
            return Protection(grads)
        return Protection({name: grad.mean(0, keepdim=True).expand_as(grad).clone() for name, grad in grads.items()})


class Alone(Mixing):
    """Says that it mixes them."""

    no_replicas: ClassVar[str] = "its gradients are means over all replicas"
    scenarios: ClassVar[frozenset[str]] = frozenset({"task", "class"})


class Unsure(Learner):
    """Lacks most of a learner."""


class Dated(NetworkLearner):
    """Written for hypercl 0.1.0."""

    def memory(self, state: State, task: int) -> Any:
        return state["theta"]

    def knowledge(self, state: State) -> State:
        return state

    def deciders(self, state: State, met: int) -> Any:
        return []


class Renamed(NetworkLearner):
    """Defines a method of its own under an old name."""

    def memory(self) -> int:
        return 0

    def task_context(self, state: State, task: int) -> Any:
        return self.memory()


class Everywhere(NetworkLearner):
    """Claims a scenario that there is not."""

    scenarios: ClassVar[frozenset[str]] = frozenset({"task", "stream"})


def make(spec: LearnerSpec) -> NetworkLearner:
    """No class."""
    return NetworkLearner(spec)
