"""Opens the stream that a file's section `tasks` describes."""

from pathlib import Path

from hypercl.config.tasks import PermutedMNIST, SplitCIFAR, SplitDigits, SplitMNIST, Stream
from hypercl.tasks.cifar import open_split_cifar
from hypercl.tasks.digits import open_split_digits
from hypercl.tasks.mnist import open_permuted_mnist, open_split_mnist
from hypercl.tasks.source import DataFolder
from hypercl.tasks.stream import TaskStream


def open_stream(config: Stream, data_dir: Path, offline: bool) -> TaskStream:
    """The stream for training and tuning: training and validation data. No test file is opened.

    Args:
        config: the section `tasks` of an experiment.
        data_dir: the folder that holds the data sets.
        offline: whether the network must not be touched.

    Raises:
        UserError: data is missing or broken.
    """
    return _open(config, data_dir, offline, with_test=False)


def open_with_test(config: Stream, data_dir: Path, offline: bool) -> TaskStream:
    """The same tasks with their test data, for a final report.

    Raises:
        UserError: data is missing or broken.
    """
    return _open(config, data_dir, offline, with_test=True)


def _open(config: Stream, data_dir: Path, offline: bool, with_test: bool) -> TaskStream:
    folder = DataFolder(Path(data_dir), getattr(config, "download", False), offline)
    match config:
        case SplitDigits():
            return open_split_digits(config, with_test)
        case SplitMNIST():
            return open_split_mnist(config, folder, with_test)
        case PermutedMNIST():
            return open_permuted_mnist(config, folder, with_test)
        case SplitCIFAR():
            return open_split_cifar(config, folder, with_test)
        case _:
            raise TypeError(f"no stream is known for the settings {type(config).__name__}")
