from pathlib import Path
from typing import Any

import pytest
import torch

from hypercl.config.models import CopyTasks
from hypercl.tasks import NoTestData, TaskStream, open_stream, open_with_test, shape_of


def opened(tmp_path: Path, **keys: Any) -> TaskStream:
    return open_with_test(CopyTasks(samples=50, **keys), tmp_path / "absent", offline=True)


def test_an_input_is_the_symbols_a_mark_and_empty_steps(tmp_path: Path) -> None:
    stream = opened(tmp_path, symbols=8, length=5)
    assert stream.shape == shape_of(CopyTasks())
    assert (stream.shape.input_shape, stream.shape.steps, stream.shape.num_outputs) == ((11, 9), 5, 8)
    task = stream.task(0)
    images, labels = task.train[torch.arange(10)]
    inputs = task.inputs(images)
    assert torch.equal(inputs[:, :5, :8].argmax(-1), labels)
    assert torch.equal(inputs.sum(-1), torch.tensor([1.0] * 6 + [0.0] * 5).expand(10, -1))
    assert inputs[:, 5, 8].all()


def test_each_task_has_an_order_of_its_own(tmp_path: Path) -> None:
    stream = opened(tmp_path, length=6)
    orders: list[list[int]] = []
    for index in range(3):
        for split in (stream.task(index).train, stream.task(index).validation, stream.test(index)):
            images, labels = split[torch.arange(5)]
            symbols = images[:, :6, :8].argmax(-1)
            order = [
                next(place for place in range(6) if torch.equal(symbols[:, place], labels[:, answer]))
                for answer in range(6)
            ]
            orders.append(order)
    assert orders[0] == list(range(6))
    assert all(orders[3 * index] == orders[3 * index + 1] == orders[3 * index + 2] for index in range(3))
    assert len({tuple(order) for order in orders}) == 3


def test_no_test_sequence_is_learned_from(tmp_path: Path) -> None:
    stream = opened(tmp_path, symbols=14, length=3)  # 2,744 sequences, of which 500 draws are tests
    task, test = stream.task(1), stream.test(1)
    known = {image.numpy().tobytes() for image in task.train.images}
    assert len(task.train) + len(task.validation) == 50
    assert not any(image.numpy().tobytes() in known for image in test.images)
    assert not set(task.train.rows.tolist()) & set(task.validation.rows.tolist())


def test_seeds_decide_on_sequences_and_orders(tmp_path: Path) -> None:
    one, same, other, orders = (opened(tmp_path, **keys) for keys in ({}, {}, {"split_seed": 7}, {"order_seed": 7}))
    assert torch.equal(one.task(1).train.labels, same.task(1).train.labels)
    assert not torch.equal(one.task(1).train.images, other.task(1).train.images)
    assert torch.equal(one.test(1).images, other.test(1).images)
    assert torch.equal(one.task(1).train.images, orders.task(1).train.images)
    assert not torch.equal(one.task(1).train.labels, orders.task(1).train.labels)


def test_a_stream_for_tuning_has_no_test_data_and_ends(tmp_path: Path) -> None:
    stream = open_stream(CopyTasks(num_tasks=2, skip=1, heads="own"), tmp_path, offline=True)
    assert stream.shape.num_outputs == 16
    assert not torch.equal(stream.task(0).train.labels[0], stream.task(0).train.images[0, :5].argmax(-1))
    with pytest.raises(NoTestData):
        stream.test(0)
    with pytest.raises(IndexError):
        stream.task(2)


def test_too_few_sequences_are_refused() -> None:
    with pytest.raises(ValueError, match="2 symbols make 32 sequences of length 5, too few for 2,000"):
        CopyTasks(symbols=2)
