"""Accuracies are counted on the device, in batches, for all tasks."""

import torch
from torch import Tensor, nn

from hypercl.tasks import Split, Task
from hypercl.training.evaluate import Evaluation, accuracies


class Knowing:
    """Two replicas: one is always right, one says 0; counts what it is asked."""

    replicas, samples = 2, 4

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.asked: list[list[int]] = []

    def predictors(self, state: None, tasks: list[int]):
        del state
        self.asked.append(tasks)
        return (self._predict for _ in tasks)

    def _predict(self, inputs: Tensor) -> Tensor:
        self.sizes.append(len(inputs))
        right = nn.functional.one_hot(inputs.flatten().long() % 3, 3).float()
        return torch.stack([right, torch.tensor([1.0, 0, 0]).expand(len(inputs), 3)])


def a_task(index: int, samples: int) -> tuple[Task, Split]:
    images = torch.arange(samples, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    split = Split(images, torch.arange(samples), torch.arange(samples) % 3)
    return Task(index, ("a", "b", "c"), slice(0, 3), split, split, lambda pixels: pixels.float()), split


def test_every_sample_counts_once_and_each_batch_gives_a_turn() -> None:
    bundle, given = Knowing(), [a_task(2, 10), a_task(0, 3)]
    tasks, splits = zip(*given, strict=True)
    measuring, turns = accuracies(bundle, {}, Evaluation(tasks, splits)), 0  # pyright: ignore[reportArgumentType]
    try:
        while True:
            next(measuring)
            turns += 1
    except StopIteration as end:
        found = end.value
    assert found.accuracies == [[1.0, 1.0], [0.4, 1 / 3]]
    assert bundle.asked == [[2, 0]]
    assert bundle.sizes == [4, 4, 2, 3]
    assert turns == 4
