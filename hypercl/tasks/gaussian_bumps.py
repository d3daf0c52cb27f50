"""Two-dimensional Gaussian densities to be learned one after the other, each where its own mass lies."""

from itertools import product
from math import pi

import torch
from torch import Tensor

from hypercl.config.models import GaussianBumps
from hypercl.seeds import derive
from hypercl.tasks.inputs import AsTheyAre
from hypercl.tasks.stream import Shape, Split, Task, TaskStream, shape_of

MEANS = tuple(product((-4.0, 0.0, 4.0), repeat=2))
TEST_SAMPLES = 50


class BumpStream(TaskStream):
    """Inputs are drawn from the density whose value is to be predicted, as functions of seed and index; no noise.

    Test inputs are functions of the index alone.
    """

    def __init__(self, config: GaussianBumps, with_test: bool) -> None:
        self._config, self._with_test = config, with_test

    @property
    def shape(self) -> Shape:
        return shape_of(self._config)

    def task(self, index: int) -> Task:
        config, mean = self._config, self._mean(index)
        inputs, values = self._drawn(mean, config.samples, derive(config.split_seed, "gaussian bumps", index))
        held = min(max(1, round(config.validation * config.samples)), config.samples - 1)
        rows = torch.arange(config.samples)
        validation, train = (Split(inputs, part, values[part]) for part in (rows[:held], rows[held:]))
        name = f"density around ({mean[0]:g}, {mean[1]:g})"
        return Task(index, (name,), self.shape.heads[index], train, validation, AsTheyAre())

    def test(self, index: int) -> Split:
        if not self._with_test:
            return super().test(index)
        inputs, values = self._drawn(self._mean(index), TEST_SAMPLES, derive("gaussian bumps test", index))
        return Split(inputs, torch.arange(TEST_SAMPLES), values)

    def _drawn(self, mean: tuple[float, ...], samples: int, seed: int) -> tuple[Tensor, Tensor]:
        """Points (samples, 2), and the density at each: (samples, 1)."""
        away = torch.randn(samples, 2, generator=torch.Generator().manual_seed(seed))
        peak = 1 / (2 * pi * self._config.width**2)
        density = peak * torch.exp(-away.square().sum(1, keepdim=True) / 2)
        return torch.tensor(mean) + self._config.width * away, density

    def _mean(self, index: int) -> tuple[float, ...]:
        if not 0 <= index < self._config.num_tasks:
            raise IndexError(f"the stream has the tasks 0 .. {self._config.num_tasks - 1}, not {index}")
        return MEANS[index]
