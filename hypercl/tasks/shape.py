"""What is known of a stream from its settings alone."""

from hypercl.config.tasks import PermutedMNIST, SplitCIFAR, SplitDigits, SplitMNIST, Stream
from hypercl.tasks.stream import Shape


def shape_of(config: Stream) -> Shape:
    """Shape of a stream's inputs and outputs; no data is read.

    Every task has a head of its own (CL1): the outputs of task t are `head_of(t, shape)`.

    Args:
        config: the section `tasks` of an experiment.
    """
    match config:
        case SplitDigits():
            image, classes = (1, 8, 8), 2
        case SplitMNIST():
            image, classes = (1, 28, 28), 2
        case PermutedMNIST(padding=padding):
            image, classes = (1, 28 + 2 * padding, 28 + 2 * padding), 10
        case SplitCIFAR():
            image, classes = (3, 32, 32), 10
        case _:
            raise TypeError(f"no stream is known for the settings {type(config).__name__}")
    return Shape(config.num_tasks, image, classes, config.num_tasks * classes)


def head_of(task: int, shape: Shape) -> slice:
    """The outputs of the target that belong to a task."""
    return slice(task * shape.outputs_per_task, (task + 1) * shape.outputs_per_task)
