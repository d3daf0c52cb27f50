"""Attempts of protocol `stability_decay` as trials of the study: from trials to the plan, and back."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial

from hypercl.config import SweepFile
from hypercl.config.checks.stability_decay import RATE
from hypercl.sweep.study.outcome import NEW_TASK, OUTCOME, TRAINED, Outcome, outcome_of
from hypercl.sweep.study.space import settings_of
from hypercl.sweep.study.stability_decay import Attempt, Rules, Stage, Tried, stage_of

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


def stage(file: SweepFile, trials: Sequence[FrozenTrial]) -> Stage | None:
    """How far the stream has come; None under another protocol."""
    rules = Rules.of(file)
    return None if rules is None else stage_of(tried_of(trials), rules)


def is_over(file: SweepFile, trials: Sequence[FrozenTrial]) -> bool:
    """Whether a sweep under this protocol needs no further attempt, or cannot use one; False under others."""
    now = stage(file, trials)
    return now is not None and (now.done or bool(now.stuck))


def attempted(file: SweepFile, trial: FrozenTrial) -> dict[str, Any]:
    """Key path -> value that a trial tries: of an attempt on its own task, at the first of which a strength has nothing
    to act on; else as in its setting."""
    attempt, rules = attempt_of(trial), Rules.of(file)
    if attempt is None or rules is None:
        return settings_of(file.experiment, file.space, trial.params)
    values = {RATE: attempt.rates[-1], rules.strength: attempt.strengths[-1]}
    return {path: values[path] for path in file.space if attempt.task or path == RATE}


def found_by_task(file: SweepFile, trial: FrozenTrial) -> dict[str, list[float]]:
    """Key path -> a value for each task, as an attempt has them; empty of any other trial."""
    attempt, rules = attempt_of(trial), Rules.of(file)
    return {} if attempt is None or rules is None else rules.by_task(attempt)


def columns(trial: FrozenTrial, *names: str) -> dict[str, Any]:
    """What tells an attempt from others: `task`, `phase` and `parent`, or some of them; empty of any other trial."""
    attempt = attempt_of(trial)
    if attempt is None:
        return {}
    found = {"task": attempt.task + 1, "phase": attempt.phase, "parent": attempt.parent}
    return {name: value for name, value in found.items() if not names or name in names}




def judged(file: SweepFile, trial: FrozenTrial, outcome: Outcome | None) -> Outcome | None:
    """An attempt's outcome with what follows from it as its sentence; of any other trial as it is.

    Only what is accepted at the last task is a complete result; what else was learned is an attempt.
    """
    attempt, rules = attempt_of(trial), Rules.of(file)
    if attempt is None or rules is None or outcome is None or outcome.kind not in ("complete", "learned"):
        return outcome
    accuracy = outcome.metrics[NEW_TASK]
    why = in_words(rules, attempt, accuracy) + (f"; {outcome.why}" if outcome.why else "")
    result = attempt.task == rules.tasks - 1 and (rules.tasks == 1 or rules.accepts(attempt, accuracy))
    if result:
        return replace(outcome, why=why)
    return replace(outcome, kind="learned", why=why, value=None, violations={})


def in_words(rules: Rules, attempt: Attempt, accuracy: float) -> str:
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








