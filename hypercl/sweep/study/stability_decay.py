"""Protocol `stability_decay` as a plan: which attempt comes next, given those so far.

An attempt learns one task from where the accepted attempt of the task before ended. Phase `rate`: plain fine-tuning
with each learning rate; the best accuracy on the new task is the mark. Phase `decay`: with that rate the strength of
the method's protection starts at its highest value and is halved until the accuracy on the new task is near enough to
the mark. Source: De Lange et al. (2021), arXiv 1909.08383.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from optuna.trial import FrozenTrial

from hypercl.config import Distribution, SweepFile
from hypercl.config.checks import RATE, strength_path
from hypercl.config.models import StabilityDecay
from hypercl.sweep.study.outcome import NEW_TASK, OUTCOME, TRAINED, Outcome, outcome_of
from hypercl.sweep.study.space import settings_of

Phase = Literal["rate", "decay"]


@dataclass(frozen=True)
class Attempt:
    """What one trial of such a sweep tries."""

    task: int
    """The task that it learns, from 0."""
    phase: Phase
    parent: int | None
    """The trial from whose end it starts: the accepted one of the task before."""
    rates: tuple[float, ...]
    """Learning rate of each task up to its own: what was accepted, and last what it tries."""
    strengths: tuple[float, ...]
    """The same of the strength; 0 is plain fine-tuning. Of the first task the highest: there is nothing to act on yet,
    and a method that is to hold weights later measures there what by."""
    halvings: int = 0
    """How often the strength is halved."""
    mark: float | None = None
    """The best accuracy on its task by plain fine-tuning, in phase decay."""

    def plain(self) -> dict[str, Any]:
        """As the study has it."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Attempt":
        """From the study."""
        return cls(**{**stored, "rates": tuple(stored["rates"]), "strengths": tuple(stored["strengths"])})


@dataclass(frozen=True)
class Tried:
    """A trial of such a sweep, as the plan sees it."""

    number: int
    attempt: Attempt
    state: Literal["open", "learned", "lost", "failed"]
    """Not ended; its task learned; lost by the setting's fault (diverged, out of memory); failed by another, and to be
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
    """At most so many; the last attempt is accepted as it is."""
    strength: str = "method.beta"
    """The strength's key path."""

    @classmethod
    def of(cls, file: SweepFile) -> "Rules | None":
        """Those of a sweep; None under another protocol."""
        protocol, strength = file.protocol, strength_path(file.experiment)
        if not isinstance(protocol, StabilityDecay) or strength is None:
            return None
        rates = _spaced(file.space[RATE], protocol.rates)
        tasks, highest = file.experiment.tasks.num_tasks or 0, float(max(file.space[strength].values))
        return cls(tasks, rates, highest, protocol.drop, protocol.halvings, strength)

    @property
    def most(self) -> int:
        """Attempts that such a sweep can need, without those that fail by a fault of machine or code."""
        return len(self.rates) * self.tasks + (self.halvings + 1) * (self.tasks - 1)

    def floor(self, attempt: Attempt) -> float | None:
        """The accuracy from which on an attempt of phase decay is accepted; None of phase rate."""
        return None if attempt.mark is None else (1.0 - self.drop) * attempt.mark

    def accepts(self, attempt: Attempt, accuracy: float) -> bool:
        """Whether an attempt of phase decay that reached an accuracy ends its task."""
        floor = self.floor(attempt)
        return floor is not None and (accuracy >= floor or attempt.halvings >= self.halvings)

    def by_task(self, attempt: Attempt) -> dict[str, list[float]]:
        """`experiment.by_task` of an attempt: what it tries stands for the tasks to come, too."""
        pairs = {RATE: attempt.rates, self.strength: attempt.strengths}
        return {path: [*found, *[found[-1]] * (self.tasks - len(found))] for path, found in pairs.items()}


@dataclass(frozen=True)
class Stage:
    """How far the stream has come, and what is to be done now."""

    task: int
    """The task being learned, from 0; their number once all are."""
    phase: Phase = "rate"
    attempts: tuple[Attempt, ...] = ()
    """To be begun now, side by side."""
    waiting: bool = False
    """Whether attempts are open whose ends are needed first."""
    stuck: str = ""
    """Why the stream cannot go on; '' while it can."""
    accepted: tuple[Tried, ...] = ()
    """Of each task learned."""

    @property
    def done(self) -> bool:
        """Whether the last task's attempt is accepted."""
        return not (self.attempts or self.waiting or self.stuck)


def stage_of(tried: Sequence[Tried], rules: Rules) -> Stage:
    """What is to be done next. The order in which attempts ended does not matter.

    Args:
        tried: the trials so far, in any order.
        rules: the protocol's numbers.
    """
    accepted: tuple[Tried, ...] = ()
    for task in range(rules.tasks):
        stage = _stage_at(task, tried, rules, accepted)
        if isinstance(stage, Stage):
            return stage
        accepted = (*accepted, stage)
    return Stage(rules.tasks, accepted=accepted)


def _stage_at(task: int, tried: Sequence[Tried], rules: Rules, accepted: tuple[Tried, ...]) -> Stage | Tried:
    """The attempt that is accepted at a task, or what is to be done before there is one."""
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
    """The trial of an attempt that counts: of several (one was taken for lost and came back) the first."""
    same = [each for each in tried if each.attempt == attempt and each.state != "failed"]
    return min(same, key=lambda each: each.number) if same else None


def _spaced(one: Distribution, count: int) -> tuple[float, ...]:
    """Values evenly apart on a distribution's scale, both ends among them, in six digits; all that it lists.

    A single one lies in the middle.
    """
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


ATTEMPT = "attempt"
"""The user attribute of a trial in which its attempt stands: task, phase, parent, values so far, mark."""


def attempt_of(trial: FrozenTrial) -> Attempt | None:
    """What a trial tries; None under another protocol."""
    stored = trial.user_attrs.get(ATTEMPT)
    return None if stored is None else Attempt.of(stored)


def tried_of(trials: Sequence[FrozenTrial]) -> list[Tried]:
    """The attempts among some trials, as the plan sees them."""
    return [_tried(trial, attempt) for trial in trials if (attempt := attempt_of(trial)) is not None]


def _tried(trial: FrozenTrial, attempt: Attempt) -> Tried:
    if OUTCOME not in trial.user_attrs:
        return Tried(trial.number, attempt, "open")
    outcome = outcome_of(trial)
    if outcome.kind in ("complete", "learned"):
        return Tried(trial.number, attempt, "learned", outcome.metrics[NEW_TASK])
    return Tried(trial.number, attempt, "lost" if outcome.kind in TRAINED else "failed")


def current_stage(file: SweepFile, trials: Sequence[FrozenTrial]) -> Stage | None:
    """How far the stream has come; None under another protocol."""
    rules = Rules.of(file)
    return None if rules is None else stage_of(tried_of(trials), rules)


def is_over(file: SweepFile, trials: Sequence[FrozenTrial]) -> bool:
    """Whether a sweep under this protocol needs no further attempt, or cannot use one; False under others."""
    now = current_stage(file, trials)
    return now is not None and (now.done or bool(now.stuck))


def attempted_settings(file: SweepFile, trial: FrozenTrial) -> dict[str, Any]:
    """Key path -> value that a trial tries: of an attempt on its own task, at the first of which a strength has nothing
    to act on; else as in its setting."""
    attempt, rules = attempt_of(trial), Rules.of(file)
    if attempt is None or rules is None:
        return settings_of(file.experiment, file.space, trial.params)
    values = {RATE: attempt.rates[-1], rules.strength: attempt.strengths[-1]}
    return {path: values[path] for path in file.space if attempt.task or path == RATE}


def values_by_task(file: SweepFile, trial: FrozenTrial) -> dict[str, list[float]]:
    """Key path -> a value for each task, as an attempt has them; empty of any other trial."""
    attempt, rules = attempt_of(trial), Rules.of(file)
    return {} if attempt is None or rules is None else rules.by_task(attempt)


def attempt_columns(trial: FrozenTrial, *names: str) -> dict[str, Any]:
    """What tells an attempt from others: `task`, `phase` and `parent`, or some of them; empty of any other trial."""
    attempt = attempt_of(trial)
    if attempt is None:
        return {}
    found = {"task": attempt.task + 1, "phase": attempt.phase, "parent": attempt.parent}
    return {name: value for name, value in found.items() if not names or name in names}


def judged_attempt(file: SweepFile, trial: FrozenTrial, outcome: Outcome | None) -> Outcome | None:
    """An attempt's outcome with what follows from it as its sentence; of any other trial as it is.

    Only what is accepted at the last task is a complete result; what else was learned is an attempt.
    """
    attempt, rules = attempt_of(trial), Rules.of(file)
    if attempt is None or rules is None or outcome is None or outcome.kind not in ("complete", "learned"):
        return outcome
    accuracy = outcome.metrics[NEW_TASK]
    why = attempt_in_words(rules, attempt, accuracy) + (f"; {outcome.why}" if outcome.why else "")
    result = attempt.task == rules.tasks - 1 and (rules.tasks == 1 or rules.accepts(attempt, accuracy))
    if result:
        return replace(outcome, why=why)
    return replace(outcome, kind="learned", why=why, value=None, violations={})


def attempt_in_words(rules: Rules, attempt: Attempt, accuracy: float) -> str:
    """What an attempt that learned its task came to, and what follows."""
    text = f"learned task {attempt.task + 1} of {rules.tasks} to {accuracy:.4f} at {tries(rules, attempt)}"
    floor = rules.floor(attempt)
    if floor is None:
        return text
    if accuracy >= floor:
        return f"{text}: accepted, at least {floor:.4f} was asked for"
    if rules.accepts(attempt, accuracy):
        return f"{text}: below {floor:.4f}, accepted since it may be halved no more"
    return f"{text}: below {floor:.4f}, the strength is halved"


def tries(rules: Rules, attempt: Attempt) -> str:
    """The values that an attempt tries: 'lr 0.001', 'lr 0.001 without protection', 'lr 0.001, beta 5'."""
    rate, name = f"lr {attempt.rates[-1]:g}", rules.strength.rpartition(".")[2]
    if attempt.phase == "decay":
        return f"{rate}, {name} {attempt.strengths[-1]:g}"
    return f"{rate} without protection" if attempt.task else rate
