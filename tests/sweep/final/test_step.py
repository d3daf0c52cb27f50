"""The final step: opened once, gone on with, written; without Ray."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_training import fake_run

from hypercl.config import Experiment, SweepFile, UserError
from hypercl.sweep.final.data_used import data_used_rows
from hypercl.sweep.final.selection import selections_of
from hypercl.sweep.final.status import final_rows
from hypercl.sweep.final.step import FinalStep
from hypercl.sweep.listener import Silent
from hypercl.sweep.options import FinalMode
from hypercl.sweep.page.answer import facts_of
from hypercl.sweep.results.files import write_best
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.study import SweepStudy
from hypercl.sweep.workers.planned_run import LOST, PlannedRun, RanRun, as_begun

Files = Callable[..., SweepFile]


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, text: str) -> None:
        self.lines.append(text)


class FakeRuns:
    """In the place of `train_all`: trains at most so many runs a call, and none that is done."""

    def __init__(self, study: SweepStudy) -> None:
        self.study, self.trained, self.limit = study, [], 10**6
        self.lose: tuple[str, ...] = ()
        self.openings_then: list[int] = []

    def __call__(self, runs: Sequence[PlannedRun], session: Any) -> list[RanRun]:
        self.openings_then.append(len(selections_of(self.study.optuna.user_attrs)))
        left = self.limit
        for run in runs:
            if run.summary is None and not run.lost and left > 0:
                left -= 1
                self.trained.append(run.name)
                self._train(run)
        return [RanRun(run, run.summary, run.lost) for run in as_begun(runs)]

    def _train(self, run: PlannedRun) -> None:
        if run.name in self.lose:
            for part in run.singles():
                self._train(part)
        elif run.folder.name in self.lose:
            run.folder.mkdir(parents=True)
            (run.folder / LOST).write_text("broken on purpose\n")
        else:
            list(fake_run(run.experiment, run.folder, 4, test=run.data == "report"))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SECONDS_A_REPORT", "0")


@pytest.fixture
def file(sweep_file: Files) -> SweepFile:
    return sweep_file("search.enqueue=[{method.beta: 0.1}, {method.beta: 0.2}]", "final={settings: 2, seeds: 5}")


@pytest.fixture
def study(file: SweepFile, open_study: Callable[[SweepFile], SweepStudy]) -> SweepStudy:
    found = open_study(file)
    more(found, 0.5, 0.8, 0.9)
    return found


def more(study: SweepStudy, *values: float) -> None:
    for value in values:
        suggestion = study.ask()
        assert suggestion is not None
        study.decide(suggestion.number, Outcome("complete", value=value, seconds=60.0))
        study.settle(suggestion.number)


@pytest.fixture
def runs(study: SweepStudy, monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    found = FakeRuns(study)
    monkeypatch.setattr("hypercl.sweep.workers.runs.train_all", found)
    return found


@pytest.fixture
def step(study: SweepStudy) -> Callable[..., FinalStep]:
    def build(final: FinalMode = "after the search") -> FinalStep:
        return FinalStep(study, final)

    return build


def go(step: FinalStep, check: Callable[[Experiment], object] = lambda _: None) -> list[str]:
    listener = Heard()
    session: Any = SimpleNamespace(listener=listener, slots=SimpleNamespace(concurrent=1))
    step.go(session, check)
    return listener.lines


def test_the_opening_is_written_before_the_first_run_and_only_once(
    step: Callable[..., FinalStep], runs: FakeRuns, study: SweepStudy
) -> None:
    runs.limit = 1
    lines = go(step())
    what = "trial-2, trial-1, base on 5 fresh seeds (2000001-2000005) in 3 runs"
    assert lines == [f"final step: test data is opened: {what}"]
    (opening,) = selections_of(study.optuna.user_attrs)
    assert (opening.trained, opening.finished) == (3, None)
    assert "1 of 3 runs are done" in go(step())[0]
    go(step())
    assert runs.openings_then == [1, 1, 1]
    (after,) = selections_of(study.optuna.user_attrs)
    assert after.finished
    assert (after.when, after.chosen, after.seeds) == (opening.when, opening.chosen, opening.seeds)


def test_what_is_done_is_not_trained_again_and_a_finished_step_trains_nothing(
    step: Callable[..., FinalStep], runs: FakeRuns
) -> None:
    runs.limit = 2
    go(step())
    assert step().due
    assert step().result is None
    go(step())
    assert runs.trained == [f"{label}, seeds 2000001-2000005" for label in ("trial-2", "trial-1", "base")]
    assert not step().due
    assert not step("alone").due


def test_what_is_chosen_stays_when_the_search_goes_on(
    step: Callable[..., FinalStep], runs: FakeRuns, study: SweepStudy
) -> None:
    runs.limit = 1
    go(step())
    more(study, 0.99)
    runs.limit = 9
    go(step())
    assert not any("trial-3" in name for name in runs.trained)
    said = "\n".join(step().said())
    assert "Final step after 3 trials: " in said
    assert "1 more trial was trained since, and the best is now trial 3, not trial 2" in said
    assert "--again opens test data once more" in said
    rows = dict(final_rows(study.record()))
    assert "after 3 trials" in rows["final step"]
    assert "the best is now trial 3" in rows["final step"]
    assert "the best is now trial 3" in dict(data_used_rows(study.record()))["later"]
    table = (study.folder / "final" / "final.md").read_text()
    assert "Of the search after 3 trials: 1 more trial was trained since, and the best is now trial 3" in table
    result = step().result
    best = write_best(study.record(), "mine", result)
    assert best is not None
    assert "alone. 1 more trial was trained since, and the best is now trial 3" in best.read_text().replace("\n# ", " ")
    facts = {fact.name: fact.value for fact in facts_of(study.record(), result)}
    assert (facts["best setting"], facts["measured on test data"]) == ("trial 3", "trial 2")


@pytest.mark.usefixtures("runs")
def test_a_search_that_went_on_to_nothing_better_keeps_its_final_result(
    step: Callable[..., FinalStep], study: SweepStudy
) -> None:
    go(step())
    table = (study.folder / "final" / "final.md").read_text()
    assert "Of the search after" not in table
    more(study, 0.1, 0.2)
    said = "\n".join(step().said())
    assert "2 more trials were trained since, and the best is still the same" in said
    assert "--again" not in said
    assert "Of the search after 3 trials: 2 more trials" in (study.folder / "final" / "final.md").read_text()


def test_a_final_step_that_waits_to_be_asked_begins_nothing_and_resumes_what_was_begun(
    step: Callable[..., FinalStep], runs: FakeRuns
) -> None:
    assert not step("when asked").due
    assert "test data stays closed until hypercl final" in step("when asked").said()[0]
    runs.limit = 1
    go(step("alone"))
    assert step("when asked").due
    assert not step("no").due


def test_again_chooses_anew_with_other_seeds_and_every_output_says_so(
    step: Callable[..., FinalStep], runs: FakeRuns, study: SweepStudy, tmp_path: Path
) -> None:
    go(step())
    table = (tmp_path / "final" / "final.md").read_text()
    more(study, 0.99)
    assert step("again").due
    runs.limit = 1
    lines = go(step("again"))
    assert "opened once more, 2 times in all: " in lines[0]
    assert "trial-3, trial-2, base on 5 fresh seeds (2000006-2000010)" in lines[0]
    runs.limit = 9
    lines = go(step("again"))
    assert "resuming" in lines[0]
    first, second = selections_of(study.optuna.user_attrs)
    assert first.finished
    assert second.finished
    said = "\n".join(step().said())
    assert "Test data was opened 2 times" in said
    assert json.loads((tmp_path / "final" / "final.json").read_text())["opened"] == 2
    assert "opened twice" in (tmp_path / "final" / "final.md").read_text()
    assert (tmp_path / "final" / "opening-1" / "final.md").read_text() == table


def test_a_lost_seed_counts_as_the_worst_and_is_told(
    step: Callable[..., FinalStep], runs: FakeRuns, tmp_path: Path
) -> None:
    runs.lose = ("trial-2, seeds 2000001-2000005", "seed-2000003")
    go(step())
    found = step().result
    assert found is not None
    best, *_ = found.content["settings"]
    assert (best["label"], best["lost"]) == ("trial-2", [{"seed": 2000003, "why": "broken on purpose"}])
    values = best["metrics"]["test/final_accuracy"]["values"]
    assert values[2] == 0.0
    assert min(values[:2] + values[3:]) > 0.5
    assert best["metrics"]["test/final_accuracy"]["mean"] == pytest.approx(sum(values) / 5)
    assert "broken on purpose" in (tmp_path / "final" / "final.md").read_text()


@pytest.mark.usefixtures("runs")
def test_differences_are_paired_by_seed(step: Callable[..., FinalStep]) -> None:
    go(step())
    found = step().result
    assert found is not None
    settings = {one["label"]: one for one in found.content["settings"]}
    key = "test/final_accuracy"
    own, base = (settings[label]["metrics"][key]["values"] for label in ("trial-2", "base"))
    assert settings["trial-2"]["seeds"] == settings["base"]["seeds"]
    difference = settings["trial-2"]["metrics"][key]["difference"]
    assert difference["mean"] == pytest.approx(sum(a - b for a, b in zip(own, base, strict=True)) / 5)
    assert difference["sd"] == pytest.approx(0.0, abs=1e-9)  # the fake's noise is the seed's, and cancels


@pytest.mark.usefixtures("runs")
def test_tables_are_made_anew_from_the_runs(step: Callable[..., FinalStep], tmp_path: Path) -> None:
    go(step())
    before = (tmp_path / "final" / "final.md").read_text()
    for path in (tmp_path / "final").glob("final.*"):
        path.write_text("{")
    assert step().result is not None
    assert (tmp_path / "final" / "final.md").read_text() == before


@pytest.mark.usefixtures("runs")
def test_a_final_step_whose_runs_are_gone_is_told_and_can_be_done_again(
    step: Callable[..., FinalStep], tmp_path: Path
) -> None:
    go(step())
    shutil.rmtree(tmp_path / "final")
    with pytest.raises(UserError, match="the runs of the final step are gone\n    fix:     put them back from a copy"):
        _ = step().result
    go(step("again"))
    assert step().result is not None


def test_nothing_is_opened_where_nobody_wishes_it_or_nothing_is_complete(
    step: Callable[..., FinalStep], file: SweepFile, tmp_path: Path
) -> None:
    assert not step("no").due
    assert "test data stays closed" in step("no").said()[0]
    empty = SweepStudy(tmp_path / "other.journal", "other", file, threads=1)
    assert not FinalStep(empty, "alone").due
    assert FinalStep(empty, "no").said() == []


def test_a_setting_that_cannot_be_built_is_told_before_anything_is_opened(
    step: Callable[..., FinalStep], runs: FakeRuns, study: SweepStudy
) -> None:
    def check(experiment: Experiment) -> None:
        if experiment.method.beta == 0.1:  # pyright: ignore[reportAttributeAccessIssue]
            raise UserError("no chunk size gives this ratio")

    with pytest.raises(UserError, match=r"cannot train trial-1 .* test data stays closed: no chunk size"):
        go(step(), check)
    assert selections_of(study.optuna.user_attrs) == []
    assert runs.trained == []


@pytest.mark.usefixtures("runs")
def test_where_the_setting_as_written_is_better_it_is_told(step: Callable[..., FinalStep], study: SweepStudy) -> None:
    """At beta 10 the fake is at its worst; the search was told that it is the best."""
    study.optuna.enqueue_trial({"method.beta": 10.0, "hypernet.task_embedding": 4})
    more(study, 0.99)
    go(step())
    assert any("setting as written came out better on test data" in line for line in step().said())


@pytest.mark.usefixtures("runs")
def test_the_final_step_never_changes_which_setting_is_the_best(
    step: Callable[..., FinalStep], study: SweepStudy
) -> None:
    """The fake's test accuracy is best at beta 0.1, which is trial 1; the search's best is trial 2."""
    go(step())
    found = step().result
    assert found is not None
    assert not any("came out better" in line for line in step().said())
    means = {one["label"]: one["metrics"]["test/final_accuracy"]["mean"] for one in found.content["settings"]}
    assert max(means, key=lambda label: means[label]) == "trial-1"
    path = write_best(study.record(), "mine", found)
    assert path is not None
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert "trial 2" in head[0]
    assert "# Final step: On 5 fresh seeds (few: 10 are the rule) trial 2 reached" in "\n".join(head)
    assert "beta: 0.2" in path.read_text()
    assert all(len(line) <= 120 for line in head)
