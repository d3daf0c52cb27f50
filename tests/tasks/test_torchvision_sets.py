from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from stream_contract import StreamContract
from task_data import make_image_folder, make_mnist

from hypercl.config import UserError
from hypercl.config.models import TorchvisionSplit
from hypercl.tasks import open_stream, open_with_test


def config(data: str, **changes: Any) -> TorchvisionSplit:
    return TorchvisionSplit.model_validate({"data": f"torchvision:{data}", "classes_per_task": [2, 3], **changes})


class TestAClassWithTheKeywordTrain(StreamContract):
    @staticmethod
    def config(**changes: Any) -> TorchvisionSplit:
        return config("KMNIST", mode="grey", size=16, **changes)

    @staticmethod
    def make_data(folder: Path) -> None:
        make_mnist(folder / "torchvision" / "KMNIST", name="KMNIST")


class TestAClassWithoutATestSet(StreamContract):
    @staticmethod
    def config(**changes: Any) -> TorchvisionSplit:
        return config("EuroSAT", **changes)

    @staticmethod
    def make_data(folder: Path) -> None:
        make_image_folder(folder / "torchvision" / "EuroSAT" / "eurosat" / "2750", 5, 20)


def test_the_halves_of_a_class_with_the_keyword_split_are_kept_apart(tmp_path: Path) -> None:
    folder = tmp_path / "torchvision" / "GTSRB" / "gtsrb" / "GTSRB" / "Training"
    for label in (0, 1):
        (folder / f"0000{label}").mkdir(parents=True)
        for index in range(4):
            pixels = np.full((20, 30, 3), 50 * label + index, np.uint8)
            Image.fromarray(pixels).save(folder / f"0000{label}" / f"{index}.ppm")
    section = config("GTSRB", classes_per_task=[2], size=8)
    task = open_stream(section, tmp_path, offline=True).task(0)
    images, labels = task.train[torch.arange(len(task.train))]
    assert labels.bincount().tolist() == [3, 3]
    assert images.shape[1:] == (3, 8, 8)
    assert torch.equal(images.flatten(1)[:, 0] >= 50, labels == 1)
    with pytest.raises(UserError, match=r"torchvision:GTSRB cannot be read"):  # it has no test files
        open_with_test(section, tmp_path, offline=True).test(0)


def test_images_are_decoded_once_and_again_when_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "torchvision" / "EuroSAT" / "eurosat" / "2750"
    make_image_folder(folder, 2, 6)
    section = config("EuroSAT", classes_per_task=[2])
    before = open_stream(section, tmp_path, offline=True).task(0)
    monkeypatch.setattr("torchvision.datasets.EuroSAT.__init__", lambda *_, **__: pytest.fail("built again"))
    open_stream(section, tmp_path, offline=True)
    monkeypatch.undo()
    next(folder.glob("*/*")).unlink()
    after = open_stream(section, tmp_path, offline=True).task(0)
    assert len(after.train) + len(after.validation) < len(before.train) + len(before.validation)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("SVNH", "no SVNH\n.*SVHN"),
        ("SVHN", r"torchvision:SVHN cannot be read from .*SVHN.*\n.*put its files there.*\n.*download: true"),
        ("CocoDetection", "cannot be read"),
        ("KMNIST", "need 30 classes, but torchvision:KMNIST has 10"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_fix(tmp_path: Path, data: str, words: str) -> None:
    make_mnist(tmp_path / "torchvision" / "KMNIST", name="KMNIST")
    with pytest.raises(UserError, match=words):
        open_stream(config(data, classes_per_task=[30], scenario="task"), tmp_path, offline=True)


def test_what_hypercl_passes_itself_is_refused_as_a_keyword() -> None:
    with pytest.raises(ValidationError, match="train must not be given"):
        config("MNIST", kwargs={"train": False})
