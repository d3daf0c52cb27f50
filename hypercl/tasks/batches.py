"""Training batches as a function of the step, so that resuming needs no stored state."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hypercl.seeds import generator
from hypercl.tasks.stream import Task
from hypercl.tensors import on_device


class Batches:
    """Endless passes over a task's training data, each in its own order.

    A batch is a function of (task index, batch size, seed, step) only. A batch may contain the end of one pass and the
    start of the next, so all batches have the same size.
    """

    def __init__(self, task: Task, batch_size: int, seed: int) -> None:
        self._task = task
        self._batch_size = batch_size
        self._seed = seed
        self._orders: dict[int, Tensor] = {}

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step, counted from 0 within the task.

        Returns:
            Inputs, float32, (batch_size, *input_shape), and labels, (batch_size, ...), on the task's device.
        """
        images, labels = self._task.train[self.samples(step)]
        return self._task.inputs(self.augmented(images, step)), labels

    def augmented(self, images: Tensor, step: int) -> Tensor:
        """The images of a step's batch, augmented if the task augments."""
        if self._task.augment is None:
            return images
        keys = (self._seed, "augment", self._task.index, step)
        return self._task.augment(images, generator(*keys, device=images.device))

    def samples(self, step: int) -> Tensor:
        """Indices of a step's batch in the task's training data: int64, (batch_size,)."""
        size, start = len(self._task.train), step * self._batch_size
        stop = start + self._batch_size
        passes = range(start // size, (stop - 1) // size + 1)
        kept = self._orders
        self._orders = {number: kept[number] if number in kept else self._order(number) for number in passes}
        parts = [order[max(start - number * size, 0) : stop - number * size] for number, order in self._orders.items()]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _order(self, number: int) -> Tensor:
        """The order of a pass, drawn on the CPU, so that it does not depend on the device."""
        keys = (self._seed, "batches", self._task.index, number)
        order = torch.randperm(len(self._task.train), generator=generator(*keys))
        return on_device(order, self._task.train.rows.device)


class BundledBatches:
    """The batches of several seeds, each as of `Batches`, read at once."""

    def __init__(self, task: Task, batch_size: int, seeds: Sequence[int]) -> None:
        self._task = task
        self._replicas = [Batches(task, batch_size, seed) for seed in seeds]

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """The batches of a step.

        Returns:
            Inputs, float32, (seeds, batch_size, *input_shape), and labels, (seeds, batch_size, ...).
        """
        samples = torch.stack([batches.samples(step) for batches in self._replicas])
        images, labels = self._task.train[samples.flatten()]
        if self._task.augment is not None:
            parts = zip(self._replicas, images.chunk(len(self._replicas)), strict=True)
            images = torch.cat([batches.augmented(part, step) for batches, part in parts])
        return torch.unflatten(self._task.inputs(images), 0, samples.shape), torch.unflatten(labels, 0, samples.shape)


def steps_in_epochs(samples: int, batch_size: int, epochs: int) -> int:
    """Steps of a number of epochs, each rounded up to whole batches."""
    return math.ceil(samples / batch_size) * epochs


class Samples:
    """A task's training data by index, not augmented."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __len__(self) -> int:
        return len(self._task.train)

    def __getitem__(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs, float32, (n, *input_shape), and labels, (n, ...), on the task's device."""
        images, labels = self._task.train[samples.to(self._task.train.rows.device)]
        return self._task.inputs(images), labels
