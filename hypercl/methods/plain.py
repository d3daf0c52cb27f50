"""Methods that add nothing but the choice of data, and networks with weights of their own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from hypercl.config.models import AnyMethod, Finetune, OwnNetworks
from hypercl.hypernets import OwnWeights
from hypercl.methods.learner import Batch, State, StepInfo, TaskData
from hypercl.methods.network_learner import NetworkLearner
from hypercl.methods.replay import Replayed, ReplayLearner
from hypercl.targets import AnyTarget, GeneratedModel, build_target, draw_weights
from hypercl.tensors import Tensors


def own_weights(
    config: AnyTarget,
    target: GeneratedModel,
    import_paths: Sequence[Path],
    method: AnyMethod,
    modulated: bool = False,
) -> OwnWeights:
    """The replacement of a hypernetwork for a target with its own weights, initialised as its module or its method
    does; `config` is what the target was built from."""

    def draw(seed: int) -> Tensor:
        weights = draw_weights(config, target.input_shape, target.num_outputs, seed, import_paths, modulated)
        if isinstance(method, OwnNetworks) and method.own_weights_init == "xavier":
            return xavier(weights, target.shapes, seed)
        return weights

    return OwnWeights(target.num_weights, draw)


def xavier(weights: Tensor, shapes: Mapping[str, torch.Size], seed: int) -> Tensor:
    """Initial weights (num_weights,) with Xavier-uniform matrices and kernels (Glorot and Bengio, 2010) and zero
    biases; scales of normalisation layers stay as they are. `shapes` by name, in the order of the weights."""
    generator, parts = torch.Generator().manual_seed(seed), weights.split([shape.numel() for shape in shapes.values()])
    for (name, shape), part in zip(shapes.items(), parts, strict=True):
        if len(shape) > 1:
            nn.init.xavier_uniform_(part.view(shape), generator=generator)
        elif name.endswith("bias"):
            part.zero_()
    return weights


def plain_network(
    config: AnyTarget,
    input_shape: tuple[int, ...],
    num_outputs: int,
    device: torch.device,
    method: AnyMethod,
    import_paths: Sequence[Path] = (),
) -> tuple[GeneratedModel, OwnWeights]:
    """A network of a method on a device, and the seam that draws its weights; raises as `build_target`."""
    target = build_target(config, input_shape, num_outputs, import_paths).to(device)
    return target, own_weights(config, target, import_paths, method)


class FinetuneLearner(NetworkLearner):
    """No protection."""

    def _buffers_of(self, task: int) -> str:
        shared = cast(Finetune, self.spec.experiment.method).share_buffers
        return "0" if shared else super()._buffers_of(task)


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
