"""Methods that replay a generator's samples: DGR, HNET+R, and HNET+TIR for its task inference."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor

from hypercl.config.models import HnetReplay
from hypercl.methods.generator import HnetGenerator, HnetGeneratorContext, PlainGenerator, reseeded
from hypercl.methods.hnet import AnyAnchor, HnetLearner
from hypercl.methods.learner import (
    Batch,
    Decision,
    LearnerSpec,
    Losses,
    State,
    StepInfo,
    TaskContext,
    TaskData,
    TaskInference,
    confidence_of,
)
from hypercl.methods.plain import plain_network
from hypercl.methods.replay import ReplayContext, Replayed, ReplayLearner
from hypercl.tasks import Shape

AnyGenerator = TypeVar("AnyGenerator", HnetGenerator, PlainGenerator)


class GenerativeReplayLearner(ReplayLearner, Generic[AnyGenerator]):
    """Classifier and generator take a step each on the same new batch.

    They share no parameters, and samples come from the generator before the task, so this equals training one after
    the other. The last task's inputs are learned too, for the figures.
    Adds to the state `generator`, its own state.
    """

    training_only = (*ReplayLearner.training_only, "generator")

    def __init__(self, spec: LearnerSpec) -> None:
        super().__init__(spec)
        self.generator: AnyGenerator = self._generator()

    @abstractmethod
    def _generator(self) -> AnyGenerator:
        """Builds the generator."""

    def init(self) -> State:
        return {**super().init(), "generator": self.generator.init()}

    def start_task(self, state: State, task: int) -> State:
        return {**super().start_task(state, task), "generator": self.generator.start_task(state["generator"], task)}

    def step(
        self, state: State, context: TaskContext, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[State, Losses]:
        state, losses = super().step(state, context, batches, info)
        generator, costs = self.generator.step(state["generator"], context.source, batches, info)
        return {**state, "generator": generator}, losses | named("generator", costs)

    def not_recordable(self, context: ReplayContext, task: int) -> str:
        return super().not_recordable(context, task) or self.generator.not_recordable(context.source, task)

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        generator = self.generator.end_task(state["generator"], task, data)
        return {**super().end_task(state, task, data), "generator": generator}

    def replayed(self, state: State, task: int, count: int) -> Tensor | None:
        return self.generator.sample(state["generator"], task, count)

    def _source(self, state: State, task: int) -> Any:
        return self.generator.task_context(state["generator"], task)


def named(part: str, losses: Losses) -> Losses:
    """Losses of a part, renamed: its task loss by the part's name, all others prefixed with it."""
    return {part if name == "task" else f"{part}_{name}": value for name, value in losses.items()}


class DGRLearner(GenerativeReplayLearner[PlainGenerator]):
    """DGR: a batch of B is joined by B samples of all earlier tasks, labelled by the previous classifier."""

    def _generator(self) -> PlainGenerator:
        return PlainGenerator(self.spec, self.share)

    def _replay(self, source: Tensor, batch: Batch, info: StepInfo) -> Sequence[Replayed]:
        return [Replayed(self.generator.draw(source, batch[1].shape[-1], info), None)]

    def replayed(self, state: State, task: int, count: int) -> Tensor | None:
        """Samples of all tasks are drawn jointly and returned for task 0."""
        return None if task else super().replayed(state, task, count)


class HnetReplayLearner(GenerativeReplayLearner[HnetGenerator]):
    """HNET+R: a batch of B is joined by ceil(B / n) samples of each of the n earlier tasks, labelled by the teacher.

    With a decoder for each class: of each of the n earlier classes; the label is the class if targets are hard, and
    then there is no teacher.
    """

    def __init__(self, spec: LearnerSpec) -> None:
        super().__init__(spec)
        method = cast(HnetReplay, spec.experiment.method)
        self.of_classes = method.generator.embedding == "class" and method.hard_targets
        """Whether labels are the classes that samples are drawn of."""
        if self.of_classes:
            self.distillation = None

    def _generator(self) -> HnetGenerator:
        return HnetGenerator(self.spec)

    def _replay(self, source: HnetGeneratorContext, batch: Batch, info: StepInfo) -> Sequence[Replayed]:
        (_, labels), axis = batch, self.samples_axis
        count = self.generator.share_of(labels.shape[-1], info.task)
        inputs = self.generator.draw(source, count, info)
        if self.spec.shape.scenario != "task" and not self.of_classes:  # the same outputs are compared for all tasks
            return [Replayed(inputs.flatten(axis, axis + 1), None)]
        widths = [rows.stop - rows.start for rows in self.generator.rows[: info.task]]
        of_tasks = [part.flatten(axis, axis + 1) for part in inputs.split(widths, axis)]
        if not self.of_classes:
            return [Replayed(samples, task) for task, samples in enumerate(of_tasks)]
        classes = [torch.arange(width * count, device=labels.device) // count for width in widths]
        labelled = [of.expand(*labels.shape[:-1], -1) for of in classes]
        return [Replayed(*part) for part in zip(of_tasks, range(info.task), labelled, strict=True)]


@dataclass(frozen=True)
class HnetTirContext:
    """Constants of a task."""

    anchor: AnyAnchor | None
    """Of the classifier's regulariser."""
    generator: HnetGeneratorContext


class HnetTirLearner(HnetLearner):
    """HNET+TIR (von Oswald et al., 2020): trained as `hnet`; an inference network trained with replay infers the task.

    Adds to the state `inference` and `generator`, the states of the inference network and its generator.
    The inference network is not trained on the first task, when it has a single class.
    """

    training_only = (*HnetLearner.training_only, "generator")

    def __init__(self, spec: LearnerSpec) -> None:
        super().__init__(spec)
        self.generator = HnetGenerator(spec)
        self.inference = InferenceNetwork(spec, self.generator)

    def init(self) -> State:
        return {**super().init(), "inference": self.inference.init(), "generator": self.generator.init()}

    def start_task(self, state: State, task: int) -> State:
        inference = self.inference.start_task(state["inference"], task)
        generator = self.generator.start_task(state["generator"], task)
        return {**super().start_task(state, task), "inference": inference, "generator": generator}

    def task_context(self, state: State, task: int) -> HnetTirContext:
        return HnetTirContext(super().task_context(state, task), self.generator.task_context(state["generator"], task))

    def step(
        self, state: State, context: TaskContext, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[State, Losses]:
        state, losses = super().step(state, context.anchor, batches, info)
        if info.task:
            samples = self.samples_axis + 1
            one_class = [(inputs, inputs.new_zeros(inputs.shape[:samples], dtype=torch.int64)) for inputs, _ in batches]
            replayed = ReplayContext(None, context.generator)
            state["inference"], costs = self.inference.step(state["inference"], replayed, one_class, info)
            losses |= named("inference", costs)
        state["generator"], costs = self.generator.step(state["generator"], context.generator, batches, info)
        return state, losses | named("generator", costs)

    def not_recordable(self, context: HnetTirContext, task: int) -> str:
        parts = (
            super().not_recordable(context.anchor, task),
            self.inference.not_recordable(None, task),
            self.generator.not_recordable(context.generator, task),
        )
        return next((why for why in parts if why), "")

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        inference = self.inference.end_task(state["inference"], task, data)
        generator = self.generator.end_task(state["generator"], task, data)
        return {**super().end_task(state, task, data), "inference": inference, "generator": generator}

    def task_inferences(self, state: State, met: int) -> Iterator[TaskInference]:
        """One pass that infers tasks, then one per task seen, which decides for the samples inferred as its own."""
        shape = self.spec.shape
        for infer in self.inference.task_inferences(state["inference"], met):
            yield partial(_inferred, infer, shape.num_outputs if shape.regression else 0)
        for task, predict in enumerate(self.predictors(state, range(met))):
            if shape.regression:
                yield partial(_numbers_predicted, predict, task)
            else:
                yield partial(_predicted, predict, task, self.spec.heads[task].start)

    def replayed(self, state: State, task: int, count: int) -> Tensor | None:
        return self.generator.sample(state["generator"], task, count)

    def inference_state(self, state: State) -> State:
        return {**super().inference_state(state), "inference": self.inference.inference_state(state["inference"])}


class InferenceNetwork(ReplayLearner):
    """A network like the classifier with one output per task: each task is a class."""

    def __init__(self, spec: LearnerSpec, generator: HnetGenerator) -> None:
        shape = Shape(spec.shape.input_shape, (1,) * spec.shape.num_tasks, "class")
        network, weights = plain_network(
            spec.experiment.target,
            shape.input_shape,
            shape.num_outputs,
            spec.device,
            spec.experiment.method,
            spec.import_paths,
        )
        variants = tuple(reseeded(variant, "inference") for variant in spec.variants)
        super().__init__(replace(spec, target=network, hypernet=weights, shape=shape, variants=variants))
        self.generator = generator
        tasks = [task for task, rows in enumerate(generator.rows) for _ in range(rows.start, rows.stop)]
        self.task_of = torch.tensor(tasks, device=spec.device)
        """The task of each decoder: int64, (decoders,)."""

    def _replay(self, source: HnetGeneratorContext, batch: Batch, info: StepInfo) -> Sequence[Replayed]:
        """ceil(B / n) samples of each of the n earlier decoders, labelled by task: outputs from task 0's on."""
        (_, labels), axis = batch, self.samples_axis
        count = self.generator.share_of(labels.shape[-1], info.task)
        inputs = self.generator.draw(source, count, info).flatten(axis, axis + 1)
        tasks = self.task_of[: self.generator.rows[info.task].start, None].expand(-1, count).flatten()
        return [Replayed(inputs, 0, tasks.expand(*labels.shape[:-1], -1))]


def _inferred(infer: TaskInference, numbers: int, inputs: Tensor, before: Decision | None) -> Decision:
    """The inferred task of each sample; outputs are not decided yet. `numbers`: outputs of a regression, else 0."""
    tasks = infer(inputs, before).outputs
    if numbers:
        return Decision(torch.zeros(*tasks.shape, numbers, device=tasks.device), tasks)
    return Decision(torch.zeros_like(tasks), tasks, confidence=torch.zeros(tasks.shape, device=tasks.device))


def _predicted(
    predict: Callable[[Tensor], Tensor], task: int, first_output: int, inputs: Tensor, before: Decision | None
) -> Decision:
    """A task's predictions for the samples inferred as its own."""
    if before is None or before.tasks is None or before.confidence is None:
        raise ValueError("tasks are inferred first")
    logits, own = predict(inputs), before.tasks == task
    outputs, confidence = logits.argmax(-1) + first_output, confidence_of(logits)
    outputs = torch.where(own, outputs, before.outputs)
    return Decision(outputs, before.tasks, confidence=torch.where(own, confidence, before.confidence))


def _numbers_predicted(
    predict: Callable[[Tensor], Tensor], task: int, inputs: Tensor, before: Decision | None
) -> Decision:
    """A task's predictions of a regression for the samples inferred as its own."""
    if before is None or before.tasks is None:
        raise ValueError("tasks are inferred first")
    return replace(before, outputs=torch.where((before.tasks == task).unsqueeze(-1), predict(inputs), before.outputs))
