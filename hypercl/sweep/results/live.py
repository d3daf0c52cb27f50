"""A sweep as it goes: a live table in a terminal, a line an event elsewhere."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from statistics import fmean
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hypercl.config import SweepFile
from hypercl.config.reading import value_in_short
from hypercl.formatting import duration
from hypercl.sweep.listener import Front, Listener, Silent
from hypercl.sweep.planner import planner_of
from hypercl.sweep.results.bounds import broken_of
from hypercl.sweep.results.goals import beats, measured, several, told, trials_in_words
from hypercl.sweep.study import ENDINGS, TRAINED, Outcome, counts_in_words

SECONDS_PER_FRAME = 0.5
LINES_OF_NEWS = 6


def listener_for(file: SweepFile, console: Console | None = None) -> Listener:
    """A live table where there is a terminal, plain lines where there is none."""
    where = console or Console()
    return LiveTable(file, where) if where.is_terminal else PlainLines(file, where)


class _Score(Silent):
    """What both ways of telling count."""

    def __init__(self, file: SweepFile, console: Console) -> None:
        self.console, self.file, self.objective = console, file, file.objective
        self.tasks, self.reports = file.experiment.tasks.num_tasks, file.pruner.reports_per_task
        self.budget, self.trained = file.search.trials, 0
        self.front: list[tuple[int, Sequence[float]]] = []
        """The best trial, of several goals the front."""
        self.counts: Counter[str] = Counter()
        self.planner = planner_of(file)
        self.began, self.trained_before = time.monotonic(), 0

    def begun(self, trials: int, trained: int, front: Front) -> None:
        self.budget, self.trained, self.front = trials, trained, list(front)
        self.began, self.trained_before = time.monotonic(), trained

    def count(self, number: int, outcome: Outcome) -> bool:
        """Counts an ending; whether it is the best so far, of several goals on the front."""
        self.counts[outcome.kind] += 1
        self.trained += outcome.kind in TRAINED
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
        """The time left, from the pace of this session; '' before it is known, where none is left, and of attempts,
        whose number is unknown."""
        done, rest = self.trained - self.trained_before, self.budget - self.trained
        if done <= 0 or rest <= 0 or self.planner.one_task:
            return ""
        return duration((time.monotonic() - self.began) / done * rest)

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


class PlainLines(_Score):
    """One line an event, for logs and pipes."""

    def said(self, text: str) -> None:
        self._print(text)

    def trial_started(self, number: int, params: dict[str, Any], again: bool) -> None:
        short = {path: path.removesuffix(".name").rpartition(".")[2] for path in params}
        values = ", ".join(f"{short[path]}={value_in_short(value)}" for path, value in params.items())
        self._print(f"trial {number} {'resumed' if again else 'started'}: {values}")

    def trial_ended(self, number: int, outcome: Outcome) -> None:
        line = self.ending(number, outcome, self.count(number, outcome))
        left = f", about {self.left()} left" if self.left() and outcome.kind in TRAINED else ""
        self._print(f"{line} [{self.trained}/{self.budget}{left}]")

    def trial_interrupted(self, number: int) -> None:
        self._print(f"trial {number} interrupted; rerun the same command to resume")

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


@dataclass
class _Running:
    """A trial, or a run beside the study, that is being trained."""

    began: float = field(default_factory=time.monotonic)
    step: int = 0
    accuracies: tuple[float, ...] = ()
    """On the tasks met."""
    highest: tuple[float, ...] = ()
    """The highest accuracy on each task so far; empty where the first task was learned before a restart."""

    def report(self, step: int, accuracies: tuple[float, ...], reports_per_task: int) -> None:
        """Takes a report; `step` counts the reports of the run, before restarts too."""
        if self.highest or step <= reports_per_task:
            self.highest = tuple(max(pair) for pair in zip_longest(self.highest, accuracies, fillvalue=0.0))
        self.step, self.accuracies = step, accuracies

    @property
    def forgetting(self) -> str:
        """Mean drop from the highest accuracy over the tasks before the present one; '' where it is not known."""
        drops = [high - now for high, now in zip(self.highest, self.accuracies[:-1], strict=False)]
        return f"{fmean(drops):.4f}" if drops else ""


class LiveTable(_Score):
    """Best so far, running trials with task and accuracy, news of ended ones, and the estimated end."""

    def __init__(self, file: SweepFile, console: Console) -> None:
        super().__init__(file, console)
        self._running: dict[int | str, _Running] = {}
        self._tasks: dict[int | str, int] = {}
        """Of runs beside the study, which may have other streams than the trials."""
        self._news: list[str] = []
        self._drawn = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def begun(self, trials: int, trained: int, front: Front) -> None:
        super().begun(trials, trained, front)
        self._live.start()
        self._draw()

    def said(self, text: str) -> None:
        self._news.append(text)
        self._draw()

    def trial_started(self, number: int, params: dict[str, Any], again: bool) -> None:
        self._running[number] = _Running()

    def trial_reported(self, number: int, step: int, value: float, accuracies: tuple[float, ...]) -> None:
        self._reported(number, step, accuracies)

    def _reported(self, name: int | str, step: int, accuracies: tuple[float, ...]) -> None:
        self._running.setdefault(name, _Running()).report(step, accuracies, self.reports)

    def trial_ended(self, number: int, outcome: Outcome) -> None:
        self._running.pop(number, None)
        line = self.ending(number, outcome, self.count(number, outcome))
        if outcome.kind != "infeasible":
            self._news.append(line)

    def trial_interrupted(self, number: int) -> None:
        self._running.pop(number, None)
        self._news.append(f"trial {number} interrupted; rerun the same command to resume")

    def run_started(self, name: str, tasks: int) -> None:
        self._running[name], self._tasks[name] = _Running(), tasks

    def run_reported(self, name: str, step: int, accuracies: tuple[float, ...]) -> None:
        self._reported(name, step, accuracies)

    def run_ended(self, name: str) -> None:
        self._running.pop(name, None)

    def tick(self) -> None:
        if time.monotonic() - self._drawn > SECONDS_PER_FRAME:
            self._draw()

    def close(self) -> None:
        self._draw()
        self._live.stop()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._live.update(self.frame(), refresh=True)

    def frame(self) -> Group:
        """What stands in the terminal now."""
        left = self.left()
        head = f"{self.trained} of {self.budget} trials trained" + (f", about {left} left" if left else "")
        best = "best: none yet"
        if self.front:
            number, values = self.front[-1]
            best = f"best: trial {number}, {told(self.objective, values)}{self.file.at_fidelity}"
        if several(self.objective) and self.front:
            numbers = sorted(number for number, _ in self.front)
            best = f"front: {trials_in_words(numbers)}; newest {best.removeprefix('best: ')}"
        counts = counts_in_words(self.counts)
        heading = "run" if any(isinstance(name, str) for name in self._running) else "trial"
        table = Table(heading, "task", "accuracy so far", "forgetting", "time", box=None, pad_edge=False)
        for name, run in self._running.items():
            tasks = self._tasks.get(name, self.tasks) or 1
            table.add_row(
                str(name),
                f"{min(run.step // self.reports + 1, tasks)} of {tasks}",
                f"{fmean(run.accuracies):.4f}" if run.accuracies else "",
                run.forgetting,
                duration(time.monotonic() - run.began),
            )
        lines = [Text(head), Text(best), Text(counts)] if counts else [Text(head), Text(best)]
        return Group(*lines, table, *(Text(line, style="dim") for line in self._news[-LINES_OF_NEWS:]))


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""
