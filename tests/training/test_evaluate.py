"""Accuracies are counted on the device, in batches, for all tasks."""

import pytest
import torch
from torch import Tensor, nn

from hypercl.methods import Decision
from hypercl.tasks import Split, Task
from hypercl.training.evaluate import BINS, Evaluation, Measured, accuracies, accuracies_of_unknown


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


def measured(measuring) -> Measured:
    while True:
        try:
            next(measuring)
        except StopIteration as end:
            return end.value


def test_the_calibration_error_is_the_mean_over_tasks_of_how_far_confidence_lies_from_accuracy() -> None:
    tasks, splits = zip(a_task(2, 10), a_task(0, 3), strict=True)
    found = measured(accuracies(Knowing(), {}, Evaluation(tasks, splits, calibration=True)))
    sure = 2.718281828 / (2.718281828 + 2)
    wanted = [1 - sure, (abs(0.4 - sure) + abs(1 / 3 - sure)) / 2]
    assert found.calibration == pytest.approx(wanted)
    assert measured(accuracies(Knowing(), {}, Evaluation(tasks, splits))).calibration is None


class Deciding(Knowing):
    """Decides on random outputs with random confidence, of two replicas."""

    def __init__(self, sure: bool) -> None:
        draw = torch.Generator().manual_seed(1)
        self.outputs, self.confidence = torch.randint(3, (2, 500), generator=draw), torch.rand(2, 500, generator=draw)
        self.samples, self.sure = 64, sure

    def task_inferences(self, state: None, met: int):
        del state, met
        at = 0

        def decide(inputs: Tensor, before: Decision | None) -> Decision:
            nonlocal at
            del before
            rows = slice(at, at := at + len(inputs))
            return Decision(self.outputs[:, rows], confidence=self.confidence[:, rows] if self.sure else None)

        yield decide


def test_the_calibration_error_of_unknown_tasks_is_that_of_bins_counted_one_by_one() -> None:
    (task, split), bundle = a_task(0, 250), Deciding(sure=True)
    both = Evaluation([task, task], [split, split], "class", calibration=True)
    found = measured(accuracies_of_unknown(bundle, {}, both, 1))
    wanted = []
    for replica in range(2):
        errors = []
        for part in (slice(0, 250), slice(250, 500)):
            bins: dict[int, list[float]] = {}
            for place, (output, confidence) in enumerate(
                zip(bundle.outputs[replica, part].tolist(), bundle.confidence[replica, part].tolist(), strict=True)
            ):
                bins.setdefault(int(confidence * BINS), []).append((output == place % 3) - confidence)
            errors.append(sum(abs(sum(gaps)) for gaps in bins.values()) / 250)
        wanted.append(sum(errors) / 2)
    assert found.calibration == pytest.approx(wanted, abs=1e-5)


def test_decisions_without_confidence_have_no_calibration_error() -> None:
    task, split = a_task(0, 250)
    found = measured(accuracies_of_unknown(Deciding(sure=False), {}, Evaluation([task], [split], "class", True), 1))
    assert found.calibration is None


class Regressing(Knowing):
    """Two replicas predict 0 and 1 for everything; the first takes every sample for task 0."""

    def task_inferences(self, state: None, met: int):
        del state, met

        def decide(inputs: Tensor, before: Decision | None) -> Decision:
            assert before is None
            outputs = torch.stack([torch.zeros(len(inputs), 2), torch.ones(len(inputs), 2)])
            return Decision(outputs, torch.tensor([[0], [2]]).expand(2, len(inputs)))

        yield decide


def test_a_regression_of_unknown_tasks_has_errors_and_inferred_tasks() -> None:
    pairs = [a_task(0, 10), a_task(2, 5)]
    targets = [torch.randn(len(split), 2, generator=torch.Generator().manual_seed(1)) for _, split in pairs]
    splits = [Split(split.images, split.rows, target) for (_, split), target in zip(pairs, targets, strict=True)]
    what = Evaluation([task for task, _ in pairs], splits, "domain", calibration=True)
    found = measured(accuracies_of_unknown(Regressing(), {}, what, 2))
    assert found.mse is not None
    for replica, value in enumerate((0.0, 1.0)):
        errors = [float((target - value).square().mean()) for target in targets]
        assert found.mse[replica] == pytest.approx(errors)
        parts = zip(errors, targets, strict=True)
        explained = [max(0, 1 - error / float(target.var(dim=0, correction=0).mean())) for error, target in parts]
        assert found.accuracies[replica] == pytest.approx(explained)
    assert found.inferred == [[1.0, 0.0], [0.0, 1.0]]
    assert found.calibration is None
