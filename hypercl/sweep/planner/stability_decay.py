"""Protocol `stability_decay` as a planner: each trial is an attempt at one task (`hypercl.sweep.planner.attempts`)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial

from hypercl.config import SweepFile
from hypercl.config.checks import RATE
from hypercl.exit_codes import ExitCode
from hypercl.sweep.planner.attempts import Attempt, Rules, Stage, Tried, stage_of
from hypercl.sweep.planner.planner import Part, Rows, SamplerPlanner
from hypercl.sweep.study import NEW_TASK, OUTCOME, PLANNED, TRAINED, Outcome, Suggestion, SweepStudy, outcome_of


class StabilityDecayPlanner(SamplerPlanner):
    """Plans attempts task by task. A trial that somebody else enqueued is a setting for the whole stream.

    Args:
        file: a sweep under this protocol.
    """

    one_task = True

    def __init__(self, file: SweepFile) -> None:
        super().__init__(file)
        self._rules = Rules.of(file)

    def next(self, study: SweepStudy) -> Suggestion | None:
        if not study.waiting:
            stage = self.stage(study.trials())
            if not stage.attempts:
                return None
            study.enqueue({}, {PLANNED: stage.attempts[0].plain()})
        return study.ask()

    def over(self, trials: Sequence[FrozenTrial]) -> bool:
        stage = self.stage(trials)
        return stage.done or bool(stage.stuck)

    def part(self, trial: FrozenTrial) -> Part:
        if PLANNED not in trial.user_attrs:
            return super().part(trial)
        attempt = attempt_of(trial)
        return Part(self.settings(trial), attempt.task, attempt.parent)

    def judged(self, trial: FrozenTrial, outcome: Outcome) -> Outcome:
        """Only the accepted attempt at the last task is a complete result; others that learned stay attempts."""
        if PLANNED not in trial.user_attrs or outcome.kind not in ("complete", "learned"):
            return outcome
        attempt, rules, accuracy = attempt_of(trial), self._rules, outcome.metrics[NEW_TASK]
        why = attempt_in_words(rules, attempt, accuracy) + (f"; {outcome.why}" if outcome.why else "")
        if attempt.task == rules.tasks - 1 and (rules.tasks == 1 or rules.accepts(attempt, accuracy)):
            return replace(outcome, why=why)
        return replace(outcome, kind="learned", why=why, value=None, violations={})

    def settings(self, trial: FrozenTrial) -> dict[str, Any]:
        if PLANNED not in trial.user_attrs:
            return super().settings(trial)
        return {"by_task": self._rules.by_task(attempt_of(trial))}

    def tried(self, trial: FrozenTrial) -> dict[str, Any]:
        """The values on the attempt's own task; at the first task the strength has nothing to act on."""
        if PLANNED not in trial.user_attrs:
            return super().settings(trial)
        attempt = attempt_of(trial)
        values = {RATE: attempt.rates[-1], self._rules.strength: attempt.strengths[-1]}
        return {path: values[path] for path in self._file.space if attempt.task or path == RATE}

    def columns(self, trial: FrozenTrial) -> dict[str, Any]:
        if PLANNED not in trial.user_attrs:
            return {}
        attempt = attempt_of(trial)
        return {"task": attempt.task + 1, "phase": attempt.phase, "parent": attempt.parent}

    def complete_in_words(self, outcome: Outcome) -> str:
        return f"{outcome.why}; accuracy on all {self._rules.tasks} tasks {outcome.value:.4f}"

    def plan_rows(self) -> Rows:
        rules, budget = self._rules, self._file.search.trials
        rates, count = ", ".join(f"{rate:g}" for rate in rules.rates), len(rules.rates)
        each = f"{count} at the first task" + (
            f", at each later one {count} without protection and then 1 to {rules.halvings + 1} with it"
            if rules.tasks > 1
            else ""
        )
        enough = "" if budget >= rules.most else f"; the budget is {budget}: rerun with a larger one to resume"
        lowest = rules.highest / 2**rules.halvings
        return [
            ("attempts", f"at most {rules.most}: {each}{enough}"),
            ("phase rate", f"plain fine-tuning with lr {rates}; the best accuracy on the new task is the mark"),
            (
                "phase decay",
                f"{rules.name} from {rules.highest:g} down to {lowest:g} by halves, until the accuracy on the new task "
                f"is at least {1 - rules.drop:.3g} x the mark",
            ),
        ]

    def status_rows(self, trials: Sequence[FrozenTrial]) -> Rows:
        stage, rules = self.stage(trials), self._rules
        if stage.done:
            return [("stream", f"all {rules.tasks} tasks are learned: {self._values(stage)}")]
        at = f"at task {stage.task + 1} of {rules.tasks}, phase {stage.phase}"
        return [("stream", f"stuck {at}: {stage.stuck}" if stage.stuck else at)]

    def ending(self, trials: Sequence[FrozenTrial]) -> tuple[ExitCode, str]:
        stage, rules = self.stage(trials), self._rules
        if stage.done:
            counted = sum(OUTCOME in trial.user_attrs and outcome_of(trial).kind in TRAINED for trial in trials)
            return ExitCode.DONE, f"all {rules.tasks} tasks are learned: {counted} attempts, {self._values(stage)}"
        where = f"at task {stage.task + 1} of {rules.tasks}, in phase {stage.phase}"
        if stage.stuck:
            return ExitCode.FAILED, f"stopped {where}: {stage.stuck}. Widen the space (under another --name)"
        return ExitCode.FAILED, (
            f"the budget of {self._file.search.trials} attempts ended {where}: there is no result yet. Rerun with a "
            f"larger --trials to resume; {rules.most} are enough for any outcome"
        )

    def trace(self, trials: Sequence[FrozenTrial]) -> tuple[str, list[dict[str, Any]]]:
        """What failed through machine or code and was tried again is left out."""
        accepted = {attempt.number for attempt in self.stage(trials).accepted}
        attempts = [attempt for attempt in tried_of(trials) if attempt.state != "failed"]
        return self._rules.name, [_row(each, self._rules, each.number in accepted) for each in attempts]

    def stage(self, trials: Sequence[FrozenTrial]) -> Stage:
        """How much of the stream is learned, and what to do next."""
        return stage_of(tried_of(trials), self._rules)

    def _values(self, stage: Stage) -> str:
        """The accepted values, task by task."""
        last = stage.accepted[-1].attempt
        rates, strengths = (", ".join(f"{value:g}" for value in values) for values in (last.rates, last.strengths[1:]))
        return f"lr {rates}" + (f"; {self._rules.name} {strengths} from the second on" if strengths else "")


def attempt_of(trial: FrozenTrial) -> Attempt:
    """What a planned trial tries."""
    return Attempt.of(trial.user_attrs[PLANNED])


def tried_of(trials: Sequence[FrozenTrial]) -> list[Tried]:
    """The planned trials, as the rules see them."""
    return [_tried(trial, attempt_of(trial)) for trial in trials if PLANNED in trial.user_attrs]


def _tried(trial: FrozenTrial, attempt: Attempt) -> Tried:
    if OUTCOME not in trial.user_attrs:
        return Tried(trial.number, attempt, "open")
    outcome = outcome_of(trial)
    if outcome.kind in ("complete", "learned"):
        return Tried(trial.number, attempt, "learned", outcome.metrics[NEW_TASK])
    return Tried(trial.number, attempt, "lost" if outcome.kind in TRAINED else "failed")


def attempt_in_words(rules: Rules, attempt: Attempt, accuracy: float) -> str:
    """How an attempt that learned its task did, and what follows."""
    text = f"learned task {attempt.task + 1} of {rules.tasks} to {accuracy:.4f} at {_values_tried(rules, attempt)}"
    floor = rules.floor(attempt)
    if floor is None:
        return text
    if accuracy >= floor:
        return f"{text}: accepted, the minimum is {floor:.4f}"
    if rules.accepts(attempt, accuracy):
        return f"{text}: below {floor:.4f}, accepted after the last halving"
    return f"{text}: below {floor:.4f}, the strength is halved"


def _values_tried(rules: Rules, attempt: Attempt) -> str:
    """'lr 0.001', 'lr 0.001 without protection', 'lr 0.001, beta 5'."""
    rate = f"lr {attempt.rates[-1]:g}"
    if attempt.phase == "decay":
        return f"{rate}, {rules.name} {attempt.strengths[-1]:g}"
    return f"{rate} without protection" if attempt.task else rate


def _row(tried: Tried, rules: Rules, accepted: bool) -> dict[str, Any]:
    """A row of the trace, with the columns of `hypercl.analysis.stability`."""
    attempt = tried.attempt
    return {
        "task": attempt.task + 1,
        "phase": attempt.phase,
        "trial": tried.number,
        "parent": attempt.parent,
        "learning_rate": attempt.rates[-1],
        "strength": attempt.strengths[-1] if attempt.phase == "decay" else 0.0,
        "halvings": attempt.halvings,
        "accuracy": tried.accuracy if tried.state == "learned" else None,
        "mark": attempt.mark,
        "floor": rules.floor(attempt),
        "state": tried.state,
        "accepted": accepted,
    }
