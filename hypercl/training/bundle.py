"""The replicas of a run: the same setting under several seeds, trained step by step together."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor

from hypercl.config.models import is_mapping
from hypercl.methods import Batch, Decision, Learner, Losses, State, StepInfo, TaskContext, TaskData, TaskInference
from hypercl.tensors import copied, leaves


@dataclass(frozen=True)
class Group:
    """Replicas that are computed at once."""

    learner: Learner
    """Of one seed, without a replica axis; or of several, with one."""
    start: int
    size: int

    @property
    def own(self) -> int | slice:
        """Its place along the replica axis of a batch: one replica's batch has no axis of its own."""
        return self.start if self.size == 1 else slice(self.start, self.start + self.size)


class Bundle:
    """A learner of all replicas, in groups of as many as memory has room for; each step goes through the groups.

    What it is given and what it gives has a leading replica axis, with one replica too. Its state is the learner's
    where there is one group, otherwise theirs by name.

    Args:
        learners: one a group, all of the same setting.
        sizes: replicas of each.
        samples: samples to predict at once.
    """

    def __init__(self, learners: Sequence[Learner], sizes: Sequence[int], samples: int) -> None:
        starts = accumulate(sizes[:-1], initial=0)
        self._groups = [Group(*parts) for parts in zip(learners, starts, sizes, strict=True)]
        self.replicas = sum(sizes)
        """How many."""
        self.samples = samples
        """Samples to predict at once: what was measured to be quick, and bounded for many replicas."""

    def init(self) -> State:
        """The state before any training."""
        return self._state(group.learner.init() for group in self._groups)

    def start_task(self, state: State, task: int) -> State:
        """The state as a task begins."""
        return self._state(group.learner.start_task(own, task) for group, own in self._parts(state))

    def task_context(self, state: State, task: int) -> list[TaskContext]:
        """What the task's steps need beside the state."""
        return [group.learner.task_context(own, task) for group, own in self._parts(state)]

    def trains_on(self, task: int) -> Sequence[int]:
        """The tasks of which each step needs a batch."""
        return self._groups[0].learner.trains_on(task)

    def step(
        self, state: State, context: list[TaskContext], batches: Sequence[Batch], info: StepInfo
    ) -> tuple[State, Losses]:
        """One step of every replica.

        Args:
            state: of all.
            context: from `task_context`.
            batches: inputs (replicas, batch, *input_shape) and labels (replicas, batch).
            info: where in the stream.

        Returns:
            The new state, and losses (replicas,) by name.
        """
        states: list[State] = []
        losses: list[Losses] = []
        for (group, own), remembered in zip(self._parts(state), context, strict=True):
            part = [(inputs[group.own], labels[group.own]) for inputs, labels in batches]
            new, loss = group.learner.step(own, remembered, part, info)
            states.append(new)
            losses.append(loss)
        apart = [{name: value.reshape(-1) for name, value in loss.items()} for loss in losses]
        joined = apart[0] if len(apart) == 1 else {name: torch.cat([loss[name] for loss in apart]) for name in apart[0]}
        return self._state(states), joined

    def not_recordable(self, context: list[TaskContext], task: int) -> str:
        """As of a learner, for the first group that cannot; '' if all can."""
        reasons = (group.learner.not_recordable(own, task) for group, own in zip(self._groups, context, strict=True))
        return next((why for why in reasons if why), "")

    def end_task(self, state: State, task: int, data: TaskData) -> State:
        """The state once a task is learned, given its training data."""
        return self._state(group.learner.end_task(own, task, data) for group, own in self._parts(state))

    def predictors(self, state: State, tasks: Sequence[int]) -> Iterator[Callable[[Tensor], Tensor]]:
        """For each of some tasks a function from inputs (samples, *input_shape), the same for all replicas, to logits
        (replicas, samples, classes); to be used one after the other."""
        predictors = [group.learner.predictors(own, tasks) for group, own in self._parts(state)]
        return (partial(self._logits, of_task) for of_task in zip(*predictors, strict=True))

    def task_inferences(self, state: State, met: int) -> Iterator[TaskInference]:
        """Passes over samples whose task is not given, to be used one after the other: from inputs (samples,
        *input_shape), the same for all replicas, and the decisions so far to decisions (replicas, samples)."""
        inferences = [group.learner.task_inferences(own, met) for group, own in self._parts(state)]
        return (partial(self._decided, of_pass) for of_pass in zip(*inferences, strict=True))

    def _decided(self, decide: Sequence[TaskInference], inputs: Tensor, before: Decision | None) -> Decision:
        """What each group decides, along the replica axis."""
        decisions: list[Decision] = []
        for of, group in zip(decide, self._groups, strict=True):
            decision = of(inputs, None if before is None else _part(before, group.own))
            decisions.append(decision if group.size > 1 else _apart(decision))
        return _joined(decisions)

    def replayed(self, state: State, task: int, count: int) -> Tensor | None:
        """Inputs that the first replica would replay for a task: (count, *input_shape); None if it generates none."""
        group, own = next(self._parts(state))
        return group.learner.replayed(own, task, count)

    def _logits(self, predict: Sequence[Callable[[Tensor], Tensor]], inputs: Tensor) -> Tensor:
        """What each group predicts, along the replica axis."""
        outputs = [predict_group(inputs) for predict_group in predict]
        logits = [part if group.size > 1 else part[None] for group, part in zip(self._groups, outputs, strict=True)]
        return logits[0] if len(logits) == 1 else torch.cat(logits)

    def inference_state(self, state: State) -> State:
        """The part of the state that predictions need."""
        return self._state(group.learner.inference_state(own) for group, own in self._parts(state))

    def finite(self, state: State) -> Tensor:
        """Which replicas' numbers are all finite: bool, (replicas,), on the device."""
        finite: list[Tensor] = []
        for group, own in self._parts(state):
            floats = [value for value in leaves(own) if value.is_floating_point()]
            rows = [value.reshape(group.size, -1) for value in floats if group.size == 1 or value.dim()]
            finite.append(torch.stack([torch.isfinite(row).all(dim=1) for row in rows]).all(dim=0))
        return torch.cat(finite)

    def blank_(self, state: State, replicas: Iterable[int]) -> None:
        """Makes all numbers of some replicas zero, in place: what is not finite is not carried on."""
        for group, own in self._parts(state):
            places = [replica - group.start for replica in replicas if 0 <= replica - group.start < group.size]
            for value in leaves(own) if places else ():
                if group.size == 1:
                    value.zero_()
                elif value.dim():
                    value[places] = 0

    def member(self, state: State, replica: int) -> tuple[Learner, State, int | None]:
        """The learner that holds a replica, its state, and the replica's place along its axis; None if it has none."""
        for group, own in self._parts(state):
            if group.start <= replica < group.start + group.size:
                return group.learner, own, None if group.size == 1 else replica - group.start
        raise IndexError(replica)

    def alone(self, state: State, replica: int) -> State:
        """A copy of a replica's state, as a run of its own has it."""
        _, own, place = self.member(state, replica)
        return copied(own) if place is None else _replicas(own, place, place + 1)

    def _parts(self, state: State) -> Iterator[tuple[Group, State]]:
        if len(self._groups) == 1:
            yield self._groups[0], state
            return
        for number, group in enumerate(self._groups):
            yield group, state[_name(number)]

    def _state(self, states: Iterable[State]) -> State:
        if len(self._groups) == 1:
            (state,) = states
            return state
        return {_name(number): state for number, state in enumerate(states)}


def in_halves(state: State, groups: Sequence[int]) -> State:
    """The state of a bundle once each of its groups of several replicas is two (`hypercl.training.memory.halved`).

    Args:
        state: of all replicas.
        groups: the sizes of its groups until now.
    """
    parts: list[State] = []
    for number, size in enumerate(groups):
        own = state if len(groups) == 1 else state[_name(number)]
        parts += [own] if size == 1 else [_replicas(own, 0, (size + 1) // 2), _replicas(own, (size + 1) // 2, size)]
    return parts[0] if len(parts) == 1 else {_name(number): part for number, part in enumerate(parts)}


def together(states: Sequence[State], groups: Sequence[int]) -> State:
    """The state of a bundle of what were runs of their own, all at the same step.

    Args:
        states: of each.
        groups: how many of them, in their order, are in each group.
    """
    ends = list(accumulate(groups))
    parts = [_stacked(states[end - size : end]) for size, end in zip(groups, ends, strict=True)]
    return parts[0] if len(parts) == 1 else {_name(number): part for number, part in enumerate(parts)}


def _stacked(states: Sequence[State], in_optimizer: bool = False) -> State:
    """States with a replica axis. An optimiser's steps, its only scalars, are those of all replicas."""
    first = states[0]
    if len(states) == 1:
        return first
    return {
        key: _stacked([state[key] for state in states], in_optimizer or key == "optimizer")
        if is_mapping(value)
        else value
        if in_optimizer and not value.dim()
        else torch.stack([state[key] for state in states])
        for key, value in first.items()
    }


def _replicas(state: State, first: int, end: int) -> State:
    """Those of a group from `first` to before `end`; a single one has no axis of its own."""
    own = first if end - first == 1 else slice(first, end)
    return {
        key: _replicas(value, first, end) if is_mapping(value) else (value[own] if value.dim() else value).clone()
        for key, value in state.items()
    }


def _part(decision: Decision, own: int | slice) -> Decision:
    """That of one group."""
    return _each(lambda value: value[own], decision)


def _apart(decision: Decision) -> Decision:
    """A single replica's, with a replica axis."""
    return _each(lambda value: value[None], decision)


def _each(of: Callable[[Tensor], Tensor], decision: Decision) -> Decision:
    others = [decision.tasks, decision.entropy, decision.confidence]
    return Decision(of(decision.outputs), *(None if value is None else of(value) for value in others))


def _joined(decisions: Sequence[Decision]) -> Decision:
    """Those of all groups, one after the other."""
    others = [[getattr(one, name) for one in decisions] for name in ("tasks", "entropy", "confidence")]
    return Decision(torch.cat([one.outputs for one in decisions]), *map(_concatenated, others))


def _concatenated(parts: Sequence[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if known else None


def _name(number: int) -> str:
    return f"group {number}"
