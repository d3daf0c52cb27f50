"""HNET+R: a plain classifier, protected by replay from a decoder that a hypernetwork generates (von Oswald et al.)."""

from collections.abc import Sequence

from hypercl.methods.generative_replay import GenerativeReplayLearner
from hypercl.methods.generator import HnetGenerator, HnetGeneratorMemory
from hypercl.methods.learner import Batch, Moment
from hypercl.methods.replay import Replayed


class HnetReplayLearner(GenerativeReplayLearner[HnetGenerator]):
    """Beside a batch of B, ceil(B / t) samples of each of the t earlier tasks; the classifier as it was answers."""

    def _generator(self) -> HnetGenerator:
        return HnetGenerator(self.parts)

    def _replay(self, source: HnetGeneratorMemory, batch: Batch, now: Moment) -> Sequence[Replayed]:
        _, labels = batch
        inputs = self.generator.draw(source, -(-labels.shape[-1] // now.task), now)
        return [Replayed(own, task) for task, own in enumerate(inputs.unbind(1 if self.bundled else 0))]
