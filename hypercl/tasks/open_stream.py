"""Opens the stream that a file's section `tasks` describes."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hypercl.config.models import (
    CopyTasks,
    GaussianBumps,
    ImageFolder,
    ImportedStream,
    PermutedFashionMNIST,
    PermutedMNIST,
    SplitCIFAR,
    SplitCIFAR10,
    SplitCIFAR100,
    SplitDigits,
    SplitFashionMNIST,
    SplitMNIST,
    Stream,
    TorchvisionSplit,
    ToyRegression,
)
from hypercl.tasks.cifar import CIFAR10, CIFAR100, open_split_cifar, open_split_cifar_set
from hypercl.tasks.copy_task import CopyStream
from hypercl.tasks.gaussian_bumps import BumpStream
from hypercl.tasks.image_folder import folder_of, open_image_folder
from hypercl.tasks.imported import open_imported
from hypercl.tasks.inputs import Scaled
from hypercl.tasks.mnist import FASHION_MNIST, HIGHEST_PIXEL, MNIST, load_digits, load_idx
from hypercl.tasks.split_stream import PermutedStream, SplitStream, class_groups
from hypercl.tasks.stream import DataFolder, NoTestData, Shape, Split, Task, TaskStream
from hypercl.tasks.torchvision_sets import open_torchvision, root_of
from hypercl.tasks.toy_regression import ToyStream


class PartOfStream(TaskStream):
    """A stream without its first tasks; the content of the others does not change."""

    def __init__(self, whole: TaskStream, skip: int) -> None:
        self._whole, self._skip = whole, skip

    @property
    def shape(self) -> Shape:
        return replace(self._whole.shape, classes=self._whole.shape.classes[self._skip :])

    def task(self, index: int) -> Task:
        task = self._whole.task(self._index(index))
        return replace(task, index=index, head=self.shape.heads[index])

    def test(self, index: int) -> Split:
        return self._whole.test(self._index(index))

    def _index(self, index: int) -> int:
        if index < 0:
            raise IndexError(f"the stream has no task {index}")
        return self._skip + index


class LeakingStream(TaskStream):
    """A stream whose validation data is its test data, for tuning on the test set."""

    def __init__(self, whole: TaskStream) -> None:
        self._whole = whole

    @property
    def shape(self) -> Shape:
        return self._whole.shape

    def task(self, index: int) -> Task:
        return replace(self._whole.task(index), validation=self._whole.test(index))


def open_stream(config: Stream, data_dir: Path, offline: bool, import_paths: Sequence[Path] = ()) -> TaskStream:
    """The stream for training and tuning: training and validation data. No test file is opened.

    Args:
        config: the section `tasks` of an experiment.
        data_dir: the folder of the data sets.
        offline: whether network access is forbidden.
        import_paths: folders searched for a user's own stream, before installed packages.

    Raises:
        UserError: data is missing or broken.
    """
    return _part(config, data_dir, offline, import_paths, with_test=False)


def open_with_test(config: Stream, data_dir: Path, offline: bool, import_paths: Sequence[Path] = ()) -> TaskStream:
    """The same tasks with their test data, for a final report.

    Raises:
        NoTestData: this process is tuning (`guard_test_data`).
        UserError: data is missing or broken.
    """
    for guard in _guards:
        guard.broken = True
    if _guards:
        _guards[-1].check()
    return _part(config, data_dir, offline, import_paths, with_test=True)


def open_leaking(config: Stream, data_dir: Path, offline: bool, import_paths: Sequence[Path] = ()) -> TaskStream:
    """The same tasks with their test data as validation data, for protocol `test_leak` only; raises a UserError."""
    return LeakingStream(_part(config, data_dir, offline, import_paths, with_test=True))


class TestDataGuard:
    """Whether test data was requested while tuning."""

    def __init__(self) -> None:
        self.broken = False

    def check(self) -> None:
        """Raises NoTestData after such a request, even if the first refusal was caught and ignored."""
        if self.broken:
            raise NoTestData(
                "test data was requested while a setting is tuned: it is opened once, by the final step, after the "
                "search. Use validation data; a method gets its task's training data only"
            )


@contextmanager
def guard_test_data() -> Generator[TestDataGuard]:
    """While active, streams with test data are refused in this process."""
    guard = TestDataGuard()
    _guards.append(guard)
    try:
        yield guard
    finally:
        _guards.remove(guard)


def data_place(config: Stream, data_dir: Path) -> Path | None:
    """The folder of a stream's data; None if it comes with a package."""
    match config:
        case SplitDigits() | ToyRegression() | GaussianBumps() | CopyTasks():
            return None
        case ImageFolder():
            return folder_of(config, Path(data_dir))
        case TorchvisionSplit():
            return root_of(config, Path(data_dir))
        case _:
            return Path(data_dir)


_guards: list[TestDataGuard] = []
"""One per active `guard_test_data` of this process."""


def _part(config: Stream, data_dir: Path, offline: bool, import_paths: Sequence[Path], with_test: bool) -> TaskStream:
    """The stream without its skipped tasks."""
    folder = DataFolder(Path(data_dir), getattr(config, "download", False), offline)
    whole = _open(config.whole, folder, import_paths, with_test=with_test)
    return PartOfStream(whole, config.skip) if config.skip else whole


def _open(config: Stream, folder: DataFolder, import_paths: Sequence[Path], with_test: bool) -> TaskStream:
    match config:
        case SplitDigits():
            return SplitStream(config, class_groups(config, *load_digits(with_test)), Scaled(HIGHEST_PIXEL))
        case SplitMNIST() | SplitFashionMNIST():
            variant = MNIST if isinstance(config, SplitMNIST) else FASHION_MNIST
            return SplitStream(config, class_groups(config, *load_idx(variant, folder, with_test)), Scaled(255))
        case PermutedMNIST() | PermutedFashionMNIST():
            variant = MNIST if isinstance(config, PermutedMNIST) else FASHION_MNIST
            return PermutedStream(config, *load_idx(variant, folder, with_test))
        case SplitCIFAR():
            return open_split_cifar(config, folder, with_test)
        case SplitCIFAR10():
            return open_split_cifar_set(config, CIFAR10, folder, with_test)
        case SplitCIFAR100():
            return open_split_cifar_set(config, CIFAR100, folder, with_test)
        case ToyRegression():
            return ToyStream(config, with_test)
        case GaussianBumps():
            return BumpStream(config, with_test)
        case CopyTasks():
            return CopyStream(config, with_test)
        case ImageFolder():
            return open_image_folder(config, folder.path, with_test)
        case TorchvisionSplit():
            return open_torchvision(config, folder, with_test)
        case ImportedStream():
            return open_imported(config, folder.path, import_paths, with_test)
        case _:
            raise TypeError(f"unknown stream {type(config).__name__}")
