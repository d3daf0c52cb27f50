"""A classifier that replays what a generator draws; the generator learns each task's inputs beside it."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from torch import Tensor

from hypercl.methods.generator import HnetGenerator, HnetGeneratorMemory, PlainGenerator
from hypercl.methods.learner import Batch, LearnerSpec, Losses, Memory, State, StepInfo, TaskData
from hypercl.methods.replay import Replayed, ReplayLearner

AnyGenerator = TypeVar("AnyGenerator", HnetGenerator, PlainGenerator)


class GenerativeReplayLearner(ReplayLearner, Generic[AnyGenerator]):
    """Classifier and generator take a step each on the same new batch.

    Their parameters have nothing in common, and what is replayed is drawn from the generator as it was before the task:
    so this is the same as training one after the other. The last task's inputs are learned too, for the pictures.
    Adds to the state `generator`, its own state.
    """

    def __init__(self, parts: LearnerSpec) -> None:
        super().__init__(parts)
        self.generator: AnyGenerator = self._generator()

    @abstractmethod
    def _generator(self) -> AnyGenerator:
        """What learns the inputs."""

    def init(self) -> State:
        return {**super().init(), "generator": self.generator.init()}

    def start_task(self, state: State, task: int) -> State:
        return {**super().start_task(state, task), "generator": self.generator.start_task(state["generator"], task)}

    def step(self, state: State, memory: Memory, batches: Sequence[Batch], now: StepInfo) -> tuple[State, Losses]:
        state, losses = super().step(state, memory, batches, now)
        generator, costs = self.generator.step(state["generator"], memory.source, batches, now)
        return {**state, "generator": generator}, losses | named("generator", costs)

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        own = self.generator.end_task(state["generator"], task, data)
        return {**super().end_task(state, task, data), "generator": own}

    def replayed(self, state: State, task: int, count: int) -> Tensor | None:
        return self.generator.sample(state["generator"], task, count)

    def inference_state(self, state: State) -> State:
        return {key: value for key, value in super().inference_state(state).items() if key != "generator"}

    def _source(self, state: State, task: int) -> Any:
        return self.generator.task_context(state["generator"], task)


def named(part: str, losses: Losses) -> Losses:
    """A part's losses among those of a whole: its task loss by the part's name, all else by both."""
    return {part if name == "task" else f"{part}_{name}": value for name, value in losses.items()}


class DGRLearner(GenerativeReplayLearner[PlainGenerator]):
    """Beside a batch of B, B samples of whichever earlier tasks; the classifier as it was answers."""

    def _generator(self) -> PlainGenerator:
        return PlainGenerator(self.parts, self.share)

    def _replay(self, source: Tensor, batch: Batch, now: StepInfo) -> Sequence[Replayed]:
        _, labels = batch
        return [Replayed(self.generator.draw(source, labels.shape[-1], now), None)]

    def replayed(self, state: State, task: int, count: int) -> Tensor | None:
        """Samples of all tasks are drawn at once: they are given for the first one."""
        return None if task else super().replayed(state, task, count)


class HnetReplayLearner(GenerativeReplayLearner[HnetGenerator]):
    """Beside a batch of B, ceil(B / t) samples of each of the t earlier tasks; the classifier as it was answers."""

    def _generator(self) -> HnetGenerator:
        return HnetGenerator(self.parts)

    def _replay(self, source: HnetGeneratorMemory, batch: Batch, now: StepInfo) -> Sequence[Replayed]:
        _, labels = batch
        inputs = self.generator.draw(source, -(-labels.shape[-1] // now.task), now)
        return [Replayed(own, task) for task, own in enumerate(inputs.unbind(1 if self.bundled else 0))]
