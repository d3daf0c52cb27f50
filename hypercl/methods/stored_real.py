"""All training data of earlier tasks is kept and learned on: the upper bound of replay."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from hypercl.methods.learner import Batch, Losses, Moment, State
from hypercl.methods.replay import Replayed, ReplayLearner, ReplayMemory


class StoredRealLearner(ReplayLearner):
    """A step replays the first ceil(batch / t) samples of a batch of each of the t tasks before its own.

    Not `joint`, which gives each task a whole batch and all tasks the same weight.
    """

    def trains_on(self, task: int) -> Sequence[int]:
        return range(task + 1)

    def step(
        self, state: State, memory: ReplayMemory, batches: Sequence[Batch], now: Moment
    ) -> tuple[State, Losses]:
        *earlier, new = batches
        return super().step(state, replace(memory, source=earlier), [new], now)

    def _adapts(self, task: int) -> Sequence[int]:
        return [task]

    def _replay(self, source: Sequence[Batch], batch: Batch, now: Moment) -> Sequence[Replayed]:
        count = ceil(batch[1].shape[-1] / now.task)
        return [
            Replayed(inputs.narrow(self.samples_axis, 0, count), task, labels[..., :count])
            for task, (inputs, labels) in enumerate(source)
        ]
