"""What is known of a stream from its settings alone."""

from hypercl.config.models.tasks import (
    ClassTasks,
    ImageFolder,
    ImportedStream,
    PermutedTasks,
    SplitCIFAR,
    SplitCIFAR10,
    SplitCIFAR100,
    SplitDigits,
    SplitFashionMNIST,
    SplitMNIST,
    Stream,
)
from hypercl.tasks.stream import Shape


def shape_of(config: Stream) -> Shape:
    """Shape of a stream's inputs and outputs; no data is read.

    A task's head is as wide as the task has classes: `shape.heads`. Of a stream whose length nobody knows it is the
    shape with a single task; `TaskStream.shape` knows those that have come.

    Args:
        config: the section `tasks` of an experiment.
    """
    return Shape(_input_shape(config), _classes(config), config.scenario, config.heads == "shared")


def _classes(config: Stream) -> tuple[int, ...]:
    match config:
        case ClassTasks():
            return config.classes
        case PermutedTasks() | SplitCIFAR():
            return (10,) * config.num_tasks
        case _:
            raise _unknown(config)


def _input_shape(config: Stream) -> tuple[int, ...]:
    match config:
        case SplitDigits():
            return 1, 8, 8
        case SplitMNIST() | SplitFashionMNIST():
            return 1, 28, 28
        case PermutedTasks(padding=padding):
            return 1, 28 + 2 * padding, 28 + 2 * padding
        case SplitCIFAR() | SplitCIFAR10() | SplitCIFAR100():
            return 3, 32, 32
        case ImageFolder(size=size, mode=mode):
            return (3 if mode == "rgb" else 1), size, size
        case ImportedStream(input_shape=shape):
            return shape
        case _:
            raise _unknown(config)


def _unknown(config: Stream) -> TypeError:
    return TypeError(f"no stream is known for the settings {type(config).__name__}")
