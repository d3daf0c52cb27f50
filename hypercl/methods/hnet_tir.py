"""HNET+TIR: a plain network, trained with replay, tells which task a sample is from (von Oswald et al., 2020)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from hypercl.config import Experiment
from hypercl.methods.generative_replay import named
from hypercl.methods.generator import HnetGenerator, HnetGeneratorMemory
from hypercl.methods.hnet import AnyAnchor, HnetLearner
from hypercl.methods.learner import (
    Batch,
    Decision,
    LearnerSpec,
    Losses,
    Memory,
    State,
    StepInfo,
    TaskData,
    TaskInference,
)
from hypercl.methods.plain import plain_network
from hypercl.methods.replay import Replayed, ReplayLearner, ReplayMemory
from hypercl.seeds import derive
from hypercl.tasks import Shape


@dataclass(frozen=True)
class HnetTirMemory:
    """What stays as it is while a task is learned."""

    anchor: AnyAnchor | None
    """Of the classifier's regulariser."""
    generator: HnetGeneratorMemory


class HnetTirLearner(HnetLearner):
    """Trained as `hnet`; where the task is not given, the inference network names it, and its network predicts.

    Adds to the state `inference` and `generator`, the states of the inference network and of what it is replayed from.
    At the first task there is one class to infer, and nothing is trained for it.
    """

    def __init__(self, parts: LearnerSpec) -> None:
        super().__init__(parts)
        self.generator = HnetGenerator(parts)
        self.inference = InferenceNetwork(parts, self.generator)

    def init(self) -> State:
        return {**super().init(), "inference": self.inference.init(), "generator": self.generator.init()}

    def start_task(self, state: State, task: int) -> State:
        inference = self.inference.start_task(state["inference"], task)
        generator = self.generator.start_task(state["generator"], task)
        return {**super().start_task(state, task), "inference": inference, "generator": generator}

    def task_context(self, state: State, task: int) -> HnetTirMemory:
        return HnetTirMemory(super().task_context(state, task), self.generator.task_context(state["generator"], task))

    def step(self, state: State, memory: Memory, batches: Sequence[Batch], now: StepInfo) -> tuple[State, Losses]:
        state, losses = super().step(state, memory.anchor, batches, now)
        if now.task:
            one_class = [(inputs, torch.zeros_like(labels)) for inputs, labels in batches]
            replayed = ReplayMemory(None, memory.generator)
            state["inference"], costs = self.inference.step(state["inference"], replayed, one_class, now)
            losses |= named("inference", costs)
        state["generator"], costs = self.generator.step(state["generator"], memory.generator, batches, now)
        return state, losses | named("generator", costs)

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        inference = self.inference.end_task(state["inference"], task, data)
        generator = self.generator.end_task(state["generator"], task, data)
        return {**super().end_task(state, task, data), "inference": inference, "generator": generator}

    def task_inferences(self, state: State, met: int) -> Iterator[TaskInference]:
        """A pass that infers tasks, then one of each task met, which decides for the samples taken for its own."""
        for infer in self.inference.task_inferences(state["inference"], met):
            yield partial(_inferred, infer)
        for task, predict in enumerate(self.predictors(state, range(met))):
            yield partial(_of_its_own, predict, task, self.parts.heads[task].start)

    def replayed(self, state: State, task: int, count: int) -> Tensor | None:
        return self.generator.sample(state["generator"], task, count)

    def inference_state(self, state: State) -> State:
        known = {key: value for key, value in super().inference_state(state).items() if key != "generator"}
        return {**known, "inference": self.inference.inference_state(state["inference"])}


class InferenceNetwork(ReplayLearner):
    """A network of the classifier's kind with an output for each task: tasks are the classes of a stream of its own.

    Args:
        parts: the classifier's.
        generator: what replays earlier tasks' inputs.
    """

    def __init__(self, parts: LearnerSpec, generator: HnetGenerator) -> None:
        shape = Shape(parts.shape.input_shape, (1,) * parts.shape.num_tasks, "class")
        network, weights = plain_network(
            parts.experiment.target, shape.input_shape, shape.num_outputs, parts.device, parts.import_paths
        )
        variants = tuple(map(_of_inference, parts.variants))
        super().__init__(replace(parts, target=network, hypernet=weights, shape=shape, variants=variants))
        self.generator = generator

    def _replay(self, source: HnetGeneratorMemory, batch: Batch, now: StepInfo) -> Sequence[Replayed]:
        """ceil(B / t) samples of each of the t earlier tasks."""
        _, labels = batch
        inputs = self.generator.draw(source, -(-labels.shape[-1] // now.task), now)
        axis = 1 if self.bundled else 0
        only = labels.new_zeros((*labels.shape[:-1], inputs.shape[axis + 1]))
        return [Replayed(own, task, only) for task, own in enumerate(inputs.unbind(axis))]


def _of_inference(variant: Experiment) -> Experiment:
    """The setting of a replica with random numbers of its own."""
    training = variant.training.model_copy(update={"seed": derive(variant.training.seed, "inference")})
    return variant.model_copy(update={"training": training})


def _inferred(infer: TaskInference, inputs: Tensor, before: Decision | None) -> Decision:
    """The task of each sample; no output is decided on yet."""
    tasks = infer(inputs, before).outputs
    return Decision(torch.zeros_like(tasks), tasks)


def _of_its_own(
    predict: Callable[[Tensor], Tensor], task: int, first_output: int, inputs: Tensor, before: Decision | None
) -> Decision:
    """A task's answers to the samples taken for its own."""
    if before is None or before.tasks is None:
        raise ValueError("tasks are inferred first")
    outputs = predict(inputs).argmax(-1) + first_output
    return Decision(torch.where(before.tasks == task, outputs, before.outputs), before.tasks)
