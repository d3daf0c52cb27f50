"""A sweep as JSON: one event a line, for programs that follow it (`--json`).

Each has `event`, `time` (seconds since 1970) and what the event is about; docs/pages/running.md lists them. A later
version may add events and keys; `version`, in the first one, counts changes that would break a reader.
"""

import json
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from hypercl.config import SweepFile
from hypercl.sweep.listener import Front
from hypercl.sweep.options import SweepResult
from hypercl.sweep.results.live import Score
from hypercl.sweep.study import Outcome

VERSION = 1


class JsonEvents(Score):
    """Prints each event as a line."""

    def __init__(self, file: SweepFile, console: Console) -> None:
        super().__init__(file, console)

    def begun(self, trials: int, trained: int, front: Front) -> None:
        super().begun(trials, trained, front)
        goals = [{"metric": goal.metric, "direction": goal.direction} for goal in self.objective.goals]
        best = [{"trial": number, "values": list(values)} for number, values in front]
        about = {"protocol": self.file.protocol.name, "goals": goals, "best": best}
        self._print("begun", version=VERSION, trials=trials, trained=trained, **about)

    def said(self, text: str) -> None:
        self._print("said", text=text)

    def promised(self, number: int, value: float, interval: tuple[float, float] | None) -> None:
        self._print("expected_best", trial=number, value=value, interval=interval)

    def trial_started(self, number: int, params: dict[str, Any], again: bool) -> None:
        self._print("trial_started", trial=number, setting=params, resumed=again)

    def trial_reported(self, number: int, step: int, value: float, accuracies: Sequence[float]) -> None:
        self._print("trial_reported", trial=number, step=step, value=value, accuracies=list(accuracies))

    def trial_ended(self, number: int, outcome: Outcome) -> None:
        best = self.count(number, outcome)
        values = outcome.values([goal.metric for goal in self.objective.goals])
        about = {"outcome": outcome.kind, "values": values, "best": best, "why": outcome.why.strip()}
        self._print("trial_ended", trial=number, **about, seconds=outcome.seconds, trained=self.trained)

    def trial_interrupted(self, number: int) -> None:
        self._print("trial_interrupted", trial=number)

    def run_started(self, name: str, tasks: int) -> None:
        self._print("run_started", run=name, tasks=tasks)

    def run_reported(self, name: str, step: int, accuracies: tuple[float, ...]) -> None:
        self._print("run_reported", run=name, step=step, accuracies=list(accuracies))

    def run_ended(self, name: str) -> None:
        self._print("run_ended", run=name)

    def ended(self, result: SweepResult) -> None:
        """How the command ends."""
        final = None if result.final is None else result.final.content
        about = {"exit_code": int(result.exit_code), "message": result.message, "best": result.best}
        self._print("ended", **about, best_value=result.best_value, counts=dict(result.counts), final=final)

    def _print(self, event: str, **about: Any) -> None:
        line = json.dumps({"event": event, "time": round(time.time(), 3), **about}, default=str)
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
