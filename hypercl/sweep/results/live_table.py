"""A sweep in a terminal: a table that uses the width and height that there are."""

import time
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from io import StringIO
from itertools import zip_longest
from math import ceil
from statistics import fmean
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hypercl.config import SweepFile
from hypercl.formatting import duration
from hypercl.sweep.listener import Front
from hypercl.sweep.results.goals import several, told, trials_in_words
from hypercl.sweep.results.live import Score, setting_parts
from hypercl.sweep.study import Outcome, counts_in_words

SECONDS_PER_FRAME = 0.5
FEWEST_NEWS, MOST_NEWS = 6, 30
BARS = "▁▂▃▄▅▆▇█"
CURVE, LEAST_SETTING, GAP = 20, 8, 2
"""Characters: of a curve at most, of a setting at least, between columns."""


@dataclass
class _Running:
    """A trial, or a run beside the study, that is being trained."""

    setting: list[str] = field(default_factory=list[str])
    began: float = field(default_factory=time.monotonic)
    step: int = 0
    accuracies: tuple[float, ...] = ()
    """On the tasks met."""
    means: list[float] = field(default_factory=list[float])
    """Mean accuracy on the tasks met, at each report."""
    highest: tuple[float, ...] = ()
    """The highest accuracy on each task so far; empty where the first task was learned before a restart."""

    def report(self, step: int, accuracies: tuple[float, ...], reports_per_task: int) -> None:
        """Takes a report; `step` counts the reports of the run, before restarts too."""
        if self.highest or step <= reports_per_task:
            self.highest = tuple(max(pair) for pair in zip_longest(self.highest, accuracies, fillvalue=0.0))
        self.step, self.accuracies = step, accuracies
        self.means.append(fmean(accuracies))

    @property
    def forgetting(self) -> str:
        """Mean drop from the highest accuracy over the tasks before the present one; '' where it is not known."""
        drops = [high - now for high, now in zip(self.highest, self.accuracies[:-1], strict=False)]
        return f"{fmean(drops):.4f}" if drops else ""

    def curve(self, width: int) -> str:
        """The newest means as bars from 0 to 1, the last one on the right."""
        return "".join(BARS[min(7, int(8 * mean))] for mean in self.means[-width:])


class LiveTable(Score):
    """Best so far, running trials with setting, task and accuracy, news of ended ones, and the estimated end."""

    def __init__(self, file: SweepFile, console: Console) -> None:
        super().__init__(file, console)
        self._running: dict[int | str, _Running] = {}
        self.score = file.experiment.tasks.score
        self._tasks: dict[int | str, int] = {}
        """Of runs beside the study, which may have other streams than the trials."""
        self._news: list[str] = []
        self._pruned: Counter[int] = Counter()
        """By the task in which a trial was pruned."""
        self._promised = ""
        self._drawn = 0.0
        self._live: Live | None = None

    def begun(self, trials: int, trained: int, front: Front) -> None:
        super().begun(trials, trained, front)
        self._draw()

    def said(self, text: str) -> None:
        self._news.append(text)
        self._draw()

    def promised(self, number: int, value: float, interval: tuple[float, float] | None) -> None:
        ends = f" (95 % interval {interval[0]:.4f} to {interval[1]:.4f})" if interval else ""
        self._promised = f"expected to be the best: trial {number}, {value:.4f}{ends}"

    def trial_started(self, number: int, params: dict[str, Any], again: bool) -> None:
        self._running[number] = _Running(setting_parts(params))

    def trial_reported(self, number: int, step: int, value: float, accuracies: tuple[float, ...]) -> None:
        self._reported(number, step, accuracies)

    def _reported(self, name: int | str, step: int, accuracies: tuple[float, ...]) -> None:
        self._running.setdefault(name, _Running()).report(step, accuracies, self.reports)

    def trial_ended(self, number: int, outcome: Outcome) -> None:
        run = self._running.pop(number, None)
        if outcome.kind == "pruned" and run is not None:
            self._pruned[ceil(run.step / self.reports)] += 1
        line = self.ending(number, outcome, self.count(number, outcome))
        if outcome.kind != "infeasible":
            self._news.append(line)

    def trial_interrupted(self, number: int) -> None:
        self._running.pop(number, None)
        self._news.append(f"trial {number} interrupted")

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
        if self._live is not None:
            self._live.stop()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self._live is None:
            self._live = Live(console=self.console, auto_refresh=False, transient=False)
            self._live.start()
        self._live.update(self.frame(), refresh=True)

    def frame(self) -> Group:
        """What stands in the terminal now."""
        head = [f"{self.trained} of {self.budget} trials trained", self.left(), self.until()]
        lines = [", ".join(filter(None, head)), self._best(), self._promised, self._ended()]
        shown = [Text(line) for line in lines if line]
        room = self.console.height - len(self._running) - len(shown) - 3 if self.console.is_terminal else 0
        news = self._news[-min(MOST_NEWS, max(FEWEST_NEWS, room)) :]
        return Group(*shown, self._table(), *(Text(line, style="dim") for line in news))

    def _best(self) -> str:
        if not self.front:
            return "best: none yet"
        number, values = self.front[-1]
        best = f"best: trial {number}, {told(self.objective, values)}{self.file.at_fidelity}"
        if not several(self.objective):
            return best
        numbers = sorted(number for number, _ in self.front)
        return f"front: {trials_in_words(numbers)}; newest {best.removeprefix('best: ')}"

    def _ended(self) -> str:
        """'9 complete, 5 pruned (3 in task 1, 2 in task 2)'."""
        where = ", ".join(f"{count} in task {task}" for task, count in sorted(self._pruned.items()))
        return counts_in_words(self.counts) + (f" (pruned: {where})" if where else "")

    def _table(self) -> Table:
        """A row a trial; a curve and the setting where there is room for them, of the setting as many keys as fit."""
        kind = "run" if any(isinstance(name, str) for name in self._running) else "trial"
        rows = [[kind, "task", f"{self.score} so far", "forgetting", "time"]]
        for name, run in self._running.items():
            tasks = self._tasks.get(name, self.tasks) or 1
            task = f"{min(run.step // self.reports + 1, tasks)} of {tasks}"
            accuracy = f"{fmean(run.accuracies):.4f}" if run.accuracies else ""
            rows.append([str(name), task, accuracy, run.forgetting, duration(time.monotonic() - run.began)])
        left = self.console.width - sum(max(map(len, column)) + GAP for column in zip(*rows, strict=True))
        running = list(self._running.values())
        width = max(len("curve"), min(CURVE, left // 3))
        curves = [run.curve(width) for run in running]
        if self.console.encoding.lower().startswith("utf") and any(curves) and width + GAP <= left:
            left -= max(len("curve"), *map(len, curves)) + GAP
            rows = [[*row, curve] for row, curve in zip(rows, ["curve", *curves], strict=True)]
        settings = [fitted(run.setting, left) for run in running]
        if left >= LEAST_SETTING and any(settings):
            rows = [[*row, text] for row, text in zip(rows, ["setting", *settings], strict=True)]
        table = Table(*rows[0], box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.no_wrap = True
        for row in rows[1:]:
            table.add_row(*map(Text, row))
        return table


class NotebookTable(LiveTable):
    """The same table in the output of a notebook's cell, where it is replaced as it changes."""

    def __init__(self, file: SweepFile, console: Console) -> None:
        super().__init__(file, Console(file=StringIO(), width=console.width, force_jupyter=False))
        self._shown: Any = None

    def close(self) -> None:
        self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display  # pyright: ignore[reportMissingImports]  # there in a notebook

        self._drawn = time.monotonic()
        with self.console.capture() as captured:
            self.console.print(self.frame())
        drawn = HTML(f"<pre>{escape(captured.get())}</pre>")
        if self._shown is None:
            self._shown = display(drawn, display_id=True)
        else:
            self._shown.update(drawn)


def fitted(parts: list[str], width: int) -> str:
    """As many parts as fit into a width, '...' for the others; '' where not one does."""
    for count in range(len(parts), 0, -1):
        text = ", ".join(parts[:count]) + (", ..." if count < len(parts) else "")
        if len(text) <= width:
            return text
    return ""
