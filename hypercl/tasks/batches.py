"""Training batches as a function of the step: nothing has to be stored to resume after an interruption."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hypercl.seeds import generator
from hypercl.tasks.stream import Task


class Batches:
    """Endless passes over a task's training data, each in an order of its own.

    A batch is a function of (task index, batch size, seed, step) alone. Passes follow each other without a gap: a
    batch may hold the end of one pass and the start of the next, so all batches have one size.
    """

    def __init__(self, task: Task, batch_size: int, seed: int) -> None:
        self._task = task
        self._batch_size = batch_size
        self._seed = seed
        self._orders: dict[int, Tensor] = {}

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step, counted from 0 within the task.

        Returns:
            Inputs, float32, (batch_size, *input_shape), and labels, int64, (batch_size,), on the task's device.
        """
        images, labels = self._task.train[self.samples(step)]
        return self._task.inputs(self.augmented(images, step)), labels

    def augmented(self, images: Tensor, step: int) -> Tensor:
        """The images of a step's batch, augmented where the task says so."""
        if self._task.augment is None:
            return images
        keys = (self._seed, "augment", self._task.index, step)
        return self._task.augment(images, generator(*keys, device=images.device))

    def samples(self, step: int) -> Tensor:
        """The places of a step's batch in the task's training data: int64, (batch_size,)."""
        size = len(self._task.train)
        start = step * self._batch_size
        stop = start + self._batch_size
        passes = range(start // size, (stop - 1) // size + 1)
        self._orders = {
            number: self._orders[number] if number in self._orders else self._order(number) for number in passes
        }
        parts = [order[max(start - number * size, 0) : stop - number * size] for number, order in self._orders.items()]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _order(self, number: int) -> Tensor:
        """The order of a pass; drawn on the CPU, so that it is the same on every device."""
        keys = (self._seed, "batches", self._task.index, number)
        return torch.randperm(len(self._task.train), generator=generator(*keys)).to(self._task.train.rows.device)


class BundledBatches:
    """The batches of several seeds, each the one that `Batches` gives for it, read in one piece."""

    def __init__(self, task: Task, batch_size: int, seeds: Sequence[int]) -> None:
        self._task = task
        self._each = [Batches(task, batch_size, seed) for seed in seeds]

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """The batches of a step.

        Returns:
            Inputs, float32, (seeds, batch_size, *input_shape), and labels, int64, (seeds, batch_size).
        """
        samples = torch.stack([batches.samples(step) for batches in self._each])
        images, labels = self._task.train[samples.flatten()]
        if self._task.augment is not None:
            parts = zip(self._each, images.chunk(len(self._each)), strict=True)
            images = torch.cat([batches.augmented(part, step) for batches, part in parts])
        return torch.unflatten(self._task.inputs(images), 0, samples.shape), labels.view(samples.shape)


def steps_in_epochs(samples: int, batch_size: int, epochs: int) -> int:
    """Steps of a number of passes over the training data, each rounded up to whole batches."""
    return math.ceil(samples / batch_size) * epochs


class Samples:
    """A task's training data as it is: inputs that are not augmented, by their places."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __len__(self) -> int:
        return len(self._task.train)

    def __getitem__(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs, float32, (n, *input_shape), and labels, int64, (n,), on the task's device."""
        images, labels = self._task.train[samples.to(self._task.train.rows.device)]
        return self._task.inputs(images), labels
