"""From an experiment's sections to the objects that train: sizes first, then the parts themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from hypercl.config import Experiment
from hypercl.hypernets import build_hypernet
from hypercl.methods import Learner, build_method
from hypercl.targets import build_target, count_weights
from hypercl.tasks import shape_of


@dataclass(frozen=True)
class Sizes:
    """How large the networks of an experiment are; known without data."""

    parameters: int
    """Hypernetwork parameters (chunk embeddings included) and task embeddings."""
    target_parameters: int
    """Generated weights of the target."""
    chunk_size: int
    """Weights a chunk, solved where it is `auto`; all weights where there are no chunks."""

    @property
    def compression_ratio(self) -> float:
        """(Hypernetwork parameters + task embeddings) / target parameters."""
        return self.parameters / self.target_parameters


def sizes(experiment: Experiment, import_paths: Sequence[Path] = ()) -> Sizes:
    """The sizes of an experiment's networks, without reading data or making a network.

    Raises:
        OutOfReach: no chunk size has a compression ratio as small as `hypernet.compression_ratio`.

    Example:
        >>> from hypercl.config import loads
        >>> sizes(loads("experiment: {tasks: {name: split_mnist}}", "x").experiment).compression_ratio
        0.9733617608327585
    """
    shape = shape_of(experiment.tasks)
    weights = count_weights(experiment.target, shape.input_shape, shape.num_outputs, import_paths)
    hypernet = build_hypernet(experiment.hypernet, weights, shape.num_tasks)
    parameters = hypernet.num_parameters + shape.num_tasks * hypernet.task_embedding
    return Sizes(parameters, weights, hypernet.chunk_size)


def build_learner(experiment: Experiment, device: torch.device, import_paths: Sequence[Path] = ()) -> Learner:
    """The method of an experiment with its target and hypernetwork."""
    shape = shape_of(experiment.tasks)
    target = build_target(experiment.target, shape.input_shape, shape.num_outputs, import_paths).to(device)
    shapes = [(name, tuple(size)) for name, size in target.shapes.items()]
    hypernet = build_hypernet(experiment.hypernet, target.num_weights, shape.num_tasks, shapes)
    return build_method(experiment, target, hypernet, shape.heads, device)
