"""Ray asks, the study answers: suggestions out, endings in."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial
from ray.tune.search import Searcher

from hypercl.config import Experiment, assign
from hypercl.config.checks import are_alike, why_alone
from hypercl.config.models import SweepFile
from hypercl.control import Control
from hypercl.sweep.listener import Listener
from hypercl.sweep.planner import Planner
from hypercl.sweep.study import (
    METRIC_OF,
    Bounds,
    Outcome,
    Suggestion,
    SweepStudy,
    Verdict,
    violations_of,
)
from hypercl.sweep.workers import job
from hypercl.sweep.workers.deaths import Death, Deaths, in_short
from hypercl.sweep.workers.job import TrialJob
from hypercl.sweep.workers.session import Stateless

UNKNOWN = Death("process", "its process died")
MOST_INFEASIBLE = 50
"""Suggestions out of bounds in a row after which the sweep stops."""


SECONDS_TO_LOOK = 0.5
"""Between two looks at what other drivers of the study do, with nothing to train here."""


class StudySearcher(Stateless):
    """A Ray searcher that keeps nothing to itself: the study is its memory.

    Args:
        file: the sweep.
        study: what is asked and told.
        planner: says what is tried next.
        bounds: judges suggestions before they are trained.
        control: whether the sweep is stopping.
        listener: hears of starts and ends.
        job_of: makes a worker's job from a trial's number and experiment.
        room: how many bundles, or trials by themselves, can be trained at once now.
        enlarge: gives trials more of a GPU than one had that ran out of memory there, where that is to be had.
    """

    def __init__(
        self,
        file: SweepFile,
        study: SweepStudy,
        planner: Planner,
        bounds: Bounds,
        control: Control,
        listener: Listener,
        job_of: Callable[[int, Experiment], job.TrialJob],
        room: Callable[[], int] = lambda: 1,
        enlarge: Callable[[float], bool] = lambda _: False,
    ) -> None:
        super().__init__()
        self._file, self._study, self._planner, self._bounds = file, study, planner, bounds
        self._control, self._listener, self._job_of, self._room = control, listener, job_of, room
        self._enlarge = enlarge
        self._shares: dict[int, float] = {}
        """What a trial had of a GPU, by number."""
        self._leftovers = study.leftovers()
        self._open: dict[str, dict[int, Suggestion]] = {}
        """Ray's name of a trial -> the study's trials that it trains, by number."""
        self._held: list[Suggestion] = []
        """Suggestions that did not fit into a bundle: they are next."""
        self._infeasible_in_row = 0
        self._waited = False
        self._deaths = Deaths(file.search.retries, control)
        self._alone: set[int] = set()
        """Trials that ran out of memory: they are tried once more, with nothing beside them."""
        self.deaths: dict[int, Death] = {}
        """How a trial's process died, by number; written by the scheduler."""
        self.spent: dict[int, tuple[float | None, int | None]] = {}
        """Seconds and floating-point operations of a trial up to its last report, by number; written by the scheduler.
        """

    def suggest(self, trial_id: str) -> Any:
        """The next trial as a worker's job; FINISHED once the budget is met and nothing runs that could fail."""
        while self._control.reason is None and self._budget_left() and not self._to_wait():
            suggestion, again = self._next()
            if suggestion is None:
                break
            verdict = self._judged(suggestion)
            if verdict is None or verdict.experiment is None:
                continue
            members = self._bundle(suggestion, verdict.experiment, again)
            self._open[trial_id] = {one.number: one for one, _ in members}
            first, *others = [self._started(one, experiment, again) for one, experiment in members]
            return {"job": replace(first, beside=tuple(others)) if others else first}
        if self._control.reason is None and (self._running or self._others_run()):
            return None
        return Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the study: by the outcome in the last result, by the written decision of a stop, or as failed."""
        told, members = result or {}, self._open.pop(trial_id, {})
        own = dict(told[job.MEMBERS]) if job.MEMBERS in told else dict.fromkeys(members, told)
        if len(members) > 1:
            members = self._without_failed(members, own, error)
        for number, suggestion in members.items():
            self._ended(suggestion, own.get(number, {}), error)

    def member_ended(self, trial_id: str, number: int, told: dict[str, Any]) -> None:
        """Tells the study of a trial of a bundle that ended before the others, as `on_trial_complete`."""
        self._ended(self._open[trial_id].pop(number), told, error=False)

    def runs(self, trial_id: str) -> bool:
        """Whether a trial of this bundle is being trained."""
        return bool(self._open.get(trial_id))

    def _ended(self, suggestion: Suggestion, told: dict[str, Any], error: bool) -> None:
        number = suggestion.number
        for step, value in told.get(job.HISTORY, ()):
            self._study.report(number, step, value)
        death = self.deaths.pop(number, UNKNOWN) if error else _death_in(told)
        outcome = self._outcome(told) if death is None else self._after(suggestion, death)
        if outcome is not None:
            self._study.decide(number, self._planner.judged(self._study.trial(number), outcome))
        settled = self._study.settle(number)
        self._alone -= {number} if outcome is not None else set()
        if settled is None:
            self._listener.trial_interrupted(number)
            return
        self._count_failures(settled)
        self._listener.trial_ended(number, settled)

    @property
    def _running(self) -> int:
        """Trials that are being trained."""
        return sum(map(len, self._open.values()))

    def _budget_left(self) -> bool:
        """Whether a trial may be begun: one that this driver began before or takes over, or a new one."""
        budget = self._file.search.trials
        if (self._leftovers or self._held) and self._study.unmet(budget):
            return True
        if self._study.room(self._running, budget):
            return True
        abandoned = self._study.taken_over()
        if abandoned is None:
            return False
        self._listener.said(f"trial {abandoned.number}: taken over from a driver that is gone")
        self._leftovers.append(abandoned)
        return True

    def _others_run(self) -> bool:
        """Whether other drivers train what is left; this one waits for it, since they may be lost."""
        waits = self._study.unmet(self._file.search.trials)
        if waits and not self._waited:
            self._waited = True
            self._listener.said("the rest of the budget is with other drivers: waiting for them")
        if waits:  # Ray Tune asks on meanwhile, and does nothing else
            time.sleep(SECONDS_TO_LOOK)
            self._study.beat()
        return waits and not self._control.stopping

    def _next(self) -> tuple[Suggestion | None, bool]:
        if self._leftovers:
            return self._leftovers.pop(0), True
        return self._held.pop(0) if self._held else self._planner.next(self._study), False

    def _bundle(self, first: Suggestion, experiment: Experiment, again: bool) -> list[tuple[Suggestion, Experiment]]:
        """A trial and those that are trained with it: suggested for that, or those it was trained with before."""
        members = [(first, experiment)]
        if self._file.search.bundle == 1 or why_alone(experiment)[0]:
            return members
        most = self._file.search.bundle if again else self._largest_bundle()
        while len(members) < most and self._control.reason is None:
            other = self._of_same_bundle(first) if again else self._suggested_beside(first, len(members))
            if other is None:
                break
            verdict = self._judged(other)
            if verdict is None or verdict.experiment is None:
                continue
            if not are_alike(experiment, verdict.experiment):
                self._held.append(other)
                break
            members.append((other, verdict.experiment))
        if len(members) > 1:
            for one, _ in members:
                self._study.set_bundle(one.number, first.number)
        return members

    def _largest_bundle(self) -> int:
        """Trials of a new bundle: no more than leave as many for each of those that can be trained beside it."""
        free = max(1, self._room() - sum(map(bool, self._open.values())))
        left = self._file.search.trials - self._study.trained - self._running
        return min(self._file.search.bundle, -(-left // free))

    def _of_same_bundle(self, first: Suggestion) -> Suggestion | None:
        bundle = self._study.bundle_of(first.number)
        others = [one for one in self._leftovers if bundle is not None and self._study.bundle_of(one.number) == bundle]
        if others:
            self._leftovers.remove(others[0])
        return others[0] if others else None

    def _suggested_beside(self, first: Suggestion, members: int) -> Suggestion | None:
        more = self._running + members + len(self._held)
        return self._planner.beside(self._study, first) if self._study.room(more, self._file.search.trials) else None

    def _started(self, suggestion: Suggestion, experiment: Experiment, again: bool) -> TrialJob:
        trial = self._study.trial(suggestion.number)
        task = {name: value for name, value in self._planner.columns(trial).items() if name == "task"}
        self._listener.trial_started(suggestion.number, task | self._planner.tried(trial), again)
        return self._planned_job(trial, experiment)

    def _planned_job(self, trial: FrozenTrial, experiment: Experiment) -> TrialJob:
        """A trial's job, of the part of its experiment that the planner says."""
        part = self._planner.part(trial)
        job = self._job_of(trial.number, assign(experiment, part.changes))
        parent = None if part.parent is None else job.folder.parent / str(part.parent)
        job = replace(job, until_task=part.until_task, parent=parent)
        self._shares[trial.number] = job.gpus
        return replace(job, fewer_at_once=True, processes=1) if trial.number in self._alone else job

    def _judged(self, suggestion: Suggestion) -> Verdict | None:
        """The verdict on a feasible suggestion; an infeasible one is told at once."""
        try:
            verdict = self._bounds.judge(suggestion.params)
        except Exception as error:
            outcome = Outcome("failed", f"its network cannot be built: {type(error).__name__}: {error}")
            self._end_now(suggestion.number, outcome)
            self._count_failures(outcome)
            return None
        self._study.constrain(suggestion.number, verdict.violations)
        if verdict.feasible:
            self._infeasible_in_row = 0
            return verdict
        self._end_now(suggestion.number, Outcome("infeasible", verdict.why))
        self._infeasible_in_row += 1
        if self._infeasible_in_row >= MOST_INFEASIBLE:
            self._control.stop_asking("infeasible")
        return None

    def _end_now(self, number: int, outcome: Outcome) -> None:
        self._study.decide(number, outcome)
        self._study.settle(number)
        self._listener.trial_ended(number, outcome)

    def _to_wait(self) -> bool:
        """Whether what runs, or is to run next, must have the machine for itself."""
        concerned = {number for members in self._open.values() for number in members}
        concerned |= {suggestion.number for suggestion in self._leftovers[:1]}
        return bool(self._running) and not self._alone.isdisjoint(concerned)

    def _without_failed(
        self, members: dict[int, Suggestion], own: dict[int, dict[str, Any]], error: bool
    ) -> dict[int, Suggestion]:
        """Puts the trials of a bundle that failed in line again, in two bundles of half the size: one of them may be
        the reason. Returns the others; the machine's failures are nobody's."""
        failed: dict[int, Suggestion] = {}
        why = ""
        for number, suggestion in members.items():
            told = own.get(number, {})
            death = self.deaths.get(number, UNKNOWN) if error else _death_in(told)
            code = not error and told.get(job.OUTCOME) == job.FAILED
            if code or (death is not None and death.cause not in ("machine", "node")):
                failed[number] = suggestion
                why = death.why if death is not None else in_short(str(told.get(job.WHY, "")))
        if self._control.reason is not None:
            for number in failed:
                self._listener.trial_interrupted(number)
        elif failed:
            numbers = sorted(failed)
            half = (len(numbers) + 1) // 2
            for part in (numbers[:half], numbers[half:]):
                for number in part:
                    self._study.set_bundle(number, part[0])
            self._leftovers[:0] = [failed[number] for number in numbers]
            then = f"again in bundles of {half}" if half > 1 else "again, each by itself"
            self._listener.said(f"trials {', '.join(map(str, numbers))}: {why}; they are trained {then}")
        return {number: one for number, one in members.items() if number not in failed}

    def _after(self, suggestion: Suggestion, death: Death) -> Outcome | None:
        """The outcome of a trial that died; None where it is restarted, or stays for the next session."""
        number = suggestion.number
        share = self._shares.get(number, 0.0) if death.cause == "memory" and self._control.reason is None else 0.0
        if self._enlarge(share):
            self._leftovers.insert(0, suggestion)
            self._listener.said(f"trial {number}: {death.why} with {share:g} of a GPU; trials get more from now on")
            return None
        then = self._deaths.then(number, death)
        if then == "again":
            self._leftovers.insert(0, suggestion)
            self._alone |= {number} if death.cause == "memory" else set()
            alone = ", alone and with fewer replicas at once" if death.cause == "memory" else ""
            self._listener.said(f"trial {number}: {death.retried}{alone}")
        if then != "over":
            return None
        spent = self.spent.get(number, (None, None))
        if death.cause == "memory":
            return Outcome("out_of_memory", f"{death.why}, also when it ran alone", None, {}, *spent)
        return Outcome("failed", death.why, None, {}, *spent)

    def _outcome(self, result: dict[str, Any]) -> Outcome | None:
        """The outcome in a trial's last result; None for a trial that was stopped or interrupted."""
        ended = result.get(job.OUTCOME)
        why, spent = str(result.get(job.WHY, "")), (result.get(job.SECONDS), result.get(job.FLOPS))
        if ended == job.FINISHED:
            metrics = {key: float(value) for key, value in result.get(job.METRICS, ())}
            return self._finished(metrics, spent, why)
        if ended == job.LEARNED:
            return Outcome("learned", why, None, dict(result.get(job.METRICS, ())), *spent)
        if ended == job.DIVERGED:
            return Outcome("diverged", why, None, {}, *spent)
        if ended == job.FAILED:
            return Outcome("failed", why, None, {}, *spent)
        return None

    def _finished(self, metrics: dict[str, float], spent: tuple[float | None, int | None], why: str) -> Outcome:
        goals, bounds = [goal.metric for goal in self._file.objective.goals], self._file.constraints.measured
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        for key in (*goals, *(METRIC_OF[bound] for bound in bounds)):
            if key not in metrics and why:  # seeds diverged, and a user's own metric has no known worst value
                return Outcome("diverged", why, None, finite, *spent)
            if key not in metrics:
                return Outcome("failed", f"its summary holds no {key}", None, finite, *spent)
            if key not in finite:
                return Outcome("diverged", f"{key} is {metrics[key]}", None, finite, *spent)
        return Outcome("complete", why, finite[goals[0]], finite, *spent, violations_of(bounds, finite))

    def _count_failures(self, outcome: Outcome) -> None:
        if outcome.kind != "failed":
            self._control.failed_in_row = 0
            return
        self._control.failed_in_row += 1
        self._control.first_failure = self._control.first_failure or outcome.why
        if self._control.failed_in_row >= self._file.search.max_failed:
            self._control.stop("failed")


def _death_in(result: dict[str, Any]) -> Death | None:
    """The death that a last result tells of; None where it tells of another end."""
    why = str(result.get(job.WHY, ""))
    if result.get(job.OUTCOME) == job.OUT_OF_MEMORY:
        return Death("memory", f"out of memory: {why}")
    if result.get(job.OUTCOME) == job.BLIND:
        return Death("node", why)
    return Death("machine", why) if result.get(job.OUTCOME) == job.MACHINE else None
