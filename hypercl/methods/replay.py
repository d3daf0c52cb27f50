"""A network with its own weights, trained on replayed samples beside each new batch."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hypercl.config.models import DistillingMethod, HnetTir, ReplayMethod
from hypercl.methods.learner import Batch, LearnerSpec, State, StepInfo, TaskData
from hypercl.methods.loss import Distillation
from hypercl.methods.network_learner import Loss, Network, NetworkLearner, at_least_float32
from hypercl.tensors import copied


@dataclass(frozen=True)
class Replayed:
    """Samples replayed for earlier tasks."""

    inputs: Tensor | None
    """(samples, *input_shape), with a leading replica axis if there are several; None: the new batch's inputs."""
    task: int | None
    """The earlier task they represent; None: unknown."""
    labels: Tensor | None = None
    """int64, (samples,), within the task, which must be known; with a leading replica axis if there are several.
    None: the teacher's outputs are the targets."""


@dataclass(frozen=True)
class ReplayContext:
    """Constants of a task."""

    teacher: Network | None
    """The network before the task."""
    source: Any
    """The source of replayed samples, from `_source`."""


class ReplayLearner(NetworkLearner):
    """loss = (1 - share) * L_task + share * L_replay, in one pass over the new batch and all replayed samples.

    L_replay is the mean over all replayed samples: cross entropy with labels, otherwise distillation from the network
    before the task, the teacher. Outputs compared: in scenario task those of the sample's task, or, if it is unknown,
    the mean over all earlier tasks; domain: the shared ones; class: all seen so far, of which the teacher knows those
    seen before the task.

    A method overrides `_replay`, and `_source` for what it replays from.
    Adds to the state `teacher`, its theta and buffers, after the first task and if the method distils.
    """

    training_only = (*NetworkLearner.training_only, "teacher")

    def __init__(self, spec: LearnerSpec) -> None:
        super().__init__(spec)
        method = spec.experiment.method
        if not isinstance(method, ReplayMethod | HnetTir):
            raise TypeError(f"method {method.name} has no replay_share")
        self.replay_share = method.replay_share
        self.distillation: Distillation | None = None
        if isinstance(method, DistillingMethod):
            targets, smoothing = getattr(method, "targets", "soft"), spec.training.label_smoothing
            self.distillation = Distillation(method.temperature, targets, method.new_classes, smoothing)

    def init(self) -> State:
        return {**super().init(), "teacher": {}}

    def start_task(self, state: State, task: int) -> State:
        state = {**super().start_task(state, task), "teacher": {}}
        if not task or self.distillation is None:
            return state
        return {**state, "teacher": {"theta": copied(state["theta"]), "buffers": copied(state["buffers"]["0"])}}

    def task_context(self, state: State, task: int) -> ReplayContext:
        teacher, snapshot = None, state["teacher"]
        if snapshot:
            weights = self.spec.hypernet(snapshot["theta"], state["embeddings"][..., :1, :]).squeeze(-2)
            teacher = Network(weights, snapshot["buffers"])
        return ReplayContext(teacher, self._source(state, task))

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        return {**state, "teacher": {}}

    def _source(self, state: State, task: int) -> Any:
        """The source that `_replay` draws from, computed from the state at the start of a task and after a restart."""

    @abstractmethod
    def _replay(self, source: Any, batch: Batch, info: StepInfo) -> Sequence[Replayed]:
        """The samples to replay beside a batch of the new task; not called at the first task.

        `source` is from `_source`; draws depend only on the step and the replicas' seeds.
        """

    def share(self, task: int) -> float:
        """The weight of the replay loss during a task."""
        if not task:
            return 0.0
        return 1 - 1 / (task + 1) if self.replay_share == "growing" else float(self.replay_share)

    def _loss(self, task: int, network: Network, batch: Batch, context: ReplayContext, info: StepInfo) -> Loss:
        replayed: Sequence[Replayed] = self._replay(context.source, batch, info) if info.task else []
        if not replayed:
            return super()._loss(task, network, batch, context, info)
        inputs, labels = batch
        samples = [part.inputs for part in replayed if part.inputs is not None]
        sizes = [labels.shape[-1], *(tensor.shape[self.samples_axis] for tensor in samples)]
        joined = torch.cat([inputs, *samples], dim=self.samples_axis) if samples else inputs
        outputs, buffers = self._trained_pass(task, network, joined, info)
        new, *others = torch.split(at_least_float32(outputs), sizes, dim=-2)
        loss = self._task_loss(task, new, labels, info)
        students = [new if part.inputs is None else others.pop(0) for part in replayed]
        teachers = self._taught(replayed, inputs, context)
        parts = zip(replayed, students, teachers, strict=True)
        losses = [self._replay_loss(*part, info) for part in parts]
        replay = losses[0]
        if len(losses) > 1:
            counts = [student.shape[-2] for student in students]
            weighted = [loss * count for loss, count in zip(losses, counts, strict=True)]
            replay = torch.stack(weighted).sum(0) / sum(counts)
        share = self.share(info.task)
        return Loss((1 - share) * loss + share * replay, buffers, {"task": loss, "replay": replay})

    def _taught(self, replayed: Sequence[Replayed], inputs: Tensor, context: ReplayContext) -> list[Tensor | None]:
        """The teacher's outputs for unlabelled replayed samples, from one pass."""
        samples = [inputs if part.inputs is None else part.inputs for part in replayed if part.labels is None]
        if not samples:
            return [None] * len(replayed)
        if context.teacher is None:
            raise TypeError(f"{type(self).__name__} replays samples without labels, but its method has no teacher")
        with torch.no_grad(), self._autocast():
            joined = torch.cat(samples, dim=self.samples_axis) if len(samples) > 1 else samples[0]
            outputs, _ = self._outputs(context.teacher.weights, context.teacher.buffers, joined)
        sizes = [tensor.shape[self.samples_axis] for tensor in samples]
        targets = list(torch.split(at_least_float32(outputs), sizes, dim=-2))
        return [targets.pop(0) if part.labels is None else None for part in replayed]

    def _replay_loss(self, replayed: Replayed, student: Tensor, teacher: Tensor | None, info: StepInfo) -> Tensor:
        """The mean over some replayed samples: cross entropy with their labels, or distillation from the teacher."""
        if replayed.labels is not None:
            if replayed.task is None:
                raise TypeError("labels are within a task: Replayed with labels needs its task")
            return self._task_loss(replayed.task, student, replayed.labels, info)
        assert teacher is not None
        assert self.distillation is not None
        compared = self._compared(replayed.task, info)
        losses = [self.distillation.loss(student[..., now], teacher[..., before]) for now, before in compared]
        return losses[0] if len(losses) == 1 else torch.stack(losses).mean(0)

    def _compared(self, task: int | None, info: StepInfo) -> list[tuple[slice, slice]]:
        """Outputs of the student, and those of the teacher that they are compared with."""
        shape = self.spec.shape
        if shape.scenario == "class":
            known = max(head.stop for head in shape.heads[: info.task])
            return [(self._trained_outputs(info.task, info), slice(0, known))]
        if shape.scenario == "domain":
            return [(slice(0, shape.num_outputs), slice(0, shape.num_outputs))]
        return [(head, head) for head in (shape.heads[: info.task] if task is None else [shape.heads[task]])]
