"""A network with its own weights, trained on replayed samples beside each new batch."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hypercl.config.models import DistillingMethod, HnetTir, ReplayMethod
from hypercl.methods.learner import Batch, LearnerSpec, State, StepInfo, TaskContext, TaskData
from hypercl.methods.loss import Distillation
from hypercl.methods.network_learner import Loss, Network, NetworkLearner, at_least_float32, copied


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

    def __init__(self, spec: LearnerSpec) -> None:
        super().__init__(spec)
        method = spec.experiment.method
        if not isinstance(method, ReplayMethod | HnetTir):
            raise TypeError(f"method {method.name} has no replay_share")
        self.replay_share = method.replay_share
        self.samples_axis = 1 if self.bundled else 0
        self.distillation = _distillation(method, spec.training.label_smoothing)

    def init(self) -> State:
        return {**super().init(), "teacher": {}}

    def start_task(self, state: State, task: int) -> State:
        state = {**super().start_task(state, task), "teacher": {}}
        if not task or self.distillation is None:
            return state
        return {**state, "teacher": {"theta": copied(state["theta"]), "buffers": copied(state["buffers"]["0"])}}

    def task_context(self, state: State, task: int) -> TaskContext:
        teacher = None
        if state["teacher"]:
            known = state["teacher"]
            weights = self.spec.hypernet(known["theta"], state["embeddings"][..., :1, :]).squeeze(-2)
            teacher = Network(weights, known["buffers"])
        return ReplayContext(teacher, self._source(state, task))

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        del task, data
        return {**state, "teacher": {}}

    def inference_state(self, state: State) -> State:
        return {key: value for key, value in super().inference_state(state).items() if key != "teacher"}

    def _source(self, state: State, task: int) -> Any:
        """The source that `_replay` draws from, computed from the state at the start of a task and after a restart."""
        del state, task

    @abstractmethod
    def _replay(self, source: Any, batch: Batch, info: StepInfo) -> Sequence[Replayed]:
        """The samples to replay beside a batch; not called at the first task.

        Args:
            source: from `_source`.
            batch: the new task's, with a leading replica axis if there are several.
            info: position in the stream; draws depend only on it and the replicas' seeds.
        """

    def share(self, task: int) -> float:
        """The weight of the replay loss during a task."""
        if not task:
            return 0.0
        return 1 - 1 / (task + 1) if self.replay_share == "growing" else float(self.replay_share)

    def _loss(self, task: int, network: Network, batch: Batch, context: ReplayContext, info: StepInfo) -> Loss:
        replayed = self._replay(context.source, batch, info) if info.task else []
        if not replayed:
            return super()._loss(task, network, batch, context, info)
        inputs, labels = batch
        own = [each.inputs for each in replayed if each.inputs is not None]
        samples = [labels.shape[-1], *(each.shape[self.samples_axis] for each in own)]
        given = torch.cat([inputs, *own], dim=self.samples_axis) if own else inputs
        outputs, buffers = self._trained_pass(task, network, given, info)
        new, *others = at_least_float32(outputs).split(samples, dim=-2)
        loss = self._classified(task, new, labels, info)
        students = iter(others)
        said = [new if each.inputs is None else next(students) for each in replayed]
        replay = self._replay_loss(replayed, said, self._taught(replayed, inputs, context), info)
        share = self.share(info.task)
        return Loss((1 - share) * loss + share * replay, buffers, {"task": loss, "replay": replay})

    def _taught(self, replayed: Sequence[Replayed], inputs: Tensor, context: ReplayContext) -> list[Tensor | None]:
        """The teacher's outputs for unlabelled replayed samples, from one pass."""
        asked = [inputs if each.inputs is None else each.inputs for each in replayed if each.labels is None]
        if not asked:
            return [None] * len(replayed)
        if context.teacher is None:
            raise TypeError(f"{type(self).__name__} replays samples without labels, but its method has no teacher")
        with torch.no_grad(), self._networks_run():
            given = torch.cat(asked, dim=self.samples_axis) if len(asked) > 1 else asked[0]
            outputs, _ = self._outputs(context.teacher.weights, context.teacher.buffers, given)
        samples = [each.shape[self.samples_axis] for each in asked]
        answers = iter(at_least_float32(outputs).split(samples, dim=-2))
        return [next(answers) if each.labels is None else None for each in replayed]

    def _replay_loss(
        self, replayed: Sequence[Replayed], said: Sequence[Tensor], taught: Sequence[Tensor | None], info: StepInfo
    ) -> Tensor:
        """The mean over all replayed samples.

        Args:
            replayed: what is replayed.
            said: the network's outputs for each, (samples, num_outputs).
            taught: the teacher's, where there are no labels.
            info: where in the stream.
        """
        parts = []
        for each, student, teacher in zip(replayed, said, taught, strict=True):
            if teacher is None:
                loss = self._labelled(each, student, info)
            else:
                loss = self._distilled(each.task, student, teacher, info)
            parts.append(loss * student.shape[-2])
        return torch.stack(parts).sum(0) / sum(student.shape[-2] for student in said)

    def _labelled(self, replayed: Replayed, student: Tensor, info: StepInfo) -> Tensor:
        if replayed.task is None or replayed.labels is None:
            raise TypeError("labels are within a task: give it with them")
        return self._classified(replayed.task, student, replayed.labels, info)

    def _distilled(self, task: int | None, student: Tensor, teacher: Tensor, info: StepInfo) -> Tensor:
        if self.distillation is None:
            raise TypeError(f"the method of {type(self).__name__} has no distillation settings")
        compared = self._compared(task, info)
        losses = [self.distillation.loss(student[..., now_], teacher[..., then]) for now_, then in compared]
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


def _distillation(method: ReplayMethod | HnetTir, smoothing: float) -> Distillation | None:
    """The distillation of a method that has a teacher."""
    if not isinstance(method, DistillingMethod):
        return None
    targets = getattr(method, "targets", "soft")
    return Distillation(method.temperature, targets, method.new_classes, smoothing)
