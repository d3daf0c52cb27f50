import numpy as np
import pytest
import torch
from stream_contract import StreamContract, same_split
from task_data import make_fashion_mnist, make_mnist, write_idx

from hypercl.config import UserError
from hypercl.config.models.tasks import PermutedFashionMNIST, PermutedMNIST, SplitFashionMNIST, SplitMNIST
from hypercl.tasks import open_stream, open_with_test


class TestSplitMNIST(StreamContract):
    config = SplitMNIST
    make_data = staticmethod(make_mnist)


class TestPermutedMNIST(StreamContract):
    @staticmethod
    def config(**changes):
        return PermutedMNIST(num_tasks=3, **changes)

    make_data = staticmethod(make_mnist)


class TestSplitFashionMNIST(StreamContract):
    config = SplitFashionMNIST
    make_data = staticmethod(make_fashion_mnist)

    def test_classes_have_the_names_of_clothes(self, tasks):
        assert tasks[0].classes == ("T-shirt/top", "Trouser")


class TestPermutedFashionMNIST(StreamContract):
    @staticmethod
    def config(**changes):
        return PermutedFashionMNIST(num_tasks=3, **changes)

    make_data = staticmethod(make_fashion_mnist)


def test_the_two_data_sets_are_told_apart_by_their_folders(tmp_path):
    make_mnist(tmp_path)
    with pytest.raises(UserError, match=r"FashionMNIST not found(?s:.*)FashionMNIST/raw"):
        open_stream(SplitFashionMNIST(), tmp_path, offline=True)


@pytest.mark.parametrize("config", [SplitMNIST(), PermutedMNIST()])
def test_a_stream_for_tuning_opens_without_test_files_and_past_spoiled_ones(tmp_path, config):
    raw = make_mnist(tmp_path)
    whole = open_stream(config, tmp_path, offline=True).task(1)
    for file in raw.glob("t10k*"):
        file.write_bytes(b"poison")
    assert same_split(open_stream(config, tmp_path, offline=True).task(1).train, whole.train)
    with pytest.raises(UserError, match="t10k-images"):
        open_with_test(config, tmp_path, offline=True)
    for file in raw.glob("t10k*"):
        file.unlink()
    assert same_split(open_stream(config, tmp_path, offline=True).task(1).train, whole.train)
    with pytest.raises(UserError, match=r"missing: +t10k-images"):
        open_with_test(config, tmp_path, offline=True)


def test_tasks_hold_the_digits_in_order(tmp_path):
    make_mnist(tmp_path)
    task = open_stream(SplitMNIST(num_tasks=2), tmp_path, offline=True).task(1)
    raw = (tmp_path / "MNIST/raw/train-labels-idx1-ubyte").read_bytes()[8:]
    digits = torch.tensor(list(raw))[task.train.rows]
    assert task.classes == ("2", "3")
    assert torch.equal(digits - 2, task.train.labels)


def test_packed_files_are_read_too(tmp_path):
    make_mnist(tmp_path / "plain")
    make_mnist(tmp_path / "packed", packed=True)
    plain, packed = (open_with_test(SplitMNIST(), tmp_path / form, offline=True) for form in ("plain", "packed"))
    assert same_split(plain.task(4).train, packed.task(4).train)
    assert same_split(plain.test(4), packed.test(4))


def test_images_are_mapped_and_never_written_back(tmp_path):
    raw = make_mnist(tmp_path)
    before = (raw / "train-images-idx3-ubyte").read_bytes()
    stream = open_stream(SplitMNIST(), tmp_path, offline=True)
    assert stream.task(0).train.images.data_ptr() == stream.task(1).train.images.data_ptr()
    stream.task(0).train.images.zero_()
    assert (raw / "train-images-idx3-ubyte").read_bytes() == before


def test_the_first_task_keeps_the_order_and_the_others_permute_the_padded_pixels(tmp_path):
    make_mnist(tmp_path)
    stream = open_stream(PermutedMNIST(num_tasks=4, padding=2), tmp_path, offline=True)
    tasks = [stream.task(index) for index in range(4)]
    images, _ = tasks[0].train[torch.arange(5)]
    inputs = [task.inputs(images) for task in tasks]
    assert torch.equal(inputs[0][:, :, 2:-2, 2:-2], images / 255)
    assert inputs[0][:, :, :2].eq(0).all()
    for one in range(4):
        for other in range(one):
            assert not torch.equal(inputs[one], inputs[other])
            assert torch.equal(inputs[one].flatten(1).sort().values, inputs[other].flatten(1).sort().values)


def test_permutations_follow_the_order_seed_alone(tmp_path):
    make_mnist(tmp_path)

    def inputs(**changes):
        task = open_stream(PermutedMNIST(**changes), tmp_path, offline=True).task(2)
        return task.inputs(task.train.images[:2])

    assert torch.equal(inputs(), inputs(num_tasks=5, split_seed=3, validation=0.5))
    assert not torch.equal(inputs(), inputs(order_seed=1))


def test_permuted_tasks_share_one_array_and_one_validation_split(tmp_path):
    make_mnist(tmp_path)
    stream = open_stream(PermutedMNIST(), tmp_path, offline=True)
    one, other = stream.task(1), stream.task(7)
    assert one.train.images.data_ptr() == other.train.images.data_ptr()
    assert torch.equal(one.validation.rows, other.validation.rows)


@pytest.mark.parametrize(
    ("name", "spoil", "reason"),
    [
        ("train-images-idx3-ubyte", lambda content: content[:-1], "announces"),
        ("train-images-idx3-ubyte", lambda content: content + b"x", "announces"),
        ("train-labels-idx1-ubyte", lambda _: b"", "idx"),
        ("train-labels-idx1-ubyte", lambda _: b"<html>not found</html>", "idx"),
        ("train-labels-idx1-ubyte", lambda content: content[:-1] + b"\x0b", "label 11"),
    ],
)
def test_a_broken_file_is_named(tmp_path, name, spoil, reason):
    file = make_mnist(tmp_path) / name
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(UserError, match=reason) as caught:
        open_stream(SplitMNIST(), tmp_path, offline=True)
    assert str(file) in str(caught.value)


def test_a_broken_packed_file_is_named(tmp_path):
    file = make_mnist(tmp_path, packed=True) / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz is broken"):
        open_stream(SplitMNIST(), tmp_path, offline=True)


def test_files_that_do_not_belong_together_are_named(tmp_path):
    raw = make_mnist(tmp_path)
    write_idx(raw / "train-labels-idx1-ubyte", np.zeros(7, np.uint8))
    with pytest.raises(UserError, match=r"120 images, but .* 7 labels"):
        open_stream(SplitMNIST(), tmp_path, offline=True)
    write_idx(raw / "train-images-idx3-ubyte", np.zeros((7, 8, 8), np.uint8))
    with pytest.raises(UserError, match=r"not MNIST.*\(8, 8\)"):
        open_stream(SplitMNIST(), tmp_path, offline=True)
