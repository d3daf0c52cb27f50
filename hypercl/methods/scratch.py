"""A new network for each task: what a task reaches without its past."""

from hypercl.methods.learner import State, TaskData
from hypercl.methods.network_learner import NetworkLearner, Tensors


class ScratchLearner(NetworkLearner):
    """Adds to the state `learned`: theta of each task that is learned. Own weights, too, have buffers for each task."""

    def init(self) -> State:
        return {**super().init(), "learned": {}}

    def start_task(self, state: State, task: int) -> State:
        return super().start_task({**state, "theta": self._initial_theta("theta", task), "optimizer": {}}, task)

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        return {**state, "learned": {**state["learned"], str(task): state["theta"]}}

    def _theta_of(self, state: State, task: int) -> Tensors:
        return state["learned"].get(str(task), state["theta"])

    def _buffers_of(self, task: int) -> str:
        return str(task)
