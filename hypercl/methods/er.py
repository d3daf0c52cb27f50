"""Experience replay from a buffer of training samples, and replay of all stored training data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import ceil
from typing import cast

import torch
from torch import Tensor

from hypercl.config import UserError
from hypercl.config.models import ER
from hypercl.methods.learner import Batch, LearnerSpec, Losses, State, StepInfo, TaskData
from hypercl.methods.replay import ReplayContext, Replayed, ReplayLearner
from hypercl.seeds import generator

SAMPLES_AT_ONCE = 1000
"""Samples read at once to get their labels; reading the whole task would make a second copy of it."""


@dataclass(frozen=True)
class Kept:
    """The replay buffer, in task order."""

    inputs: Tensor
    """(budget, *input_shape), with a leading replica axis if there are several."""
    labels: Tensor
    """int64, (budget,), within the task; the same for all replicas."""
    starts: Tensor
    """Index of each task's first sample: int64, (tasks, 1)."""
    sizes: Tensor
    """Samples of each task, at least 1: int64, (tasks, 1)."""


class ERLearner(ReplayLearner):
    """A step replays ceil(batch / t) samples of each of the t tasks before its own, drawn with replacement.

    The budget is split evenly among the classes seen; in scenario domain, too, each task counts its own classes. A
    class keeps a random subset, whose last samples are dropped as more classes arrive. Inputs are stored and replayed
    without augmentation.
    Raises a UserError if there are more classes than the budget holds samples.
    Adds to the state `buffer`: `inputs` (budget, *input_shape), class by class in the order of the tasks, then zeros;
    and `counts`, int64, samples kept of each class seen.
    """

    training_only = (*ReplayLearner.training_only, "buffer")

    def __init__(self, spec: LearnerSpec) -> None:
        super().__init__(spec)
        self.budget = cast(ER, spec.experiment.method).budget

    def init(self) -> State:
        """The buffer is allocated in full, so that memory measured in a step includes it."""
        replicas = (len(self.spec.seeds),) if self.bundled else ()
        inputs = torch.zeros(*replicas, self.budget, *self.spec.shape.input_shape, device=self.spec.device)
        counts = torch.zeros(*replicas, 0, dtype=torch.int64, device=self.spec.device)
        return {**super().init(), "buffer": {"inputs": inputs, "counts": counts}}

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        num_classes = sum(self.spec.shape.classes[: task + 1])
        share = self.budget // num_classes
        if not share:
            raise UserError(
                f"method.budget {self.budget} holds no sample for each of the {num_classes} classes seen: increase it"
            )
        before, axis, counts = state["buffer"]["inputs"], self.samples_axis, self._counts(state)
        starts = accumulate(counts, initial=0)
        parts = [before.narrow(axis, start, min(share, count)) for start, count in zip(starts, counts, strict=False)]
        blocks = torch.split(torch.arange(len(data)), SAMPLES_AT_ONCE)
        labels = torch.cat([data[block][1] for block in blocks]).cpu()
        for label in range(self.spec.shape.classes[task]):
            draws = [generator(seed, "kept", task, label) for seed in self.spec.seeds]
            samples = (labels == label).nonzero().squeeze(1)
            kept = [samples[torch.randperm(len(samples), generator=draw)[:share]] for draw in draws]
            inputs, _ = data[torch.cat(kept)]
            parts.append(inputs.unflatten(0, (len(kept), len(kept[0]))) if self.bundled else inputs)
        counts = [part.shape[axis] for part in parts]
        empty = torch.zeros_like(before.narrow(axis, 0, self.budget - sum(counts)))
        buffer = {
            "inputs": torch.cat([*parts, empty], dim=axis),
            "counts": torch.tensor(counts, device=before.device).expand(*before.shape[:axis], -1).clone(),
        }
        return {**super().end_task(state, task, data), "buffer": buffer}

    def _counts(self, state: State) -> list[int]:
        """Samples kept of each class: equal for all replicas, except diverged ones, whose state is all zero."""
        counts = state["buffer"]["counts"]
        return (counts.amax(0) if self.bundled else counts).tolist()

    def _source(self, state: State, task: int) -> Kept | None:
        if not task:
            return None
        classes, counts = self.spec.shape.classes[:task], self._counts(state)
        counts += [0] * (sum(classes) - len(counts))
        labels = torch.zeros(self.budget, dtype=torch.int64)
        of_class = torch.tensor([label for width in classes for label in range(width)])
        labels[: sum(counts)] = of_class.repeat_interleave(torch.tensor(counts))
        of_tasks = torch.split(torch.tensor(counts), list(classes))
        sizes = torch.stack([part.sum() for part in of_tasks])[:, None].to(self.spec.device)
        inputs, labels = state["buffer"]["inputs"], labels.to(self.spec.device)
        return Kept(inputs, labels, starts=sizes.cumsum(0) - sizes, sizes=sizes.clamp(min=1))

    def _replay(self, source: Kept, batch: Batch, info: StepInfo) -> Sequence[Replayed]:
        count, device = ceil(batch[1].shape[-1] / info.task), self.spec.device

        def draw(at: StepInfo) -> Tensor:
            draws = [generator(seed, "replayed", at.task, at.step, device=device) for seed in self.spec.seeds]
            return torch.stack([torch.randint(2**62, (at.task, count), generator=d, device=device) for d in draws])

        samples = (info.drawn(draw) % source.sizes + source.starts).flatten(1)
        if self.bundled:
            inputs = source.inputs[torch.arange(len(samples), device=device)[:, None], samples]
        else:
            samples = samples[0]
            inputs = source.inputs[samples]
        of_tasks, labels = torch.split(inputs, count, self.samples_axis), torch.split(source.labels[samples], count, -1)
        return [Replayed(*part) for part in zip(of_tasks, range(info.task), labels, strict=True)]


class StoredRealLearner(ReplayLearner):
    """A step replays the first ceil(batch / t) samples of a batch of each of the t tasks before its own.

    Unlike `joint`, which gives each task a whole batch and all tasks equal weight.
    """

    def trains_on(self, task: int) -> Sequence[int]:
        return range(task + 1)

    def step(
        self, state: State, context: ReplayContext, batches: Sequence[Batch], info: StepInfo
    ) -> tuple[State, Losses]:
        *earlier, new = batches
        return super().step(state, replace(context, source=earlier), [new], info)

    def _adapts(self, task: int) -> Sequence[int]:
        return [task]

    def _replay(self, source: Sequence[Batch], batch: Batch, info: StepInfo) -> Sequence[Replayed]:
        count = ceil(batch[1].shape[-1] / info.task)
        return [
            Replayed(inputs.narrow(self.samples_axis, 0, count), task, labels[..., :count])
            for task, (inputs, labels) in enumerate(source)
        ]
