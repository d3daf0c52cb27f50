import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from stream_contract import StreamContract, same_split
from task_data import make_cifar_folders, make_cifar_pickles

from hypercl.config import UserError
from hypercl.config.models.tasks import SplitCIFAR
from hypercl.tasks import Batches, open_stream, open_with_test


class TestSplitCIFARFromImageFolders(StreamContract):
    config = SplitCIFAR
    make_data = staticmethod(make_cifar_folders)

    def test_the_first_task_is_cifar10_and_the_others_are_ten_classes_of_cifar100(self, tasks):
        assert tasks[0].classes == tuple(f"class_{label:03d}" for label in range(10))
        assert tasks[5].classes == tuple(f"class_{label:03d}" for label in range(40, 50))
        assert tasks[0].train.images.data_ptr() != tasks[1].train.images.data_ptr()
        assert tasks[1].train.images.data_ptr() == tasks[5].train.images.data_ptr()

    def test_images_are_those_of_the_files_in_the_order_of_their_names(self, data_dir, tasks):
        task = tasks[2]
        for sample in (0, 37):
            row, label = int(task.train.rows[sample]), int(task.train.labels[sample])
            file = data_dir / f"cifar100/train/class_{10 + label:03d}/{row % 12:04d}.png"
            with Image.open(file) as image:
                assert np.array_equal(task.train.images[row].permute(1, 2, 0), np.asarray(image))

    def test_inputs_are_normalized_by_channel(self, tasks):
        images, _ = tasks[0].train[torch.arange(4)]
        mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
        torch.testing.assert_close(tasks[0].inputs(images), (images / 255 - mean) / std, atol=1e-5, rtol=1e-5)

    def test_pixels_stay_between_0_and_1_without_normalisation(self, data_dir):
        task = open_stream(SplitCIFAR(normalize=False), data_dir, offline=True).task(1)
        images, _ = task.train[torch.arange(4)]
        torch.testing.assert_close(task.inputs(images), images / 255)

    def test_training_batches_are_augmented_only_if_the_settings_say_so(self, data_dir, tasks):
        plain = open_stream(SplitCIFAR(augment=False), data_dir, offline=True).task(0)
        assert plain.augment is None
        augmented, labels = Batches(tasks[0], 16, seed=1)(0)
        inputs, same_labels = Batches(plain, 16, seed=1)(0)
        assert torch.equal(labels, same_labels)
        assert not torch.equal(augmented, inputs)


def test_a_stream_for_tuning_opens_without_test_folders_and_past_spoiled_ones(tmp_path):
    make_cifar_folders(tmp_path)
    config = SplitCIFAR(num_tasks=2)
    whole = open_stream(config, tmp_path, offline=True).task(1)
    for file in tmp_path.glob("cifar*/test/*/*.png"):
        file.write_bytes(b"poison")
    assert same_split(open_stream(config, tmp_path, offline=True).task(1).train, whole.train)
    with pytest.raises(UserError, match=r"cifar10/test/class_000/0000.png cannot be read"):
        open_with_test(config, tmp_path, offline=True)
    for half in tmp_path.glob("cifar*/test"):
        half.rename(half.with_name("hidden"))
    assert same_split(open_stream(config, tmp_path, offline=True).task(1).train, whole.train)
    with pytest.raises(UserError, match="cifar10/test cannot be read"):
        open_with_test(config, tmp_path, offline=True)


def test_one_task_needs_no_cifar100(tmp_path):
    make_cifar_folders(tmp_path)
    (tmp_path / "cifar100").rename(tmp_path / "elsewhere")
    assert len(open_stream(SplitCIFAR(num_tasks=1), tmp_path, offline=True).task(0).train) == 110
    with pytest.raises(UserError, match=r"CIFAR100 not found(.|\n)*cifar100/train/CLASS"):
        open_stream(SplitCIFAR(num_tasks=2), tmp_path, offline=True)


def test_torchvisions_files_are_read_and_test_files_only_when_asked_for(tmp_path, monkeypatch):
    make_cifar_pickles(tmp_path, monkeypatch)
    config = SplitCIFAR(num_tasks=11)
    final = open_with_test(config, tmp_path, offline=True)
    with (tmp_path / "cifar-10-batches-py" / "data_batch_2").open("rb") as file:
        batch = pickle.load(file)
    images = final.task(0).train.images[30:60]
    assert np.array_equal(images.flatten(1), batch["data"])
    assert final.task(10).classes == tuple(f"CIFAR100 {label}" for label in range(90, 100))
    assert len(final.test(0)) == len(final.test(10)) == 30
    for name in ("cifar-10-batches-py/test_batch", "cifar-100-python/test"):
        (tmp_path / name).write_bytes(b"poison")
    assert same_split(open_stream(config, tmp_path, offline=True).task(3).train, final.task(3).train)
    with pytest.raises(UserError, match="test_batch is broken"):
        open_with_test(config, tmp_path, offline=True)


def test_a_file_that_is_not_torchvisions_is_never_unpickled(tmp_path, monkeypatch):
    make_cifar_pickles(tmp_path, monkeypatch)
    opened = tmp_path / "code ran"

    class Hostile:
        def __reduce__(self):
            return (open, (str(opened), "w"))

    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(UserError, match="data_batch_3 is broken"):
        open_stream(SplitCIFAR(num_tasks=1), tmp_path, offline=True)
    assert not opened.exists()
