import torch
from stream_contract import StreamContract

from hypercl.config.models.tasks import SplitDigits
from hypercl.tasks import open_with_test


class TestSplitDigits(StreamContract):
    config = SplitDigits


def test_every_digit_is_in_one_place_and_a_fifth_is_the_test_set(tmp_path):
    stream = open_with_test(SplitDigits(), tmp_path / "absent", offline=True)
    tasks = [stream.task(index) for index in range(5)]
    tests = sum(len(stream.test(index)) for index in range(5))
    assert tests + sum(len(task.train) + len(task.validation) for task in tasks) == 1797
    assert abs(tests - 1797 / 5) <= 5
    assert [task.classes for task in tasks][:2] == [("0", "1"), ("2", "3")]


def test_pixels_of_digits_are_scaled_to_one(tmp_path):
    task = open_with_test(SplitDigits(), tmp_path, offline=True).task(0)
    images, _ = task.train[torch.arange(len(task.train))]
    assert int(images.max()) == 16
    assert torch.equal(task.inputs(images), images / 16)
