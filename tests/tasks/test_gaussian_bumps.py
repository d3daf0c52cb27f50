from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributions import MultivariateNormal

from hypercl.config.models import GaussianBumps
from hypercl.tasks import NoTestData, TaskStream, open_stream, open_with_test


def opened(tmp_path: Path, **keys: Any) -> TaskStream:
    return open_with_test(GaussianBumps(**keys), tmp_path / "absent", offline=True)


def test_the_authors_have_a_thousand_training_samples_and_fifty_of_test_data(tmp_path: Path) -> None:
    stream = opened(tmp_path)
    assert (stream.shape.input_shape, stream.shape.num_outputs, stream.shape.num_tasks) == ((2,), 1, 9)
    assert [(len(stream.task(index).train), len(stream.test(index))) for index in (0, 8)] == [(1000, 50)] * 2


def test_a_task_is_the_density_of_its_own_points(tmp_path: Path) -> None:
    stream = opened(tmp_path, samples=4000, width=0.7)
    means: list[tuple[float, ...]] = []
    for index in range(9):
        task = stream.task(index)
        points, _ = task.train[torch.arange(len(task.train))]
        mean = tuple(4.0 * round(float(coordinate) / 4) for coordinate in points.mean(0))
        means.append(mean)
        torch.testing.assert_close(points.std(0), torch.full((2,), 0.7), rtol=0.1, atol=0)
        density = MultivariateNormal(torch.tensor(mean), 0.49 * torch.eye(2))
        for split in (task.train, task.validation, stream.test(index)):
            points, values = split[torch.arange(len(split))]
            torch.testing.assert_close(values[:, 0], density.log_prob(points).exp())
    assert means == [(x, y) for x in (-4.0, 0.0, 4.0) for y in (-4.0, 0.0, 4.0)]


def test_the_split_seed_moves_samples_and_not_the_test_set(tmp_path: Path) -> None:
    one, same, other = opened(tmp_path), opened(tmp_path), opened(tmp_path, split_seed=7)
    assert torch.equal(one.task(1).train.images, same.task(1).train.images)
    assert not torch.equal(one.task(1).train.images, other.task(1).train.images)
    assert torch.equal(one.test(1).images, other.test(1).images)
    task = one.task(1)
    assert not set(task.train.rows.tolist()) & set(task.validation.rows.tolist())


def test_a_stream_for_tuning_has_no_test_data_and_ends(tmp_path: Path) -> None:
    stream = open_stream(GaussianBumps(num_tasks=2, skip=1), tmp_path, offline=True)
    assert stream.task(0).classes == ("density around (-4, 0)",)
    with pytest.raises(NoTestData):
        stream.test(0)
    with pytest.raises(IndexError):
        stream.task(2)
    with pytest.raises(ValueError, match="leaves 1 of the 9 tasks"):
        GaussianBumps(skip=8, num_tasks=2)
