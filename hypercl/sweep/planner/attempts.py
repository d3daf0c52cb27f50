"""The rules of protocol `stability_decay`: which attempts come next, given those so far.

An attempt learns one task, starting where the accepted attempt of the task before ended. Phase `rate`: plain
fine-tuning with each learning rate; the best accuracy on the new task is the mark. Phase `decay`: with that rate the
strength of the method's protection starts at its highest value and is halved until the accuracy on the new task is near
enough to the mark. Source: De Lange et al. (2021), arXiv 1909.08383.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hypercl.config import Distribution, SweepFile
from hypercl.config.checks import RATE, strength_path
from hypercl.config.models import StabilityDecay

Phase = Literal["rate", "decay"]


@dataclass(frozen=True)
class Attempt:
    """What one trial tries."""

    task: int
    """The task that it learns, from 0."""
    phase: Phase
    parent: int | None
    """The trial whose end it starts from: the accepted one of the task before."""
    rates: tuple[float, ...]
    """The learning rate of each task up to its own: those accepted, then the one it tries."""
    strengths: tuple[float, ...]
    """The strength of each task in the same way; 0 is plain fine-tuning. The first task has the highest one: it has
    nothing to protect yet, but some methods measure there how much each weight matters."""
    halvings: int = 0
    """How many times the strength was halved."""
    mark: float | None = None
    """The best accuracy on its task by plain fine-tuning, in phase decay."""

    def plain(self) -> dict[str, Any]:
        """As stored in the study."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Attempt":
        """The inverse of `plain`."""
        lists: dict[str, Any] = {key: tuple(stored[key]) for key in ("rates", "strengths")}
        return cls(**{**stored, **lists})


@dataclass(frozen=True)
class Tried:
    """A trial, as the rules see it."""

    number: int
    attempt: Attempt
    state: Literal["open", "learned", "lost", "failed"]
    """Not ended; its task learned; lost to its setting (diverged, out of memory); failed for another reason, and to be
    tried again."""
    accuracy: float = 0.0
    """On its task's validation data, when it was learned."""


@dataclass(frozen=True)
class Rules:
    """The protocol's numbers."""

    tasks: int
    rates: tuple[float, ...]
    """Learning rates tried at each task."""
    highest: float
    """Where the strength starts."""
    drop: float
    """How far the accuracy may stay below the mark, as a share of it."""
    halvings: int
    """Maximum number of halvings; the last attempt is accepted as it is."""
    strength: str = "method.beta"
    """The strength's key path."""

    @classmethod
    def of(cls, file: SweepFile) -> "Rules":
        """Those of a sweep.

        Raises:
            ValueError: another protocol, or a method without a strength (`hypercl.config.check_sweep` refuses it).
        """
        protocol, strength = file.protocol, strength_path(file.experiment)
        if not isinstance(protocol, StabilityDecay) or strength is None:
            raise ValueError(f"{protocol.name} with {file.experiment.method.name} has no attempts")
        rates = _spaced(file.space[RATE], protocol.rates)
        tasks, highest = file.experiment.tasks.num_tasks or 0, float(max(file.space[strength].values))
        return cls(tasks, rates, highest, protocol.drop, protocol.halvings, strength)

    @property
    def name(self) -> str:
        """The strength's own name, such as 'beta'."""
        return self.strength.rpartition(".")[2]

    @property
    def most(self) -> int:
        """The most attempts a sweep can need, not counting those that failed through machine or code."""
        return len(self.rates) * self.tasks + (self.halvings + 1) * (self.tasks - 1)

    def floor(self, attempt: Attempt) -> float | None:
        """The lowest accuracy that is accepted in phase decay; None in phase rate."""
        return None if attempt.mark is None else (1.0 - self.drop) * attempt.mark

    def accepts(self, attempt: Attempt, accuracy: float) -> bool:
        """Whether an attempt of phase decay with this accuracy settles its task."""
        floor = self.floor(attempt)
        return floor is not None and (accuracy >= floor or attempt.halvings >= self.halvings)

    def by_task(self, attempt: Attempt) -> dict[str, list[float]]:
        """`experiment.by_task` of an attempt; later tasks have the values that it tries."""
        pairs = {RATE: attempt.rates, self.strength: attempt.strengths}
        return {path: [*values, *[values[-1]] * (self.tasks - len(values))] for path, values in pairs.items()}


@dataclass(frozen=True)
class Stage:
    """How much of the stream is learned, and what to do next."""

    task: int
    """The task being learned, from 0; their number once all are."""
    phase: Phase = "rate"
    attempts: tuple[Attempt, ...] = ()
    """To be started now, in parallel."""
    waiting: bool = False
    """Whether open attempts must end first."""
    stuck: str = ""
    """Why no attempt can follow; '' while one can."""
    accepted: tuple[Tried, ...] = ()
    """The accepted attempt of each task learned."""

    @property
    def done(self) -> bool:
        """Whether the last task's attempt is accepted."""
        return not (self.attempts or self.waiting or self.stuck)


def stage_of(tried: Sequence[Tried], rules: Rules) -> Stage:
    """What to do next, given the trials so far in any order."""
    accepted: tuple[Tried, ...] = ()
    for task in range(rules.tasks):
        stage = _stage_at(task, tried, rules, accepted)
        if isinstance(stage, Stage):
            return stage
        accepted = (*accepted, stage)
    return Stage(rules.tasks, accepted=accepted)


def _stage_at(task: int, tried: Sequence[Tried], rules: Rules, accepted: tuple[Tried, ...]) -> Stage | Tried:
    """The accepted attempt of a task, or what to do to get one."""
    before = accepted[-1] if accepted else None
    parent = before.number if before else None
    rates, strengths = (before.attempt.rates, before.attempt.strengths) if before else ((), ())
    own = [each for each in tried if each.attempt.task == task and each.attempt.parent == parent]
    free = rules.highest if task == 0 else 0.0

    wanted = [Attempt(task, "rate", parent, (*rates, rate), (*strengths, free)) for rate in rules.rates]
    found = [_ended_or_open(own, each) for each in wanted]
    missing = tuple(attempt for attempt, there in zip(wanted, found, strict=True) if there is None)
    tuned = [each for each in found if each is not None]
    if missing or any(each.state == "open" for each in tuned):
        return Stage(task, "rate", missing, not missing, accepted=accepted)
    learned = [each for each in tuned if each.state == "learned"]
    if not learned:
        return Stage(task, "rate", stuck="no learning rate could be trained to the task's end", accepted=accepted)
    best = max(learned, key=lambda each: each.accuracy)  # of equal ones the first, the lowest rate
    if task == 0:
        return best

    for halvings in range(rules.halvings + 1):
        strength = rules.highest / 2**halvings
        attempt = Attempt(
            task, "decay", parent, best.attempt.rates, (*strengths, strength), halvings, mark=best.accuracy
        )
        last = _ended_or_open(own, attempt)
        if last is None or last.state == "open":
            attempts = () if last else (attempt,)
            return Stage(task, "decay", attempts, last is not None, accepted=accepted)
        if last.state == "learned" and rules.accepts(attempt, last.accuracy):
            return last
    return Stage(task, "decay", stuck="at the last halving the task could not be trained to its end", accepted=accepted)


def _ended_or_open(tried: Sequence[Tried], attempt: Attempt) -> Tried | None:
    """The trial of an attempt that counts: the first, where one that was taken for lost came back."""
    same = [each for each in tried if each.attempt == attempt and each.state != "failed"]
    return min(same, key=lambda each: each.number) if same else None


def _spaced(one: Distribution, count: int) -> tuple[float, ...]:
    """Values evenly spaced on a distribution's scale, both ends included, in six digits; a single one is in the middle.
    A choice or a stepped range gives all its values."""
    if one.kind == "choice":
        return tuple(sorted(float(value) for value in one.values))
    low, high = one.values
    if one.step or one.kind == "int":
        steps = round((high - low) / (one.step or 1))
        return tuple(float(f"{low + (one.step or 1) * place:.6g}") for place in range(steps + 1))
    places = [place / (count - 1) for place in range(count)] if count > 1 else [0.5]
    if "log" in one.kind:
        values = [math.exp((1 - place) * math.log(low) + place * math.log(high)) for place in places]
    else:
        values = [(1 - place) * low + place * high for place in places]
    return tuple(float(f"{value:.6g}") for value in values)
