import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from hypercl.loggers import Terminal
from hypercl.testing import LoggerContract
from hypercl.testing.logged_run import finished, reports, resumed, started
from hypercl.training import AccuracyMatrix
from hypercl.training.progress import Tick


class TestTerminal(LoggerContract):
    """What a person reads counts tasks learned; the contract's iterations are those of the lines."""

    @pytest.fixture(autouse=True)
    def one_screen(self):
        self.screen = io.StringIO()

    def logger(self, folder):
        return Terminal(Console(file=self.screen, width=100))

    def written(self, folder):
        return [int(task) for task in re.findall(r"^task (\d)/3 learned", self.screen.getvalue(), re.M)]

    def expected(self, count):
        return [report.task + 1 for report in reports()[:count] if report.learned]

    test_so_does_a_run_that_goes_on_from_an_older_checkpoint = None
    """Each session of a run says what it learns."""


def screen(terminal: bool, *items, outcome="finished") -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=terminal, color_system=None, legacy_windows=False)
    listener = Terminal(console)
    for item in items:
        name = type(item).__name__.lower()
        getattr(listener, name)(item)
    listener.close(outcome)
    return stream.getvalue()


def test_the_end_shows_matrices_metrics_and_ratio(tmp_path):
    text = screen(False, started(tmp_path), *reports(), finished(tmp_path))
    assert "\x1b" not in text
    assert "accuracy on validation data" in text
    assert "accuracy on test data" in text
    assert re.search(r"task 3 +88.0 +90.0 +92.0", text)
    assert re.search(r"final accuracy +90.00 % +89.00 %", text)
    assert re.search(r"compression ratio +0.500", text)


def test_metrics_inside_tasks_are_shown_where_they_were_measured(tmp_path):
    end = finished(tmp_path)
    assert "stability gap" not in screen(False, started(tmp_path), *reports(), end)
    measured = dict(end.summary.metrics) | {"validation": {**end.summary.metrics["validation"], "stability_gap": 0.03}}
    text = screen(False, started(tmp_path), *reports(), replace(end, summary=replace(end.summary, metrics=measured)))
    assert re.search(r"stability gap +3.00 %", text)


def test_a_resumed_run_says_where_it_goes_on(tmp_path):
    text = screen(False, started(tmp_path, after=3), *resumed(3)[:1])
    assert "resumes after step 15 of 30 (task 2" in text


def test_a_run_trained_before_says_so(tmp_path):
    text = screen(False, started(tmp_path, after=len(reports())), finished(tmp_path))
    assert "was trained before, to its last step" in text
    assert "goes on" not in text


def test_a_terminal_shows_a_bar_over_the_steps_of_the_task(tmp_path):
    text = screen(True, started(tmp_path), Tick(0, 4, 4), *reports()[:3], Tick(1, 7, 17), outcome="interrupted")
    assert "task 2/3" in text
    assert "7/10" in text
    assert "interrupted" in text


def test_tasks_that_ended_early_shorten_neither_the_bar_nor_the_run(tmp_path):
    early = [replace(report, iteration=report.iteration - 4) for report in reports()]
    assert "5/10" in screen(True, started(tmp_path), *early[:3], outcome="interrupted")
    resumed_at_its_end = replace(started(tmp_path), history=tuple(early))
    assert "was trained before" in screen(False, resumed_at_its_end, finished(tmp_path))


def test_a_long_stream_names_the_file_of_its_matrix(tmp_path):
    ending = replace(finished(tmp_path), matrices={"validation": AccuracyMatrix.of([[0.1] * 11] * 12)})
    text = screen(False, started(tmp_path), ending)
    assert str(tmp_path / "accuracy_matrix.csv") in text
    assert "accuracy on validation data" not in text


def of_replicas(lost: int) -> list:
    """The reports of a bundle of three, the second of which diverged after so many."""
    told = []
    for number, report in enumerate(reports()):
        shift = tuple(value + 0.02 for value in report.accuracies)
        gone = number >= lost
        second = (float("nan"),) * len(shift) if gone else report.accuracies
        text = ("seed 2: the loss became nan at step 9 (task 1)",) if gone else ()
        told.append(replace(report, replicas=(report.accuracies, second, shift), diverged=text))
    return told


def test_a_bundle_shows_its_seeds_and_means_with_their_spread(tmp_path):
    first = replace(started(tmp_path), groups=(3,))
    text = screen(False, first, *of_replicas(99))
    assert "3 replicas, seeds 1 to 3, trained together" in text
    assert "groups" not in text
    assert "validation accuracy 90.00 % ± 1.15 %" in text
    assert "in 2 groups" in screen(False, replace(first, groups=(2, 1)))
    assert "±" not in screen(False, started(tmp_path), *reports())


def test_the_metrics_of_a_bundle_have_their_spread(tmp_path):
    ending = finished(tmp_path)
    spread = {"validation": {"final_accuracy": 0.0123}, "test": {"final_accuracy": 0.0234}}
    text = screen(False, started(tmp_path), replace(ending, summary=replace(ending.summary, spread=spread)))
    assert re.search(r"final accuracy +90.00 % ± 1.23 % +89.00 % ± 2.34 %", text)
    assert re.search(r"forgetting +2.00 % +3.00 %", text)


def test_a_replica_that_diverged_is_told_once(tmp_path):
    told = of_replicas(3)
    text = screen(False, replace(started(tmp_path), groups=(3,)), *told)
    assert text.count("diverged, and counts as accuracy 0 from here on: seed 2: the loss became nan at step 9") == 1
    history = tuple(replace(report, rows=()) for report in told[:4])
    again = replace(started(tmp_path, after=4), groups=(3,), history=history)
    assert "diverged" not in screen(False, again, *told[3:])
