"""A sweep as it goes, told to people and to programs."""

import io
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from hypercl.config import SweepFile, loads
from hypercl.exit_codes import ExitCode
from hypercl.sweep.listener import Silent
from hypercl.sweep.options import SweepResult
from hypercl.sweep.results import live
from hypercl.sweep.results.events import JsonEvents
from hypercl.sweep.results.listeners import listener_for
from hypercl.sweep.results.live import PlainLines
from hypercl.sweep.results.live_table import LiveTable, fitted
from hypercl.sweep.study import Outcome

TEXT = """
experiment: {tasks: {name: split_digits}, method: {name: hnet}}
space: {method.beta: {log_uniform: [1e-3, 1]}, training.optimizer.lr: {log_uniform: [1e-4, 1e-2]}}
search: {trials: 20}
"""
SETTING = {"method.beta": 0.05, "training.optimizer.lr": 0.00125}


@pytest.fixture
def file() -> SweepFile:
    return loads(TEXT, "x")


def frame_of(table: LiveTable) -> list[str]:
    with table.console.capture() as captured:
        table.console.print(table.frame())
    return [line.rstrip() for line in captured.get().splitlines()]


def running(file: SweepFile, width: int) -> LiveTable:
    table = LiveTable(file, Console(file=io.TextIOWrapper(io.BytesIO(), "utf-8"), width=width))
    table.trial_started(7, SETTING, False)
    for step, accuracies in ((4, (0.9,)), (8, (0.8, 0.9)), (12, (0.7, 0.8, 0.9))):
        table.trial_reported(7, step, 0.5, accuracies)
    return table


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_uses_the_width_it_has_and_breaks_no_word(file: SweepFile, width: int) -> None:
    lines = frame_of(running(file, width))
    assert max(map(len, lines)) <= width
    heading, row = (line for line in lines if line.startswith(("trial", "7 ")))
    assert [name in heading for name in ("task", "forgetting", "curve", "setting")] == [True, True, True, width > 60]
    assert ("beta=0.05" in row) == (width > 60)
    assert ("lr=0.00125" in row) == (width > 60)
    assert "▇" in row


def test_without_unicode_there_is_no_curve(file: SweepFile) -> None:
    table = LiveTable(file, Console(file=io.TextIOWrapper(io.BytesIO(), "ascii"), width=200))
    table.trial_started(7, SETTING, False)
    table.trial_reported(7, 4, 0.5, (0.9,))
    assert "".join(frame_of(table)).isascii()


@pytest.mark.parametrize(("width", "text"), [(30, "beta=0.05, lr=0.00125"), (20, "beta=0.05, ..."), (5, "")])
def test_a_setting_is_cut_between_its_keys(width: int, text: str) -> None:
    assert fitted(["beta=0.05", "lr=0.00125"], width) == text


def test_the_table_says_where_trials_were_pruned_and_what_is_expected_of_the_best(file: SweepFile) -> None:
    table = running(file, 120)
    table.trial_ended(7, Outcome("pruned", "pruned at step 12 (3 tasks learned)"))
    table.promised(3, 0.71234, (0.7, 0.72))
    lines = frame_of(table)
    assert "1 pruned (pruned: 1 in task 3)" in lines
    assert "expected to be the best: trial 3, 0.7123 (95 % interval 0.7000 to 0.7200)" in lines


def test_the_time_left_has_a_range_once_there_are_trials_to_judge_by(
    file: SweepFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    lines = PlainLines(file, Console(file=io.StringIO(), width=200))
    lines.begun(20, 0, [])
    for number, end in enumerate((600.0, 1300.0, 1800.0, 2400.0)):
        now[0] = end
        lines.trial_ended(number, Outcome("complete", value=0.5))
        if number == 0:
            assert lines.left() == "about 3 h 10 min left"
    assert lines.left() == "about 2 h 40 min left (2 h 16 min to 3 h 4 min)"
    assert lines.until().startswith("until ")


def told(file: SweepFile) -> list[dict[str, Any]]:
    out = io.StringIO()
    listener = listener_for(file, Console(file=out, width=40), "json")
    assert isinstance(listener, JsonEvents)
    listener.begun(20, 1, [(0, [0.5])])
    listener.said("a\nb")
    listener.trial_started(1, SETTING, False)
    listener.trial_reported(1, 4, 0.2, (0.9,))
    listener.trial_ended(1, Outcome("complete", value=0.6, seconds=3.5))
    listener.trial_ended(2, Outcome("failed", "Traceback\nValueError: x"))
    listener.trial_interrupted(3)
    listener.promised(1, 0.55, None)
    listener.run_started("confirm/trial-1", 5)
    listener.run_reported("confirm/trial-1", 4, (0.9,))
    listener.run_ended("confirm/trial-1")
    listener.ended(SweepResult(ExitCode.DONE, "done", listener.counts, 1, 0.6, []))
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_as_json_each_event_is_a_line(file: SweepFile) -> None:
    events = told(file)
    assert [event["event"] for event in events] == [
        "begun", "said", "trial_started", "trial_reported", "trial_ended", "trial_ended", "trial_interrupted",
        "expected_best", "run_started", "run_reported", "run_ended", "ended",
    ]  # fmt: skip
    assert all(event["time"] > 0 for event in events)
    assert events[0] | {"version": 1, "trials": 20, "best": [{"trial": 0, "values": [0.5]}]} == events[0]
    assert events[2]["setting"] == SETTING
    assert events[4] | {"outcome": "complete", "values": [0.6], "best": True, "trained": 2} == events[4]
    assert events[5] | {"outcome": "failed", "values": None, "best": False} == events[5]
    assert events[-1] | {"exit_code": 0, "best": 1, "best_value": 0.6} == events[-1]


def test_what_is_documented_of_the_events_is_what_they_hold(file: SweepFile) -> None:
    """The table of docs/pages/running.md: a row an event, its keys in code."""
    page = (Path(__file__).parents[3] / "docs" / "pages" / "running.md").read_text(encoding="utf-8")
    table = page.partition("| event | further keys |\n|---|---|\n")[2].partition("\n\n")[0]
    documented = {
        event: set(re.findall(r"`(\w+)`", keys))
        for events, keys in re.findall(r"^\| (.+?) \| (.+) \|$", table, re.MULTILINE)
        for event in re.findall(r"`(\w+)`", events)
    }
    emitted: dict[str, set[str]] = {}
    for event in told(file):
        emitted.setdefault(event["event"], set()).update(event.keys() - {"event", "time"})
    assert emitted == documented


def test_in_a_notebook_the_table_is_replaced(file: SweepFile, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, drawn: str) -> None:
            shown[-1] = drawn

    def display(drawn: str, display_id: bool) -> Handle:
        assert display_id
        shown.append(drawn)
        return Handle()

    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    module = ModuleType("IPython.display")
    vars(module).update(HTML=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    listener = listener_for(file, Console(force_jupyter=True))
    listener.begun(20, 0, [])
    listener.trial_started(0, {"method.beta": "<b>"}, False)
    listener.trial_reported(0, 4, 0.2, (0.9,))
    listener.close()
    (last,) = shown
    assert "0 of 20 trials trained" in last
    assert "beta=&lt;b&gt;" in last


def test_quiet_says_nothing(file: SweepFile) -> None:
    assert type(listener_for(file, Console(), "quiet")) is Silent
