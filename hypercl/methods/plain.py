"""Methods that add nothing but the choice of data, and networks with weights of their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hypercl.hypernets import OwnWeights
from hypercl.methods.learner import Batch, State, StepInfo, TaskData
from hypercl.methods.network_learner import NetworkLearner
from hypercl.methods.replay import Replayed, ReplayLearner
from hypercl.targets import AnyTarget, GeneratedModel, build_target, draw_weights
from hypercl.tensors import Tensors


def own_weights(
    config: AnyTarget, input_shape: tuple[int, ...], num_outputs: int, num_weights: int, import_paths: Sequence[Path]
) -> OwnWeights:
    """The replacement of a hypernetwork for a target with its own weights, initialised as its module does."""

    def draw(seed: int) -> Tensor:
        return draw_weights(config, input_shape, num_outputs, seed, import_paths)

    return OwnWeights(num_weights, draw)


def plain_network(
    config: AnyTarget,
    input_shape: tuple[int, ...],
    num_outputs: int,
    device: torch.device,
    import_paths: Sequence[Path] = (),
) -> tuple[GeneratedModel, OwnWeights]:
    """A network on a device, and the seam that draws its weights; raises as `build_target`."""
    target = build_target(config, input_shape, num_outputs, import_paths).to(device)
    return target, own_weights(config, input_shape, num_outputs, target.num_weights, import_paths)


class JointLearner(NetworkLearner):
    """Each step minimises the mean loss over one batch of each task seen so far, every task under its own embedding.

    A step costs as many batches as there are tasks; all tasks get the same number of steps.
    """

    def trains_on(self, task: int) -> Sequence[int]:
        return range(task + 1)


class ScratchLearner(NetworkLearner):
    """A new network for each task. Adds to the state `learned`: theta of each learned task.

    Own weights, too, have buffers for each task.
    """

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


class LwFLearner(ReplayLearner):
    """The new batch is replayed for all earlier tasks: only the previous network is kept."""

    def _replay(self, source: Any, batch: Batch, info: StepInfo) -> Sequence[Replayed]:
        return [Replayed(None, None)]
