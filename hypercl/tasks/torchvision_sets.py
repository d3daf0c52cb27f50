"""Any classification data set of torchvision, by the name of its class."""

import inspect
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hypercl.config import UserError, did_you_mean
from hypercl.config.models import TorchvisionSplit
from hypercl.files import locked
from hypercl.formatting import first_line
from hypercl.seeds import derive
from hypercl.tasks.image_files import Listing, Pieces, cached, listed
from hypercl.tasks.inputs import IMAGENET, FlipAndCrop, Form, Scaled
from hypercl.tasks.split_stream import SplitStream, class_groups, hold_out
from hypercl.tasks.stream import DataFolder, Source
from hypercl.tensors import numbers

TEST_SHARE = 0.2
"""Share of each class that is the test set of a data set without one."""
HALVES = {
    "FGVCAircraft": ("trainval", "test"),
    "ImageNet": ("train", "val"),
    "Imagenette": ("train", "val"),
    "OxfordIIITPet": ("trainval", "test"),
    "Places365": ("train-standard", "val"),
}
"""Values of `split` for training and test data, where they are not train and test."""
AT_ONCE = 500
"""Images decoded before they are written."""


def root_of(config: TorchvisionSplit, data_dir: Path) -> Path:
    """The folder of the data set's files."""
    return data_dir / "torchvision" / _name(config)


def open_torchvision(config: TorchvisionSplit, folder: DataFolder, with_test: bool) -> SplitStream:
    """Each task has some of the classes, in the order of their labels or of `order_seed`.

    The halves are those of the class, by its keyword `train` or `split`; of a class without either, a fifth of each
    class of images is the test set, the same for every seed. Images are decoded once, into the cache of the data set.

    Raises:
        UserError: torchvision has no such data set, its files are missing or must not be downloaded, it cannot be
            built, it does not tell classes, or it has fewer than the tasks need.
    """
    reader = _Reader(config, folder)
    train = reader.half("train")
    test = reader.half("test") if with_test else None
    if sum(config.classes) > len(train.classes):
        raise UserError(
            f"tasks: {config.in_words} need {sum(config.classes)} classes, but {config.data} has "
            f"{len(train.classes)} ({listed(train.classes)})\n"
            "    fix:     lower tasks.num_tasks or tasks.classes_per_task"
        )
    if test is not None and test.classes != train.classes:
        raise UserError(f"tasks.data: training and test data of {config.data} have other classes")
    inputs = IMAGENET if config.mode == "rgb" else Scaled(255)
    augment = FlipAndCrop(max(1, config.size // 8)) if config.augment else None
    return SplitStream(config, class_groups(config, train, test), inputs, augment)


def _name(config: TorchvisionSplit) -> str:
    return config.data.partition(":")[2]


class _Reader:
    """Reads the halves of a data set, through the cache."""

    def __init__(self, config: TorchvisionSplit, folder: DataFolder) -> None:
        self.config, self.folder, self.root = config, folder, root_of(config, folder.path)
        self.form = Form((config.size, config.size), config.mode, resized=True)

    def half(self, half: str) -> Source:
        """The `train` or the `test` half."""
        options = "-".join(str(value) for _, value in sorted(self.config.kwargs.items()))
        name = f"{half}-{self.config.mode}-{self.config.size}" + (f"-{options}" if options else "")
        listing = self._listing()
        if not listing:  # so that what is downloaded is a part of the key
            self._dataset(half)
            listing = self._listing()
        return cached(self.root, name.replace(os.sep, "_"), listing, lambda: self._pieces(half))

    def _listing(self) -> Listing:
        """All files of the data set."""
        found: list[tuple[str, int, int]] = []
        for parent, folders, files in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(name for name in files if not name.startswith(".")):
                path = Path(parent, name)
                state = path.stat()
                found.append((path.relative_to(self.root).as_posix(), state.st_size, state.st_mtime_ns))
        return found

    def _pieces(self, half: str) -> Pieces:
        dataset, separate = self._dataset(half)
        labels = self._labels(dataset)
        values, labels = labels.unique(return_inverse=True)
        classes = _class_names(dataset, numbers(values))
        rows = torch.arange(len(labels))
        if not separate:
            train, test = hold_out(labels, classes, TEST_SHARE, derive("torchvision", "test"))
            rows = train if half == "train" else test
        images = self._decoded(dataset, numbers(rows))
        return Pieces((len(rows), *self.form.shape), images, labels[rows], classes)

    def _dataset(self, half: str) -> tuple[Any, bool]:
        """The data set of a half, and whether it is that half alone."""
        cls = self._class()
        names = _parameters(cls)
        keywords: dict[str, Any] = dict(self.config.kwargs)
        separate = "train" in names or ("split" in names and "split" not in keywords)
        if "train" in names:
            keywords["train"] = half == "train"
        elif separate:
            keywords["split"] = HALVES.get(cls.__name__, ("train", "test"))[half == "test"]
        if self.folder.download and not self.folder.offline and "download" in names:
            keywords["download"] = True
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with locked(self.root / ".download.lock"):
                return cls(str(self.root), **keywords), separate
        except Exception as error:  # each class raises its own kinds for files that are missing or broken
            raise UserError(self._failed(error, "download" in names)) from error

    def _failed(self, error: Exception, downloads: bool) -> str:
        fixes = [f"put its files there, as torchvision.datasets.{_name(self.config)} keeps them below its root"]
        if downloads and not self.folder.download:
            fixes.append("let torchvision download them: `download: true` in tasks, or `hypercl fetch FILE`")
        fixes += ["omit --offline and HYPERCL_OFFLINE"] if self.folder.offline else []
        fixes.append("set the data folder with --data-dir DIR or HYPERCL_DATA=DIR")
        return "\n".join(
            [
                f"tasks.data: {self.config.data} cannot be read from {self.root.resolve()}: "
                f"{type(error).__name__}: {first_line(error)}",
                *(f"    {'fix:' if number == 0 else 'or:'}".ljust(13) + fix for number, fix in enumerate(fixes)),
            ]
        )

    def _class(self) -> Any:
        # Imported here: torchvision takes a second, which runs with other data save.
        from torchvision import datasets

        name = _name(self.config)
        known = [each for each in datasets.__all__ if each not in ("VisionDataset", "FakeData")]
        if name not in known:
            fix = did_you_mean(name, known)
            raise UserError(
                f"tasks.data: torchvision.datasets has no {name}" + (f"\n    fix:     {fix}" if fix else "")
            )
        return getattr(datasets, name)

    def _labels(self, dataset: Any) -> Tensor:
        """The class of each image: int64, (images,)."""
        labels = next((value for name in ("targets", "labels", "_labels") if len(value := _list(dataset, name))), [])
        if len(labels) != len(dataset):
            labels = [dataset[index][1] for index in range(len(dataset))]
        try:
            whole = torch.as_tensor(np.asarray([int(label) for label in labels]))
        except (TypeError, ValueError):
            raise UserError(
                f"tasks.data: the targets of {self.config.data} are not classes: the first is {labels[0]!r:.60}"
            ) from None
        return whole.to(torch.int64)

    def _decoded(self, dataset: Any, rows: Sequence[int]) -> Iterator[np.ndarray]:
        """The pixels of some images in order, uint8, (some, channels, height, width)."""
        for start in range(0, len(rows), AT_ONCE):
            images = (dataset[row][0] for row in rows[start : start + AT_ONCE])
            yield np.stack([self.form.pixels(_as_image(image)) for image in images])


def _parameters(cls: type) -> set[str]:
    """The keywords of a class; where it hands on any keyword, those of its base as well."""
    names: set[str] = set()
    for each in cls.__mro__:
        found = inspect.signature(each.__init__).parameters.values()
        names |= {parameter.name for parameter in found}
        if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in found):
            break
    return names


def _list(dataset: Any, name: str) -> Any:
    value = getattr(dataset, name, ())
    return value if hasattr(value, "__len__") else ()


def _class_names(dataset: Any, values: Sequence[int]) -> tuple[str, ...]:
    """The names of the classes with these labels, in order."""
    names = _list(dataset, "classes")
    if all(0 <= value < len(names) for value in values):
        return tuple(str(names[value]) for value in values)
    return tuple(map(str, values))


def _as_image(image: Any) -> Image.Image:
    return image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))
