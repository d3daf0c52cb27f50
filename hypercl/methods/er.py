"""Experience replay: some training samples of each class met are kept and learned on."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import cast

import torch
from torch import Tensor

from hypercl.config.method import ER
from hypercl.methods.learner import Batch, Moment, State, TaskData
from hypercl.methods.parts import Parts
from hypercl.methods.replay import Replayed, ReplayLearner
from hypercl.seeds import generator

SAMPLES_AT_ONCE = 1000
"""Samples read together to learn their labels: all of a task's inputs at once would be a second copy of it."""


@dataclass(frozen=True)
class Kept:
    """All that is kept, in the order of the tasks."""

    inputs: Tensor
    """(samples, *input_shape), after an axis of replicas where there are several."""
    labels: Tensor
    """int64, (samples,), within the task; the same for all replicas."""
    starts: Tensor
    """Where each task's samples begin: int64, (tasks, 1)."""
    sizes: Tensor
    """How many each task has: int64, (tasks, 1)."""


class ERLearner(ReplayLearner):
    """A step replays ceil(batch / t) samples of each of the t tasks before its own, drawn with replacement.

    The budget is shared evenly by the classes met; in scenario domain each task has classes of its own here too. What
    is kept of a class is a random choice; as more classes come, its last samples go. Inputs are kept as they are
    without augmentation, and replayed so.
    Adds to the state `buffer`: inputs kept, (samples, *input_shape), by task and by class within the task.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.budget = cast(ER, parts.experiment.method).budget

    def init(self) -> State:
        return {**super().init(), "buffer": {}}

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        share = self.budget // sum(self.parts.shape.classes[: task + 1])
        buffer = {
            earlier: {label: self._first(inputs, share) for label, inputs in classes.items()}
            for earlier, classes in state["buffer"].items()
        }
        blocks = torch.arange(len(data)).split(SAMPLES_AT_ONCE)
        labels = torch.cat([data[block][1] for block in blocks]).cpu()
        buffer[str(task)] = {
            str(label): self._chosen(data, (labels == label).nonzero().squeeze(1), share, (task, label))
            for label in range(self.parts.shape.classes[task])
        }
        return {**super().end_task(state, task, data), "buffer": buffer}

    def knowledge(self, state: State) -> State:
        return {key: value for key, value in super().knowledge(state).items() if key != "buffer"}

    def _chosen(self, data: TaskData, places: Tensor, share: int, of: tuple[int, int]) -> Tensor:
        """Inputs of a class that each replica keeps: (samples, *input_shape), after an axis of replicas."""
        drawn = [generator(seed, "kept", *of) for seed in self.parts.seeds]
        each = [places[torch.randperm(len(places), generator=draw)[:share]] for draw in drawn]
        inputs, _ = data[torch.cat(each)]
        return inputs.unflatten(0, (len(each), len(each[0]))) if self.bundled else inputs

    def _first(self, inputs: Tensor, count: int) -> Tensor:
        """A copy of the first samples, so that the others are let go."""
        return inputs.narrow(self.samples_axis, 0, min(count, inputs.shape[self.samples_axis])).clone()

    def _source(self, state: State, task: int) -> Kept | None:
        if not task:
            return None
        tasks = [state["buffer"][str(earlier)] for earlier in range(task)]
        parts = [(int(label), inputs) for classes in tasks for label, inputs in classes.items()]
        counts = [inputs.shape[self.samples_axis] for _, inputs in parts]
        sizes = [sum(inputs.shape[self.samples_axis] for inputs in classes.values()) for classes in tasks]
        of_tasks = torch.tensor(sizes, device=self.parts.device)[:, None]
        labels = torch.tensor([label for label, _ in parts]).repeat_interleave(torch.tensor(counts))
        return Kept(
            inputs=torch.cat([inputs for _, inputs in parts], dim=self.samples_axis),
            labels=labels.to(self.parts.device),
            starts=of_tasks.cumsum(0) - of_tasks,
            sizes=of_tasks,
        )

    def _replay(self, source: Kept, batch: Batch, now: Moment) -> Sequence[Replayed]:
        count, device = ceil(batch[1].shape[-1] / now.task), self.parts.device
        draws = [generator(seed, "replayed", now.task, now.step, device=device) for seed in self.parts.seeds]
        drawn = [torch.randint(2**62, (now.task, count), generator=draw, device=device) for draw in draws]
        places = (torch.stack(drawn) % source.sizes + source.starts).flatten(1)
        if self.bundled:
            inputs = source.inputs[torch.arange(len(places), device=device)[:, None], places]
        else:
            places = places[0]
            inputs = source.inputs[places]
        labels = source.labels[places].split(count, dim=-1)
        each = zip(inputs.split(count, dim=self.samples_axis), labels, strict=True)
        return [Replayed(of_task, task, answers) for task, (of_task, answers) in enumerate(each)]
