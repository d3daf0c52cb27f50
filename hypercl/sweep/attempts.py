"""Attempts of protocol `stability_decay` as trials of the study: from trials to the plan, and back."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial

from hypercl.config import Experiment, SweepFile, assign, resolved
from hypercl.config.checks.stability_decay import RATE
from hypercl.exit_codes import ExitCode
from hypercl.sweep.study.outcome import OUTCOME, TRAINED, Outcome, outcome_of
from hypercl.sweep.study.space import settings_of
from hypercl.sweep.study.stability_decay import Attempt, Rules, Stage, Tried, stage_of
from hypercl.sweep.workers.job import NEW_TASK, TrialJob

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


def as_attempt(file: SweepFile, trial: FrozenTrial, job: TrialJob) -> TrialJob:
    """A trial's job as that of its attempt; under another protocol as it is."""
    attempt, values = attempt_of(trial), found_by_task(file, trial)
    if attempt is None:
        return job
    experiment = assign(Experiment.model_validate(job.experiment), {"by_task": values})
    parent = None if attempt.parent is None else job.folder.parent / str(attempt.parent)
    return replace(job, experiment=resolved(experiment), until_task=attempt.task, parent=parent)


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


def ending(file: SweepFile, trials: Sequence[FrozenTrial]) -> tuple[ExitCode, str] | None:
    """How a sweep under this protocol has ended, in words: the stream is learned, stuck, or the budget was too small.

    None under another protocol.
    """
    now, rules = stage(file, trials), Rules.of(file)
    if now is None or rules is None:
        return None
    counted = sum(OUTCOME in trial.user_attrs and outcome_of(trial).kind in TRAINED for trial in trials)
    if now.done:
        return ExitCode.DONE, f"all {rules.tasks} tasks are learned: {counted} attempts, {_values(rules, now)}"
    where = f"at task {now.task + 1} of {rules.tasks}, in phase {now.phase}"
    if now.stuck:
        return ExitCode.FAILED, f"stopped {where}: {now.stuck}. Widen the space (under another --name)"
    return ExitCode.FAILED, (
        f"the budget of {file.search.trials} attempts ended {where}: there is no result yet. The same command with a "
        f"larger --trials goes on; {rules.most} are enough for any outcome"
    )


def _values(rules: Rules, now: Stage) -> str:
    """The accepted values, task by task."""
    last = now.accepted[-1].attempt
    rates, strengths = (", ".join(f"{value:g}" for value in values) for values in (last.rates, last.strengths[1:]))
    name = rules.strength.rpartition(".")[2]
    return f"lr {rates}" + (f"; {name} {strengths} from the second on" if strengths else "")


def stage_rows(file: SweepFile, trials: Sequence[FrozenTrial]) -> list[tuple[str, str]]:
    """How far the stream has come, as a row of a name and a sentence; empty under another protocol."""
    now, rules = stage(file, trials), Rules.of(file)
    if now is None or rules is None:
        return []
    if now.done:
        return [("stream", f"all {rules.tasks} tasks are learned: {_values(rules, now)}")]
    at = f"at task {now.task + 1} of {rules.tasks}, phase {now.phase}"
    return [("stream", f"stuck {at}: {now.stuck}" if now.stuck else at)]


def planned(file: SweepFile) -> list[tuple[str, str]]:
    """The plan of a sweep under this protocol, as rows of a name and a sentence; empty under another."""
    rules = Rules.of(file)
    if rules is None:
        return []
    rates, budget = ", ".join(f"{rate:g}" for rate in rules.rates), file.search.trials
    name, count = rules.strength.rpartition(".")[2], len(rules.rates)
    each = f"{count} at the first task" + (
        f", at each later one {count} without protection and then 1 to {rules.halvings + 1} with it"
        if rules.tasks > 1
        else ""
    )
    enough = "" if budget >= rules.most else f"; the budget is {budget}, and a larger one goes on where that ends"
    lowest = rules.highest / 2**rules.halvings
    return [
        ("attempts", f"at most {rules.most}: {each}{enough}"),
        ("phase rate", f"plain fine-tuning with lr {rates}; the best accuracy on the new task is the mark"),
        (
            "phase decay",
            f"{name} from {rules.highest:g} down to {lowest:g} by halves, until the accuracy on the new task is at "
            f"least {1 - rules.drop:.3g} x the mark",
        ),
    ]
