"""A user's own folder of images: one folder per class, with or without a separate test set."""

import os
import warnings
from pathlib import Path

from hypercl.config import UserError
from hypercl.config.models import ImageFolder
from hypercl.seeds import derive
from hypercl.tasks.image_files import ImageFiles, class_folders, image_files, listed, read_images
from hypercl.tasks.inputs import IMAGENET, FlipAndCrop, Form, Scaled
from hypercl.tasks.split_stream import SplitStream, class_groups, hold_out
from hypercl.tasks.stream import Source
from hypercl.tensors import numbers

TEST_SHARE = 0.2
LEAST = 3
"""Minimum images of a class that is split into training, validation and test data."""
VALIDATION_FOLDERS = frozenset({"val", "valid", "validation"})
HALVES = {"train": ("train", "training"), "test": ("test", "testing")}
"""Names of the folders of training and test data, in any case."""


def folder_of(config: ImageFolder, data_dir: Path) -> Path:
    """The folder of the images: `path`, if relative below the data folder."""
    return data_dir / Path(config.path).expanduser()


def open_image_folder(config: ImageFolder, data_dir: Path, with_test: bool) -> SplitStream:
    """Each task has some of the class folders, in the order of their names or of `order_seed`.

    Two layouts: `train/CLASS/...` and `test/CLASS/...` (or `training`, `testing`, in any case); or `CLASS/...`, of
    which a part of each class is the test set, the same for every seed. A folder `val/` beside `train/` is ignored:
    validation data is held out of the training data.

    Raises:
        UserError: folders or classes are missing, images cannot be read, or `test_share` would have no effect.
    """
    folder = folder_of(config, data_dir)
    if not os.path.isdir(folder):  # Path.is_dir raises if a name is too long
        raise UserError(
            f"tasks.path: no folder {folder}\n"
            "    fix: use an absolute path, or set its parent folder with --data-dir DIR or HYPERCL_DATA=DIR"
        )
    files, test = _halves(config, folder, with_test)
    if sum(config.classes) > len(files.classes):
        raise UserError(
            f"tasks: {config.in_words} need {sum(config.classes)} classes, but {files.folder} has "
            f"{len(files.classes)} class folders ({listed(files.classes)})\n"
            "    fix: lower tasks.num_tasks or tasks.classes_per_task; if these are not classes, set tasks.path to the "
            "folder that contains CLASS/ folders, or train/ and test/"
        )
    form = Form((config.size, config.size), config.mode, resized=True)

    def read(half: str, part: ImageFiles) -> Source:
        return read_images(part, form, folder, f"{half}-{config.mode}-{config.size}")

    groups = class_groups(config, read("train", files), read("test", test) if test is not None else None)
    inputs = IMAGENET if config.mode == "rgb" else Scaled(255)
    return SplitStream(config, groups, inputs, FlipAndCrop(max(1, config.size // 8)) if config.augment else None)


def _halves(config: ImageFolder, folder: Path, with_test: bool) -> tuple[ImageFiles, ImageFiles | None]:
    """The files of the training half, and of the test half if requested."""
    halves = _halves_of(folder)
    if "train" not in halves:
        files = image_files(folder)
        counts = numbers(files.labels.bincount(minlength=len(files.classes)))
        few = [f"{name} ({count})" for name, count in zip(files.classes, counts, strict=True) if count < LEAST]
        if few:
            raise UserError(
                f"tasks.path: some classes in {files.folder} have too few images: {listed(few)}\n"
                f"    fix: provide at least {LEAST}, for training, validation and test, or remove the class folder"
            )
        share = config.test_share or TEST_SHARE
        kept, held = hold_out(files.labels, files.classes, share, derive("image_folder", "test"))
        return files.part(kept), files.part(held) if with_test else None
    if config.test_share is not None:
        raise UserError(
            f"tasks.test_share: {folder} contains a folder {halves['train']}/, so no test set is split off\n"
            f"    fix: remove tasks.test_share, or set tasks.path to {folder / halves['train']}"
        )
    train = image_files(folder / halves["train"])
    return train, _test_half(folder, train, halves.get("test")) if with_test else None


def _halves_of(folder: Path) -> dict[str, str]:
    """The folders of training and test data; none if the folder contains classes, one of which may be named 'train'."""
    names = class_folders(folder)
    found = {half: [name for name in names if name.lower() in known] for half, known in HALVES.items()}
    others = [name for name in names if name.lower() not in {*HALVES["train"], *HALVES["test"], *VALIDATION_FOLDERS}]
    if not found["train"] or (others and not found["test"]):
        return {}
    for half, several in found.items():
        if len(several) > 1:
            raise UserError(
                f"{folder} contains {' and '.join(several)}: which of them is the {half} data is not clear\n"
                "    fix: remove or rename one of them"
            )
    if others:
        warnings.warn(
            f"{folder}: not used beside {found['train'][0]}/ and {found['test'][0]}/: {listed(others)}",
            UserWarning,
            stacklevel=2,
        )
    return {half: several[0] for half, several in found.items() if several}


def _test_half(folder: Path, train: ImageFiles, name: str | None) -> ImageFiles:
    if name is None:
        others = sorted(other for other in class_folders(folder) if other.lower() in VALIDATION_FOLDERS)
        rename = f"rename or link {folder / others[0]} to {folder / 'test'}, or " if others else ""
        raise UserError(
            f"{folder} contains {train.folder.name}/ but no test/, which is required now\n"
            f"    fix: {rename}set tasks.path to {train.folder}, of which a part is then the test set"
        )
    if os.path.samefile(train.folder, folder / name):
        raise UserError(
            f"{folder / name} is a link to {train.folder}: test data would be training data\n"
            f"    fix: remove the link, and set tasks.path to {train.folder}, of which a part is then the test set"
        )
    test = image_files(folder / name)
    missing, extra = sorted(set(train.classes) - set(test.classes)), sorted(set(test.classes) - set(train.classes))
    if missing or extra:
        parts = [f"lacks the classes {', '.join(missing)}"] if missing else []
        parts += [f"contains {', '.join(extra)}, which {train.folder} does not"] if extra else []
        raise UserError(
            f"{test.folder} {' and '.join(parts)}: both must have the same class folders\n"
            "    fix: add the missing ones and remove the others"
        )
    return test
