from pathlib import Path

import pytest
import torch

from hypercl.config.models import ToyRegression
from hypercl.tasks import POLYNOMIALS, NoTestData, TaskStream, open_stream, open_with_test


def opened(tmp_path: Path, **keys: float) -> TaskStream:
    return open_with_test(ToyRegression(**keys), tmp_path / "absent", offline=True)  # pyright: ignore[reportArgumentType]


def test_the_paper_has_a_hundred_training_samples_and_fifty_of_test_data(tmp_path: Path) -> None:
    stream = opened(tmp_path)
    assert [(len(stream.task(index).train), len(stream.test(index))) for index in range(3)] == [(100, 50)] * 3
    assert stream.shape.num_outputs == 1


def test_test_data_lies_on_the_polynomial_and_training_data_about_it(tmp_path: Path) -> None:
    stream = opened(tmp_path, samples=4000)
    for index, polynomial in enumerate(POLYNOMIALS):
        task, test = stream.task(index), stream.test(index)
        x, y = test[torch.arange(50)]
        assert torch.equal(y, polynomial.value(x))
        assert [float(x[0]), float(x[-1])] == [polynomial.low, polynomial.high]
        for split in (task.train, task.validation):
            x, y = split[torch.arange(len(split))]
            assert polynomial.low <= x.min() <= x.max() <= polynomial.high
            assert float((y - polynomial.value(x)).std()) == pytest.approx(0.05, rel=0.1)


def test_training_and_validation_data_share_no_sample(tmp_path: Path) -> None:
    task = opened(tmp_path, samples=50, validation=0.1).task(1)
    train, held = set(task.train.rows.tolist()), set(task.validation.rows.tolist())
    assert (len(train), len(held), train & held) == (45, 5, set())


def test_the_split_seed_alone_decides_on_the_samples(tmp_path: Path) -> None:
    one, same, other = opened(tmp_path), opened(tmp_path), opened(tmp_path, split_seed=7)
    assert torch.equal(one.task(1).train.labels, same.task(1).train.labels)
    assert not torch.equal(one.task(1).train.labels, other.task(1).train.labels)


def test_a_stream_for_tuning_has_no_test_data_and_ends(tmp_path: Path) -> None:
    stream = open_stream(ToyRegression(num_tasks=2), tmp_path, offline=True)
    with pytest.raises(NoTestData):
        stream.test(0)
    with pytest.raises(IndexError):
        stream.task(2)


def test_skipped_tasks_are_left_out(tmp_path: Path) -> None:
    stream = opened(tmp_path, skip=2, num_tasks=1)
    assert stream.task(0).classes == (POLYNOMIALS[2].name,)
    with pytest.raises(ValueError, match="leaves 1 of the 3 tasks"):
        ToyRegression(skip=2, num_tasks=2)
