"""Deep generative replay (Shin et al., 2017), and with soft targets DGR with distillation (van de Ven & Tolias)."""

from collections.abc import Sequence

from torch import Tensor

from hypercl.methods.generative_replay import GenerativeReplayLearner
from hypercl.methods.generator import PlainGenerator
from hypercl.methods.learner import Batch, Moment, State
from hypercl.methods.replay import Replayed


class DGRLearner(GenerativeReplayLearner[PlainGenerator]):
    """Beside a batch of B, B samples of whichever earlier tasks; the classifier as it was answers."""

    def _generator(self) -> PlainGenerator:
        return PlainGenerator(self.parts, self.share)

    def _replay(self, source: Tensor, batch: Batch, now: Moment) -> Sequence[Replayed]:
        _, labels = batch
        return [Replayed(self.generator.draw(source, labels.shape[-1], now), None)]

    def replayed(self, state: State, task: int, count: int) -> Tensor | None:
        """Samples of all tasks are drawn at once: they are given for the first one."""
        return None if task else super().replayed(state, task, count)
