"""Sequences to be repeated, by each task in an order of its own."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from hypercl.config.models import CopyTasks
from hypercl.seeds import derive
from hypercl.tasks.inputs import AsTheyAre
from hypercl.tasks.stream import Shape, Split, Task, TaskStream, shape_of

TEST_SAMPLES = 500


class CopyStream(TaskStream):
    """Sequences are functions of `split_seed` and the task's index; test sequences of the index alone.

    No training or validation sequence is one of the task's test sequences.
    """

    def __init__(self, config: CopyTasks, with_test: bool) -> None:
        self._config, self._with_test = config, with_test

    @property
    def shape(self) -> Shape:
        return shape_of(self._config)

    def task(self, index: int) -> Task:
        config, order = self._config, self._order(index)
        drawn = self._drawn(4 * config.samples, derive(config.split_seed, "copy", index))
        sequences = drawn[~torch.isin(self._numbers(drawn), self._numbers(self._tested(index)))][: config.samples]
        held = min(max(1, round(config.validation * len(sequences))), len(sequences) - 1)
        images, rows = self._inputs(sequences), torch.arange(len(sequences))
        labels = sequences[:, order]
        validation, train = (Split(images, part, labels[part]) for part in (rows[:held], rows[held:]))
        classes = tuple(map(str, range(config.symbols)))
        return Task(index, classes, self.shape.heads[index], train, validation, AsTheyAre())

    def test(self, index: int) -> Split:
        if not self._with_test:
            return super().test(index)
        order, sequences = self._order(index), self._tested(index)
        return Split(self._inputs(sequences), torch.arange(len(sequences)), sequences[:, order])

    def _order(self, index: int) -> Tensor:
        """Of the places of the sequence, in which a task repeats it: int64, (length,)."""
        if not 0 <= index < self._config.num_tasks:
            raise IndexError(f"the stream has the tasks 0 .. {self._config.num_tasks - 1}, not {index}")
        if not index:
            return torch.arange(self._config.length)
        random = torch.Generator().manual_seed(derive(self._config.order_seed, "order", index))
        return torch.randperm(self._config.length, generator=random)

    def _tested(self, index: int) -> Tensor:
        return self._drawn(TEST_SAMPLES, derive("copy test", index))

    def _drawn(self, samples: int, seed: int) -> Tensor:
        """Random symbols: int64, (samples, length)."""
        shape = (samples, self._config.length)
        return torch.randint(self._config.symbols, shape, generator=torch.Generator().manual_seed(seed))

    def _numbers(self, sequences: Tensor) -> Tensor:
        """Each sequence as a number, equal for equal ones: int64, (samples,)."""
        places = self._config.symbols ** torch.arange(self._config.length)
        return (sequences * places).sum(1)

    def _inputs(self, sequences: Tensor) -> Tensor:
        """The symbols one after the other, a mark, and as many empty steps: float32, (samples, steps, symbols + 1)."""
        steps, features = self.shape.input_shape
        inputs = torch.zeros(len(sequences), steps, features)
        length = self._config.length
        inputs[:, :length, :-1] = one_hot(sequences, features - 1).float()
        inputs[:, length, -1] = 1.0
        return inputs
