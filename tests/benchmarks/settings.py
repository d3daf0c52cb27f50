"""The settings of von Oswald et al. (2020) whose steps are timed (appendix C; look-ahead on, Adam)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch

from hypercl.config import Experiment, assign
from hypercl.methods import Learner
from hypercl.tasks import Shape, shape_of
from hypercl.training import build_learner, parts

SEED = 1


class OneHead(Shape):
    """The same outputs for all tasks, where the streams that come with hypercl have a head for each (CL1)."""

    @property
    def num_outputs(self) -> int:
        return self.classes[0]

    @property
    def heads(self) -> tuple[slice, ...]:
        return (slice(0, self.num_outputs),) * self.num_tasks


@dataclass(frozen=True)
class Setting:
    """An experiment and how far in its stream it is timed."""

    name: str
    sections: Mapping[str, Any]
    """The experiment, with as many tasks as it has in the paper."""
    earlier: int
    """Earlier tasks at the step that is compared with hypnettorch's."""

    def experiment(self, cl1: bool = False, **settings: Any) -> Experiment:
        """Settings of one head without a mask, or of a head for each task and its mask (CL1).

        Args:
            cl1: which of them.
            settings: other values by their paths, `__` for a dot.
        """
        experiment = Experiment.model_validate(self.sections)
        given = {path.replace("__", "."): value for path, value in settings.items()}
        return assign(experiment, {"method.regularizer.mask_heads": cl1, "training.seed": SEED} | given)

    def shape(self, cl1: bool = False, tasks: int = 0) -> Shape:
        """The stream's shape: its own, or of one head and so many tasks."""
        own = shape_of(self.experiment().tasks)
        return own if cl1 else OneHead(own.input_shape, own.classes[:1] * (tasks or own.num_tasks))


def learner_of(experiment: Experiment, shape: Shape, device: torch.device) -> Learner:
    """The learner that a run of the experiment would build on a stream of that shape."""
    with mock.patch.object(parts, "shape_of", return_value=shape):
        return build_learner(experiment, device)


def synthetic_batches(shape: Shape, size: int, device: torch.device, number: int = 4) -> list[tuple[Any, Any]]:
    """Batches of uniform inputs (size, *input_shape) and random labels (size,), always the same.

    Channels lie last in context, as the streams of colour images give them.
    """
    draw = torch.Generator().manual_seed(SEED)
    return [
        (
            torch.rand(size, *shape.input_shape, generator=draw).to(device, memory_format=torch.channels_last),
            torch.randint(shape.classes[0], (size,), generator=draw).to(device),
        )
        for _ in range(number)
    ]


def _hypernet(hidden: list[int], activation: str, chunk: int, task_embedding: int, chunk_embedding: int) -> dict:
    return {
        "name": "chunked",
        "hidden": hidden,
        "activation": activation,
        "chunk_size": chunk,
        "task_embedding": task_embedding,
        "chunk_embedding": chunk_embedding,
    }


SPLIT_MNIST = Setting(
    "SplitMNIST",
    {
        "tasks": {"name": "split_mnist"},
        "target": {"name": "mlp", "hidden": [400, 400]},
        "hypernet": _hypernet([10, 10], "relu", 42_000, 96, 96),
        "method": {"name": "hnet", "beta": 0.01},
        "training": {"batch_size": 128, "optimizer": {"name": "adam", "lr": 1e-3}},
    },
    earlier=4,
)
PERMUTED_MNIST_10 = Setting(
    "PermutedMNIST-10",
    {
        "tasks": {"name": "permuted_mnist", "num_tasks": 10},
        "target": {"name": "mlp", "hidden": [1000, 1000]},
        "hypernet": _hypernet([25, 25], "elu", 78_000, 24, 8),
        "method": {"name": "hnet", "beta": 0.1},
        "training": {"batch_size": 128, "optimizer": {"name": "adam", "lr": 1e-4}},
    },
    earlier=9,
)
PERMUTED_MNIST_100 = Setting(
    "PermutedMNIST-100",
    {
        "tasks": {"name": "permuted_mnist", "num_tasks": 100},
        "target": {"name": "mlp", "hidden": [1000, 1000]},
        "hypernet": _hypernet([200, 250, 350], "relu", 7_500, 128, 12),
        "method": {"name": "hnet", "beta": 0.01},
        "training": {"batch_size": 128, "optimizer": {"name": "adam", "lr": 1e-4}},
    },
    earlier=24,
)
RESNET_32 = Setting(
    "Split CIFAR, ResNet-32",
    {
        "tasks": {"name": "split_cifar", "num_tasks": 6},
        "target": {"name": "resnet32"},
        "hypernet": _hypernet([], "relu", 7_000, 32, 32),
        "method": {"name": "hnet", "beta": 0.05},
        "training": {"batch_size": 32, "optimizer": {"name": "adam", "lr": 1e-3}},
    },
    earlier=5,
)
