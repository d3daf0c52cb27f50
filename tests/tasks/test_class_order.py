"""Which classes the tasks of a split stream hold, and in which order."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from stream_contract import StreamContract
from task_data import make_cifar_folders

from hypercl.config.models.tasks import SplitCIFAR, SplitCIFAR10, SplitCIFAR100, SplitDigits
from hypercl.tasks import open_stream
from hypercl.tasks.split_stream import class_groups
from hypercl.tasks.stream import Source


def classes_of(config, data_dir):
    stream = open_stream(config, data_dir, offline=True)
    return [stream.task(index).classes for index in range(stream.shape.num_tasks)]


class TestUnequalShuffledDigits(StreamContract):
    @staticmethod
    def config(**changes):
        return SplitDigits.model_validate({"classes_per_task": [2, 3, 5], "order_seed": 1, **changes})


class TestSplitCIFAR10(StreamContract):
    config = SplitCIFAR10
    make_data = staticmethod(make_cifar_folders)


class TestSplitCIFAR100(StreamContract):
    config = SplitCIFAR100
    make_data = staticmethod(make_cifar_folders)

    def test_every_class_is_in_one_task(self, tasks):
        assert [name for task in tasks for name in task.classes] == [f"class_{label:03d}" for label in range(100)]


def test_without_a_seed_classes_keep_their_order_and_some_may_be_left_out(tmp_path):
    config = SplitDigits.model_validate({"classes_per_task": [3, 2]})
    assert classes_of(config, tmp_path) == [("0", "1", "2"), ("3", "4")]


SEEDS = some.integers(1 - 2**63, 2**63 - 1)


@given(counts=some.lists(some.integers(2, 5), min_size=1, max_size=5), seed=some.none() | SEEDS)
def test_each_task_gets_its_number_of_classes_and_no_class_is_dealt_twice(counts, seed):
    config = SplitCIFAR100.model_validate({"classes_per_task": counts, "order_seed": seed})
    source = Source(torch.zeros(0), torch.zeros(0), tuple(map(str, range(100))))
    groups = [group.classes for group in class_groups(config, source, None)]
    assert [len(group) for group in groups] == counts
    assert len({label for group in groups for label in group}) == sum(counts)


def test_a_seed_shuffles_the_classes_always_alike(tmp_path):
    def order(seed):
        return [name for task in classes_of(SplitDigits(order_seed=seed), tmp_path) for name in task]

    assert order(3) == order(3)
    assert sorted(order(3)) == [str(digit) for digit in range(10)]
    assert len({tuple(order(seed)) for seed in range(5)}) == 5


def test_labels_are_places_in_the_order_of_the_seed(tmp_path):
    plain, shuffled = (open_stream(SplitDigits(order_seed=seed), tmp_path, offline=True) for seed in (None, 3))
    images = {name: set() for name in shuffled.task(2).classes}
    for index in range(5):
        for split in (plain.task(index).train, plain.task(index).validation):
            for row, label in zip(split.rows.tolist(), split.labels.tolist(), strict=True):
                images.setdefault(plain.task(index).classes[label], set()).add(row)
    train = shuffled.task(2).train
    for row, label in zip(train.rows.tolist(), train.labels.tolist(), strict=True):
        assert row in images[shuffled.task(2).classes[label]]


def test_the_validation_split_of_a_task_follows_the_split_seed_alone(tmp_path):
    def held(**changes):
        return open_stream(SplitDigits(**changes), tmp_path, offline=True).task(1).validation.rows

    assert torch.equal(held(), held(num_tasks=2))
    assert torch.equal(held(order_seed=3), held(order_seed=3, num_tasks=2))
    assert not torch.equal(held(), held(split_seed=1))


@pytest.mark.parametrize("num_tasks", [1, 3])
def test_split_cifar_shuffles_each_of_its_two_sets(tmp_path, num_tasks):
    make_cifar_folders(tmp_path)
    plain, shuffled = (classes_of(SplitCIFAR(num_tasks=num_tasks, order_seed=seed), tmp_path) for seed in (None, 3))
    assert plain[0] != shuffled[0]
    assert sorted(plain[0]) == sorted(shuffled[0])
    later = [name for task in shuffled[1:] for name in task]
    assert len(set(later)) == 10 * (num_tasks - 1)
    assert later == [] or sorted(later) != sorted(name for task in plain[1:] for name in task)
