"""A sweep as it goes: what is counted, and a line an event for logs and pipes."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from rich.console import Console

from hypercl.config import SweepFile
from hypercl.config.reading import value_in_short
from hypercl.formatting import duration
from hypercl.sweep.listener import Front, Silent
from hypercl.sweep.planner import planner_of
from hypercl.sweep.results.bounds import broken_of
from hypercl.sweep.results.goals import beats, measured, several
from hypercl.sweep.study import ENDINGS, TRAINED, Outcome


class Score(Silent):
    """What both ways of telling count."""

    def __init__(self, file: SweepFile, console: Console) -> None:
        self.console, self.file, self.objective = console, file, file.objective
        self.tasks, self.reports = file.experiment.tasks.num_tasks, file.pruner.reports_per_task
        self.budget, self.trained = file.search.trials, 0
        self.front: list[tuple[int, Sequence[float]]] = []
        """The best trial, of several goals the front."""
        self.counts: Counter[str] = Counter()
        self.planner = planner_of(file)
        self.ends = [time.monotonic()]
        """When this session began, and when each trial of it that counts ended."""

    def begun(self, trials: int, trained: int, front: Front) -> None:
        self.budget, self.trained, self.front = trials, trained, list(front)
        self.ends = [time.monotonic()]

    def count(self, number: int, outcome: Outcome) -> bool:
        """Counts an ending; whether it is the best so far, of several goals on the front."""
        self.counts[outcome.kind] += 1
        if outcome.kind in TRAINED:
            self.trained += 1
            self.ends.append(time.monotonic())
        values = outcome.values([goal.metric for goal in self.objective.goals])
        if values is None or not outcome.feasible:
            return False
        known = [list(other) for _, other in self.front]
        alike = values in known and not several(self.objective)
        if alike or any(beats(self.objective, other, values) for other in known):
            return False
        self.front = [one for one in self.front if not beats(self.objective, values, one[1])] + [(number, values)]
        return True

    def left(self) -> str:
        """The time left, from the pace of this session: 'about 35 min left', once there are three trials to judge by
        with a 95 % range; '' before the first one, where none is left, and of attempts, whose number is unknown."""
        gaps = [end - begun for begun, end in zip(self.ends, self.ends[1:], strict=False)]
        rest = self.budget - self.trained
        if not gaps or rest <= 0 or self.planner.one_task:
            return ""
        left, ends = fmean(gaps) * rest, ""
        if len(gaps) > 2:
            about = 1.96 * stdev(gaps) * sqrt(rest + rest**2 / len(gaps))
            ends = f" ({duration(max(0.0, left - about))} to {duration(left + about)})"
        return f"about {duration(left)} left{ends}"

    def until(self) -> str:
        """When that will be: 'until Sun 12:40'; '' where it is not known."""
        done, rest = len(self.ends) - 1, self.budget - self.trained
        if not done or rest <= 0 or self.planner.one_task:
            return ""
        end = datetime.now().timestamp() + (self.ends[-1] - self.ends[0]) / done * rest
        return f"until {datetime.fromtimestamp(end):%a %H:%M}"

    def ending(self, number: int, outcome: Outcome, best: bool) -> str:
        """A trial's end as a line."""
        if outcome.kind in ("pruned", "learned"):
            return f"trial {number} {outcome.why}"
        words = self.planner.complete_in_words(outcome) if outcome.kind == "complete" else ""
        if words:
            return f"trial {number} {words}"
        text = f"trial {number} {ENDINGS[outcome.kind].words}"
        if outcome.value is not None:
            values = outcome.values([goal.metric for goal in self.objective.goals]) or [outcome.value]
            value = measured(self.objective, values, outcome.metrics)
            good = "on the front" if several(self.objective) else "best so far"
            broken = broken_of(self.file, outcome)
            return f"{text}: {value}" + (f" ({good})" if best else f" ({broken})" if broken else "")
        return text + (f": {_last_line(outcome.why)}" if outcome.why else "")


class PlainLines(Score):
    """One line an event, for logs and pipes."""

    def said(self, text: str) -> None:
        self._print(text)

    def trial_started(self, number: int, params: dict[str, Any], again: bool) -> None:
        self._print(f"trial {number} {'resumed' if again else 'started'}: {', '.join(setting_parts(params))}")

    def trial_ended(self, number: int, outcome: Outcome) -> None:
        line = self.ending(number, outcome, self.count(number, outcome))
        left = f", {self.left()}" if self.left() and outcome.kind in TRAINED else ""
        self._print(f"{line} [{self.trained}/{self.budget}{left}]")

    def trial_interrupted(self, number: int) -> None:
        self._print(f"trial {number} interrupted")

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def setting_parts(params: dict[str, Any]) -> list[str]:
    """'beta=0.01', 'lr=0.001', ...: the last part of each key path."""
    short = {path: path.removesuffix(".name").rpartition(".")[2] for path in params}
    return [f"{short[path]}={value_in_short(value)}" for path, value in params.items()]


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""
