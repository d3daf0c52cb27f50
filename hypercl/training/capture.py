"""`training.capture`: where a device can, a task's step is recorded once and replayed, in one call of the host.

Neither the recording nor its check changes the run: both begin from a copy of the state, which is put back. Every step
of a task after its first is a replay, whether the run was interrupted or not.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hypercl.config import Experiment
from hypercl.config.models import ImportedMethod, ImportedTarget
from hypercl.methods import Batch, Losses, State, StepInfo
from hypercl.tensors import copied, leaves
from hypercl.training.recorder import RECORDERS, Recorder
from hypercl.training.recording import Recording

LOG = logging.getLogger(__name__)
CHECKED_STEPS = 3
"""Taken both ways from the same state, each at half the rate of the one before."""
TOLERANCE = 1e-5
"""Largest difference between a recorded step's numbers and an eager one's, relative to the largest number of their
tensor; kernels that add in no fixed order differ as much from one eager step to the next."""


class Stepping(Protocol):
    """What makes a step: a bundle of replicas, or a learner."""

    def step(self, state: State, context: Any, batches: Sequence[Batch], info: StepInfo) -> tuple[State, Losses]:
        """The state after a step, and its losses."""
        ...


class Recordable(Stepping, Protocol):
    """What knows, too, whether its step can be recorded."""

    def not_recordable(self, context: Any, task: int) -> str:
        """Why not; '' if it can."""
        ...


BatchesAt = Callable[[int], Sequence[Batch]]


class CapturedSteps:
    """The steps of one task, replayed from a recording where that gives the same result, eager otherwise.

    Args:
        learner: takes the eager steps.
        batches: of a step of the task, for the check.
        recorder: of the device.
        outcomes: task -> how its steps are taken, which is written here.
        why_not: why nothing is recorded; '' if it can be tried.
    """

    def __init__(
        self, learner: Recordable, batches: BatchesAt, recorder: Recorder, outcomes: dict[int, str], why_not: str = ""
    ) -> None:
        self._learner, self._batches, self._recorder = learner, batches, recorder
        self._outcomes, self._why_not, self._tried = outcomes, why_not, False
        self._recording: Recording | None = None

    def step(self, state: State, context: Any, batches: Sequence[Batch], info: StepInfo) -> tuple[State, Losses]:
        """As of a `Bundle`. A task's first step is eager: some methods look at their data in it."""
        if info.step and not self._tried:
            self._tried = True
            self._record(state, context, batches, info)
        if self._recording is None or not info.step:
            return self._learner.step(state, context, batches, info)
        if self._recording.state is not state:
            raise RuntimeError("the state was replaced within a task")
        return state, self._recording.step(batches, info)

    def _record(self, state: State, context: Any, batches: Sequence[Batch], info: StepInfo) -> None:
        """Records the step and checks it; the state is as before afterwards."""
        why = self._why_not or self._learner.not_recordable(context, info.task)
        difference, saved = 0.0, copied(state)
        if not why:
            try:
                recording = Recording(
                    lambda own, given, at: self._learner.step(own, context, given, at),
                    state,
                    batches,
                    info,
                    self._recorder,
                )
                difference = self._difference(recording, saved, context, info)
                self._recording = recording if difference <= TOLERANCE else None
                why = "" if self._recording else f"a recorded step differs by {difference:.1g} of the largest number"
            except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
                why = _reason(error)
            _put(state, saved)
        same = f"equal to eager steps within {difference:.1g}" if difference else "equal to eager steps bit for bit"
        self._outcomes[info.task] = f"eager: {why}" if why else f"recorded, {same}"
        LOG.info("task %d: steps are %s", info.task + 1, self._outcomes[info.task])

    def _difference(self, recording: Recording, saved: State, context: Any, info: StepInfo) -> float:
        """The largest difference between both ways after some steps; leaves the recording's state changed."""
        assert isinstance(info.lr, float)
        infos = [replace(info, step=info.step + n, lr=info.lr / 2**n) for n in range(CHECKED_STEPS)]
        eager, seen = copied(saved), list[tuple[Tensor, Tensor]]()
        expected: list[Losses] = []
        for at in infos:
            eager, losses = self._learner.step(eager, context, self._batches(at.step), at)
            expected.append(losses)
        _put(recording.state, saved)
        for at, losses in zip(infos, expected, strict=True):
            found = recording.step(self._batches(at.step), at)
            seen += [(found[name], losses[name]) for name in losses]
        seen += zip(leaves(recording.state), leaves(eager), strict=True)
        found = float(torch.stack([_relative(*pair) for pair in seen]).amax())
        return found if isfinite(found) else float("inf")


def capturing(
    learner: Recordable, experiment: Experiment, batches: BatchesAt, device: torch.device, outcomes: dict[int, str]
) -> Stepping:
    """What takes the steps of a task: the learner itself where none can be recorded, on a CPU above all.

    Args:
        learner: of all replicas, with the settings of the task.
        experiment: what is trained.
        batches: of a step of the task.
        device: where.
        outcomes: task -> how its steps are taken, where that is decided.
    """
    if device.type not in RECORDERS or experiment.training.capture is False:
        return learner
    why_not = ""
    if isinstance(experiment.method, ImportedMethod):
        why_not = "the method is your own code, which may do what a recording does not repeat"
    elif isinstance(experiment.target, ImportedTarget):
        why_not = "the target is your own code, which may do what a recording does not repeat"
    return CapturedSteps(learner, batches, RECORDERS[device.type](device), outcomes, why_not)


def rate_on(device: torch.device, rate: float) -> float:
    """A learning rate as the device has it: where steps can be recorded it is float32, as in a recording."""
    return float(np.float32(rate)) if device.type in RECORDERS else rate


def _put(state: State, saved: State) -> None:
    with torch.no_grad():
        for into, value in zip(leaves(state), leaves(saved), strict=True):
            into.copy_(value)


def _relative(found: Tensor, expected: Tensor) -> Tensor:
    """The largest difference over the largest number, and 0 where both are equal or not a number: ()."""
    found, expected = found.double(), expected.double()
    same = (found == expected) | (found.isnan() & expected.isnan())
    apart = torch.where(same, 0.0, (found - expected).abs())
    return torch.cat([apart.flatten(), apart.new_zeros(1)]).amax() / _largest(expected)


def _largest(numbers: Tensor) -> Tensor:
    finite = torch.where(numbers.isfinite(), numbers.abs(), 0.0)
    return torch.cat([finite.flatten(), finite.new_full((1,), 1e-30)]).amax()


def _reason(error: BaseException) -> str:
    """One line; of the first error where one in the middle of a recording made its end fail, too."""
    while error.__context__ is not None and "captur" in str(error):
        error = error.__context__
    return f"{type(error).__name__}: {error}".split("\n")[0]
