"""One-dimensional polynomials to be learned one after the other (von Oswald et al., 2020, figure 2)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hypercl.config.models import ToyRegression
from hypercl.seeds import derive
from hypercl.tasks.inputs import AsTheyAre
from hypercl.tasks.stream import Shape, Split, Task, TaskStream, shape_of

TEST_SAMPLES = 50


@dataclass(frozen=True)
class Polynomial:
    """The function that a task is to learn."""

    name: str
    low: float
    high: float
    """Its inputs lie between these."""
    value: Callable[[Tensor], Tensor]

    def spaced(self, count: int) -> Tensor:
        """Equally spaced inputs: (count, 1)."""
        return torch.linspace(self.low, self.high, count).unsqueeze(1)


POLYNOMIALS = (
    Polynomial("x + 3", -4, -2, lambda x: x + 3),
    Polynomial("2 x\u00b2 - 1", -1, 1, lambda x: 2 * x**2 - 1),
    Polynomial("(x - 3)\u00b3", 2, 4, lambda x: (x - 3) ** 3),
)


class ToyStream(TaskStream):
    """Each task is one polynomial; samples are functions of `split_seed` and the task's index."""

    def __init__(self, config: ToyRegression, with_test: bool) -> None:
        self._config, self._with_test = config, with_test

    @property
    def shape(self) -> Shape:
        return shape_of(self._config)

    def task(self, index: int) -> Task:
        polynomial, config = self._polynomial(index), self._config
        random = torch.Generator().manual_seed(derive(config.split_seed, "toy regression", index))
        share = torch.rand(config.samples, 1, generator=random)
        x = polynomial.low + (polynomial.high - polynomial.low) * share
        y = polynomial.value(x) + config.noise * torch.randn(x.shape, generator=random)
        held = min(max(1, round(config.validation * config.samples)), config.samples - 1)
        rows = torch.arange(config.samples)
        validation, train = (Split(x, part, y[part]) for part in (rows[:held], rows[held:]))
        return Task(index, (polynomial.name,), self.shape.heads[index], train, validation, AsTheyAre())

    def test(self, index: int) -> Split:
        if not self._with_test:
            return super().test(index)
        polynomial = self._polynomial(index)
        x = polynomial.spaced(TEST_SAMPLES)
        return Split(x, torch.arange(TEST_SAMPLES), polynomial.value(x))

    def _polynomial(self, index: int) -> Polynomial:
        if not 0 <= index < self._config.num_tasks:
            raise IndexError(f"the stream has the tasks 0 .. {self._config.num_tasks - 1}, not {index}")
        return POLYNOMIALS[index]
