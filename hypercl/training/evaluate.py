"""How well each replica of a bundle predicts: samples classified correctly, or the squared error of a regression."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hypercl.methods import Decision, State, confidence_of
from hypercl.tasks import Split, Task
from hypercl.tensors import numbers
from hypercl.training.bundle import Bundle


@dataclass(frozen=True)
class Measured:
    """Of each replica on each task, (replicas, tasks); fractions but for `mse`."""

    accuracies: list[list[float]]
    """Of a regression R^2 = 1 - MSE / variance of the targets, at least 0."""
    inferred: list[list[float]] | None = None
    """Samples whose task was inferred correctly, by the method or, in scenario class, by the output decided on, which
    belongs to one task; None where no task is inferred."""
    mse: list[list[float]] | None = None
    """The mean squared error of a regression; None of classes."""
    calibration: list[float] | None = None
    """Each replica's calibration error, the mean over the tasks; None where it was not asked for, or a method's
    decisions come without confidence."""


@dataclass(frozen=True)
class Evaluation:
    """What is measured: splits of some tasks."""

    tasks: Sequence[Task]
    splits: Sequence[Split]
    """One of each task."""
    scenario: str = "task"
    calibration: bool = False
    """Whether to measure the calibration error too."""

    @property
    def regression(self) -> bool:
        """Whether numbers are predicted, and not classes."""
        return self.splits[0].labels.is_floating_point()

    def explained(self, mse: list[list[float]]) -> list[list[float]]:
        """R^2 of mean squared errors, (replicas, tasks): 0 where it is negative, or where the targets do not vary."""
        variances = [float(split.labels.var(dim=0, correction=0).mean()) for split in self.splits]
        return [
            [
                max(0.0, 1 - error / variance) if variance else 0.0
                for error, variance in zip(row, variances, strict=True)
            ]
            for row in mse
        ]

    def batches(self, place: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels of the split at a place, `size` samples at once."""
        task, split = self.tasks[place], self.splits[place]
        for samples in torch.split(torch.arange(len(split), device=split.rows.device), size):
            images, labels = split[samples]
            yield task.inputs(images), labels

    def answers(self, split: Split) -> int:
        """Classes to predict: one a sample, or one for each of some steps; of a regression the samples."""
        return len(split) if self.regression else split.labels.numel()

    def means(self, counts: Sequence[Tensor]) -> list[list[float]]:
        """Sums over samples, (replicas,) of each task, as means; the host waits for them here."""
        rows, sizes = numbers(torch.stack(list(counts), dim=1)), [self.answers(split) for split in self.splits]
        return [[right / size for right, size in zip(row, sizes, strict=True)] for row in rows]


def accuracies(bundle: Bundle, state: State, what: Evaluation) -> Generator[None, None, Measured]:
    """Each replica's accuracies, or errors of a regression, the task's identity given.

    The counts stay on the device until the last batch: the host waits for it once.

    Args:
        bundle: whose predictions.
        state: its state, or its knowledge.
        what: splits of some tasks.

    Yields:
        After each batch: the caller's turn.
    """
    counts: list[Tensor] = []
    gaps: list[Tensor] = []
    predictors = bundle.predictors(state, [task.index for task in what.tasks])
    for place, predict in enumerate(predictors):
        total, gap = yield from _summed(bundle, predict, what, place)
        counts.append(total)
        gaps.append(gap)
    means = what.means(counts)
    if what.regression:
        return Measured(what.explained(means), mse=means)
    return Measured(means, calibration=_calibration(gaps, what) if what.calibration else None)


def accuracies_of_unknown(bundle: Bundle, state: State, what: Evaluation, met: int) -> Generator[None, None, Measured]:
    """Each replica's accuracies, or errors of a regression, where the task's identity is not given.

    Every pass goes over all samples, so that a method holds the networks of few tasks at a time. A class is right if
    it is the output of the sample's own class: in scenario class among those of all tasks.

    Args:
        bundle: whose predictions.
        state: its state, or its knowledge.
        what: splits of some tasks.
        met: tasks met so far, among which to decide.

    Yields:
        After each batch: the caller's turn.
    """
    decided: dict[tuple[int, int], Decision] = {}
    places = range(len(what.tasks))
    for decide in bundle.task_inferences(state, met):
        for place in places:
            for number, (inputs, _) in enumerate(what.batches(place, bundle.samples)):
                decided[place, number] = decide(inputs, decided.get((place, number)))
                yield
    right: list[Tensor] = []
    inferred: list[Tensor] = []
    gaps: list[Tensor] = []
    for place in places:
        task, decisions = what.tasks[place], [decision for (at, _), decision in decided.items() if at == place]
        outputs = torch.cat([decision.outputs for decision in decisions], dim=1)
        if what.regression:
            right.append(_squared_errors(outputs, what.splits[place].labels))
        else:
            correct = outputs == what.splits[place].labels + task.head.start
            right.append(correct.sum(dim=1))
            confidences = [decision.confidence for decision in decisions if decision.confidence is not None]
            if what.calibration and confidences:
                gaps.append(_gaps(correct, torch.cat(confidences, dim=1)))
        tasks = [decision.tasks for decision in decisions if decision.tasks is not None]
        if tasks:
            inferred.append((torch.cat(tasks, dim=1) == task.index).sum(dim=1))
        elif what.scenario == "class":
            inferred.append(((outputs >= task.head.start) & (outputs < task.head.stop)).sum(dim=1))
    means, rates = what.means(right), what.means(inferred) if inferred else None
    if what.regression:
        return Measured(what.explained(means), rates, mse=means)
    return Measured(means, rates, calibration=_calibration(gaps, what) if gaps else None)


def _summed(
    bundle: Bundle, predict: Callable[[Tensor], Tensor], what: Evaluation, place: int
) -> Generator[None, None, tuple[Tensor, Tensor]]:
    """Samples that each replica classifies correctly, or its squared errors over all samples: (replicas,); and the sums
    of `_gaps`, where calibration is asked for."""
    device = what.splits[place].rows.device
    total = torch.zeros(bundle.replicas, dtype=torch.float32 if what.regression else torch.int64, device=device)
    gaps = torch.zeros(bundle.replicas, BINS, device=device)
    for inputs, labels in what.batches(place, bundle.samples):
        outputs = predict(inputs)
        if what.regression:
            total += _squared_errors(outputs, labels)
        else:
            outputs, labels = outputs.flatten(1, -2), labels.flatten()  # steps with classes count one by one
            correct = outputs.argmax(dim=2) == labels
            total += correct.sum(dim=1)
            if what.calibration:
                gaps += _gaps(correct, confidence_of(outputs))
        yield
    return total, gaps


def _squared_errors(outputs: Tensor, labels: Tensor) -> Tensor:
    """The mean over a sample's outputs (replicas, samples, outputs), summed over the samples: (replicas,)."""
    return (outputs - labels).square().mean(dim=2).sum(dim=1)


BINS = 15
"""Of equal width, as Guo et al. (2017) have them."""


def _gaps(correct: Tensor, confidence: Tensor) -> Tensor:
    """Sum of correctness - confidence over the samples of each bin of confidence: (replicas, BINS)."""
    bins = (confidence * BINS).ceil().clamp(1, BINS) - 1
    members = bins.unsqueeze(-1) == torch.arange(BINS, device=bins.device)
    return ((correct.float() - confidence).unsqueeze(-1) * members).sum(dim=1)


def _calibration(gaps: Sequence[Tensor], what: Evaluation) -> list[float]:
    """Expected calibration error: sum over bins of (n_b / n) |accuracy - mean confidence|, the mean over tasks
    (Guo et al., 2017, arXiv 1706.04599, eq. 3)."""
    errors = [gap.abs().sum(dim=1) / what.answers(split) for gap, split in zip(gaps, what.splits, strict=True)]
    return numbers(torch.stack(errors).mean(dim=0))
