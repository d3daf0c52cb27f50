"""One training step as a recording: what changes from step to step lies in memory that each replay reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from hypercl.config.models import is_mapping
from hypercl.methods import Batch, Drawn, Losses, State, StepInfo
from hypercl.tensors import leaves, same_tensors
from hypercl.training.recorder import Recorder

Take = Callable[[State, Sequence[Batch], StepInfo], tuple[State, Losses]]
"""A step: the state after it, and losses (replicas,) by name."""


@dataclass
class _Draws:
    """The random numbers of a step, in the order in which it asks for them."""

    known: list[tuple[Callable[[StepInfo], Any], Any]] = field(default_factory=list[tuple[Any, Any]])
    """How they are drawn, and the memory that a recorded step reads them from."""
    asked: int = 0
    """How many a call has asked for."""

    def next(self, draw: Callable[[StepInfo], Drawn], at: StepInfo) -> Drawn:
        if self.asked == len(self.known):
            self.known.append((draw, draw(at)))
        self.asked += 1
        return self.known[self.asked - 1][1]

    def renew(self, at: StepInfo) -> None:
        """Draws those of another step."""
        for draw, memory in self.known:
            for into, value in zip(_tensors(memory), _tensors(draw(at)), strict=True):
                into.copy_(value)


@dataclass(frozen=True)
class _RecordedInfo(StepInfo):
    """The position in a recorded step, whose draws are made outside of it."""

    draws: _Draws = field(default_factory=_Draws)

    def drawn(self, draw: Callable[[StepInfo], Drawn]) -> Drawn:
        return self.draws.next(draw, StepInfo(self.task, self.step, self.lr))


class Recording:
    """A step of one task, recorded.

    Args:
        take: the step; it may work in place.
        state: that the step begins from; recording takes steps, which change it.
        batches: of the step.
        info: of the step; its rate is one number.
        recorder: of the device.

    Raises:
        RuntimeError: the step cannot be recorded; others as `take` raises.
    """

    def __init__(self, take: Take, state: State, batches: Sequence[Batch], info: StepInfo, recorder: Recorder) -> None:
        self.state = state
        """The memory of the state: each replay continues from what is in it, and leaves the new state there."""
        self._take, self._batches = take, [(inputs.clone(), labels.clone()) for inputs, labels in batches]
        device = next(leaves(state)).device
        self._lr = torch.full((), float(_number(info)), dtype=torch.float32, device=device)
        self._info, self._names = _RecordedInfo(info.task, info.step, self._lr), list[str]()
        self._losses = torch.empty(0)
        self._replay = recorder.record(self._call)

    def step(self, batches: Sequence[Batch], info: StepInfo) -> Losses:
        """Takes a step of the state; returns its losses."""
        for (inputs, labels), (new_inputs, new_labels) in zip(self._batches, batches, strict=True):
            inputs.copy_(new_inputs)
            labels.copy_(new_labels)
        self._lr.fill_(_number(info))
        self._info.draws.renew(info)
        self._replay()
        return dict(zip(self._names, self._losses.clone().unbind(), strict=True))

    def _call(self) -> None:
        draws = self._info.draws
        draws.asked = 0
        new, losses = self._take(same_tensors(self.state), self._batches, replace(self._info))
        if draws.asked != len(draws.known):
            raise RuntimeError("a step does not draw as often as the one before it")
        with torch.no_grad():
            _keep(self.state, new)
            self._names, self._losses = list(losses), torch.stack(list(losses.values()))


def _keep(state: State, new: State) -> None:
    """Copies a new state into the memory of the old one."""
    if state.keys() != new.keys():
        raise RuntimeError("a step changes what its state holds")
    for name, value in state.items():
        if is_mapping(value):
            _keep(value, new[name])
        elif new[name] is not value:
            value.copy_(new[name])


def _tensors(drawn: Tensor | dict[str, Tensor]) -> list[Tensor]:
    return [drawn] if isinstance(drawn, Tensor) else list(drawn.values())


def _number(info: StepInfo) -> float:
    if not isinstance(info.lr, float):
        raise TypeError("the rate of a step that is recorded is one number")
    return info.lr
