"""Networks whose weights are trained themselves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hypercl.hypernets import OwnWeights
from hypercl.methods.learner import Batch, State, StepInfo, TaskData
from hypercl.methods.network_learner import NetworkLearner, Tensors
from hypercl.methods.replay import Replayed, ReplayLearner
from hypercl.targets import AnyTarget, GeneratedModel, build_target, draw_weights


def own_weights(
    config: AnyTarget, input_shape: tuple[int, ...], num_outputs: int, num_weights: int, import_paths: Sequence[Path]
) -> OwnWeights:
    """What stands in a hypernetwork's place for a target of so many weights, drawn as its module does."""

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
    """A network and its weights.

    Args:
        config: which network.
        input_shape: of one input.
        num_outputs: how many outputs.
        device: where it computes.
        import_paths: folders in which an import path is looked for, before what is installed.

    Raises:
        UserError: it cannot be found, built or run on such inputs.
    """
    target = build_target(config, input_shape, num_outputs, import_paths).to(device)
    return target, own_weights(config, input_shape, num_outputs, target.num_weights, import_paths)


class JointLearner(NetworkLearner):
    """One batch of each task met so far a step, every task under its own embedding; the losses' mean is lowered.

    A step costs as many batches as there are tasks; the last tasks get as many steps as the first ones.
    """

    def trains_on(self, task: int) -> Sequence[int]:
        return range(task + 1)


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


class LwFLearner(ReplayLearner):
    """The new batch stands for all earlier tasks: nothing of them is kept but the network as it was."""

    def _replay(self, source: Any, batch: Batch, info: StepInfo) -> Sequence[Replayed]:
        del source, batch, info
        return [Replayed(None, None)]
