"""The one way to run a run: how it ends, what its loggers hear, that it is closed."""

from collections.abc import Iterator
from typing import Any

import pytest

from hypercl.config import UserError
from hypercl.control import Control
from hypercl.loggers import Logger
from hypercl.loggers.ending import reports_of, run_to_end
from hypercl.testing.logged_run import finished, reports, started
from hypercl.training import Diverged, Finished, Progress, Report, Started, Tick


class Heard(Logger):
    """A logger that keeps the kinds of items."""

    def __init__(self) -> None:
        self.items: list[str] = []

    def started(self, item: Started) -> None:
        self.items.append("started")

    def tick(self, item: Tick) -> None:
        self.items.append("tick")

    def report(self, item: Report) -> None:
        self.items.append("report")

    def finished(self, item: Finished) -> None:
        self.items.append("finished")

    def close(self, outcome: str) -> None:
        self.items.append(f"closed: {outcome}")


class Told:
    """A run of one start, a tick, a report and an end; notes that it was closed."""

    def __init__(self, folder: Any, end: Exception | None = None) -> None:
        self.folder, self.end, self.closed = folder, end, False

    def progress(self) -> Iterator[Progress]:
        try:
            yield started(self.folder)
            yield Tick(0, 1, 1)
            yield reports()[0]
            if self.end is not None:
                raise self.end
            yield finished(self.folder)
        except GeneratorExit:
            self.closed = True
            raise


def test_a_run_that_finishes_gives_its_summary(tmp_path):
    told, heard = Told(tmp_path), Heard()
    ending = run_to_end(told.progress(), [heard], Control())
    assert (ending.how, ending.finished) == ("finished", finished(tmp_path))
    assert heard.items == ["started", "tick", "report", "finished", "closed: finished"]


def test_a_run_that_is_stopped_is_closed_so_that_its_checkpoint_is_written(tmp_path):
    told, heard = Told(tmp_path), Heard()
    ending = run_to_end(told.progress(), [heard], Control(requested=lambda: "tick" in heard.items))
    assert ending.how == "interrupted"
    assert told.closed
    assert heard.items == ["started", "tick", "closed: interrupted"]


@pytest.mark.parametrize(
    ("error", "how", "why"),
    [
        (Diverged(7, float("nan"), 1), "diverged", "the loss became nan at step 7 (task 2)"),
        (MemoryError(), "out_of_memory", "MemoryError"),
        (RuntimeError("CUDA out of memory. Tried\nmore"), "out_of_memory", "CUDA out of memory. Tried"),
    ],
)
def test_what_belongs_to_the_setting_is_an_ending(error, how, why, tmp_path):
    heard = Heard()
    ending = run_to_end(Told(tmp_path, error).progress(), [heard], Control())
    assert (ending.how, ending.why) == (how, why)
    assert heard.items[-1] == "closed: failed"


@pytest.mark.parametrize("error", [UserError("no data"), ZeroDivisionError("a bug")])
def test_any_other_error_passes_through_and_closes_the_loggers(error, tmp_path):
    heard = Heard()
    with pytest.raises(type(error)):
        run_to_end(Told(tmp_path, error).progress(), [heard], Control())
    assert heard.items[-1] == "closed: failed"


def test_a_pruned_run_is_closed_and_its_loggers_hear_it(tmp_path):
    told, heard = Told(tmp_path), Heard()
    running = reports_of(told.progress(), [heard], Control())
    next(running)
    running.close()
    assert told.closed
    assert heard.items == ["started", "closed: stopped"]


def test_a_caller_that_has_enough_ends_the_run_as_finished(tmp_path):
    told, heard = Told(tmp_path), Heard()
    running = reports_of(told.progress(), [heard], Control(), enough=lambda: "report" in heard.items)
    yielded = [next(running), next(running)]
    with pytest.raises(StopIteration) as end:
        next(running)
    assert [type(item).__name__ for item in yielded] == ["Started", "Report"]
    assert (end.value.value.how, end.value.value.finished, told.closed) == ("finished", None, True)
    assert heard.items[-1] == "closed: finished"
