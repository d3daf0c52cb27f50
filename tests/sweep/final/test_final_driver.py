"""The final step in a whole sweep that trains in the test's own process: interruptions, exit codes, plans."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from fake_training import TEXT, FakeEngine
from in_this_process import InThisProcess, in_this_process

from hypercl.config import SweepFile, UserError, loads
from hypercl.exit_codes import ExitCode
from hypercl.sweep import SweepOptions, SweepResult, plan_rows, sweep
from hypercl.sweep.final.selection import selections_of
from hypercl.sweep.listener import Silent
from hypercl.sweep.plan.final import final_plan, final_step_row
from hypercl.sweep.results.status import status_of, status_rows
from hypercl.sweep.study.record import read_sweep
from hypercl.sweep.workers.resources import Slots

FINAL = "final={settings: 1, seeds: 5}"


class Signalling(Silent):
    """Sends this process a signal when it hears a text; collects what is said."""

    def __init__(self, text: str = "", number: signal.Signals = signal.SIGTERM) -> None:
        self.text, self.number, self.lines = text, number, []

    def said(self, text: str) -> None:
        self.lines.append(text)
        if self.text and self.text in text:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> InThisProcess:
    monkeypatch.setattr("hypercl.sweep.driver.write_report", lambda *_: None)
    return in_this_process(monkeypatch)


def file(*overrides: str) -> SweepFile:
    text = TEXT.replace("trials: 6, startup_trials: 3", "trials: 3, sampler: random")
    return loads(text, "test.yaml", [FINAL, "search.enqueue=[{method.beta: 0.1}]", *overrides])


def swept(folder: Path, given: SweepFile | None = None, **more: Any) -> SweepResult:
    return sweep(given or file(), SweepOptions(folder=folder / "quick", data_dir=folder, **more), FakeEngine())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_final_step_has_its_code_and_the_same_command_goes_on(
    number: signal.Signals, code: int, trained: InThisProcess, tmp_path: Path
) -> None:
    result = swept(tmp_path, listener=Signalling("1 of 2 runs done", number))
    assert result.exit_code == code
    assert "3 trials trained; final step: 1 of 2 runs are done; rerun the same command to resume" in result.message
    assert result.final is None
    before = list(trained.trained)
    rows = dict(status_rows(status_of(tmp_path / "quick")))
    assert "1 of 2 runs are done" in rows["final step"]
    assert "to resume" in rows["driver"]
    again = swept(tmp_path)
    assert (again.exit_code, len(trained.trained)) == (ExitCode.DONE, len(before) + 1)
    assert len(set(trained.trained)) == len(trained.trained)
    assert again.final is not None
    assert swept(tmp_path) == again
    rows = dict(status_rows(status_of(tmp_path / "quick")))
    assert "finished at" in rows["final step"]
    assert "the sweep is done" in rows["driver"]


def test_a_search_that_was_interrupted_has_no_final_step(trained: InThisProcess, tmp_path: Path) -> None:
    class AfterTwo(Signalling):
        def trial_ended(self, number: int, outcome: Any) -> None:
            if number == 1:
                os.kill(os.getpid(), signal.SIGINT)

    result = swept(tmp_path, listener=AfterTwo())
    assert result.exit_code == ExitCode.INTERRUPTED
    assert not any("seeds-" in name for name in trained.trained)
    assert "final step" not in result.message


@pytest.mark.usefixtures("trained")
def test_without_a_final_step_nothing_is_opened_and_hypercl_final_does_it_later(tmp_path: Path) -> None:
    result = swept(tmp_path, final="no")
    assert "test data stays closed until hypercl final" in result.message
    assert selections_of(read_sweep(tmp_path / "quick").attributes) == []
    later = swept(tmp_path, final="alone")
    assert later.final is not None
    assert later.exit_code == ExitCode.DONE


def test_the_final_step_alone_trains_no_trial_of_an_unfinished_search(trained: InThisProcess, tmp_path: Path) -> None:
    swept(tmp_path, final="no")
    count = sum(name.startswith("trials/") for name in trained.trained)
    more = file("search.trials=5")
    assert swept(tmp_path, more, final="alone").final is not None
    assert sum(name.startswith("trials/") for name in trained.trained) == count
    assert swept(tmp_path, more).counts["trained"] == 5
    said = swept(tmp_path, more).message
    assert "Final step after 3 trials: " in said
    assert "2 more trials were trained since, and the best is " in said
    assert len(selections_of(read_sweep(tmp_path / "quick").attributes)) == 1


@pytest.mark.usefixtures("trained")
def test_seeds_and_settings_may_change_before_the_opening_and_do_nothing_after_it(tmp_path: Path) -> None:
    swept(tmp_path, final="no")
    found = swept(tmp_path, file("final.seeds=6"), final="alone").final
    assert found is not None
    assert len(found.content["settings"][0]["seeds"]) == 6
    later = swept(tmp_path, file("final.seeds=9")).final
    assert later is not None
    assert len(later.content["settings"][0]["seeds"]) == 6


@pytest.mark.usefixtures("trained")
def test_a_leaking_sweep_is_named_so_in_its_final_step_too(tmp_path: Path) -> None:
    result = swept(tmp_path, file("protocol={name: test_leak}"))
    assert result.final is not None
    assert result.final.sentence.startswith("TEST LEAK:")
    assert "TEST LEAK" in (tmp_path / "quick" / "best.yaml").read_text()
    _, *rows = (tmp_path / "quick" / "trials.csv").read_text().splitlines()
    assert len(rows) == 3
    assert all("TEST LEAK: tuned on test data" in row for row in rows)


def test_a_front_of_one_goal_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one objective has no front"):
        swept(tmp_path, file("final.settings=all"))
    assert not (tmp_path / "quick").exists()


def test_the_plan_says_what_the_final_step_will_train(tmp_path: Path) -> None:
    options = SweepOptions(folder=tmp_path / "x", data_dir=tmp_path, max_concurrent=1)
    said = dict(plan_rows(file(), options, FakeEngine()))["final step"]
    assert said == (
        "the best setting, the experiment as written: at most 2 settings x 5 seeds in 2 runs "
        "(too few for a p below 0.0625); it opens test data"
    )
    asked = SweepOptions(folder=tmp_path / "x", data_dir=tmp_path, max_concurrent=1, final="when asked")
    said = dict(plan_rows(file(), asked, FakeEngine()))["final step"]
    assert said == (
        "when you ask for it (hypercl final), which opens test data: the best setting, the experiment as written: "
        "at most 2 settings x 5 seeds in 2 runs (too few for a p below 0.0625)"
    )


def test_a_dry_run_says_how_long_it_takes_at_most() -> None:
    slots = Slots(1.0, 0.0, 4)
    given = file("final={settings: 3, seeds: 10}")
    assert final_plan(given, slots).runs == 4
    assert final_step_row(given, slots, 60.0) == (
        "final step",
        "at most 4 settings x 10 seeds in 4 runs, at most about 10 min",
    )
    text = "experiment: {tasks: {name: permuted_mnist, num_tasks: 3}}\nspace: {method.beta: {log_uniform: [0.1, 1]}}"
    assert final_step_row(loads(text, "p.yaml"), slots, 60.0)[1] == (
        "at most 4 settings x 10 seeds in 40 runs, at most about 10 min"
    )
