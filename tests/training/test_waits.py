"""On a GPU the host never waits in a step.

The first step of a task is left out: its operations are counted, and a generator looks at the range of the inputs.
"""

from collections.abc import Iterator

import pytest
import torch

from hypercl.tasks import Task, open_stream
from tests.every_step import CASES, experiment, steps
from tests.pretended_gpu import DEVICE, PretendedGpu, pretended_gpu


@pytest.fixture
def gpu() -> Iterator[PretendedGpu]:
    with pretended_gpu() as gpu:
        yield gpu


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[Task]:
    stream = open_stream(experiment().tasks, tmp_path_factory.mktemp("data"), offline=True)
    return [stream.task(index) for index in range(3)]


@pytest.mark.parametrize("case", CASES)
def test_the_host_does_not_wait_in_a_step(gpu: PretendedGpu, tasks: list[Task], case: str) -> None:
    turns = steps(case, tasks, DEVICE)
    next(turns)
    gpu.reset()
    _, divergence = next(turns)
    assert not gpu.waits
    assert sum(gpu.kernels.values()) > 15
    assert not divergence.check(2)
    assert gpu.waits


@pytest.mark.usefixtures("gpu")
def test_tasks_share_one_copy_of_their_images(tasks: list[Task]) -> None:
    first, second = (tasks[index].to(DEVICE) for index in (0, 1))
    assert first.train.images is second.train.images is second.validation.images
    samples = torch.tensor([3, 5])
    for there, here in zip(first.train[samples.to(DEVICE)], tasks[0].train[samples], strict=True):
        assert there.tolist() == here.tolist()
