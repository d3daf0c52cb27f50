"""Results that an earlier version wrote, in `tests/stored`: everything that reads or resumes them still does."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from in_this_process import TrainedHere, without_ray
from optuna.trial import TrialState

from hypercl.cli import main
from hypercl.config import load
from hypercl.sweep import SweepOptions, SweepResult, sweep
from hypercl.sweep.study import read_sweep

STORED = Path(__file__).parents[1] / "stored" / "0.1.0"
SWEEPS = ["interrupted", "finished", "stability"]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED, tmp_path / "results"))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> TrainedHere:
    return without_ray(monkeypatch, TrainedHere())


def resumed(folder: Path, final: Any = "after the search") -> SweepResult:
    return sweep(
        load(folder / "sweep.yaml"), SweepOptions(folder=folder, data_dir=folder, final=final, max_concurrent=1)
    )


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("name", SWEEPS)
def test_a_stored_sweep_has_a_status_a_report_and_trials_to_show(
    name: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(results / name)
    assert main(["sweep", "--status", folder]) == 0
    assert main(["report", folder]) == 0
    assert main(["sweep", folder, "--show", "1"]) == 0
    assert name in capsys.readouterr().out


def test_what_became_of_each_trial_is_read_from_a_stored_journal() -> None:
    states = Counter(trial.state for trial in read_sweep(STORED / "interrupted").trials)
    assert states == {TrialState.COMPLETE: 4, TrialState.PRUNED: 1, TrialState.RUNNING: 1}


def test_an_interrupted_sweep_resumes_to_its_exact_budget_and_an_undisturbed_ones_values(
    results: Path, trained: TrainedHere
) -> None:
    folder = results / "interrupted"
    before = [trial for trial in read_sweep(folder).trials if trial.state.is_finished()]
    written = lines(folder / "trials" / "5" / "metrics.jsonl")

    assert resumed(folder, "no").exit_code == 0

    assert [job.number for job in trained.jobs if job.number is not None] == [5, 6, 7]
    assert {job.folder.parents[1].name for job in trained.jobs if job.number is None} == {"confirm"}
    trials = read_sweep(folder).trials
    assert len(trials) == 8
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
    for trial in before:
        assert (trials[trial.number].state, trials[trial.number].values) == (trial.state, trial.values)
    assert lines(folder / "trials" / "5" / "metrics.jsonl")[: len(written)] == written
    assert len(list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))) == 8
    undisturbed = json.loads((STORED / "undisturbed.json").read_text())
    reports = {str(step): value for step, value in trials[5].intermediate_values.items()}
    # Other processors round otherwise; a count or two of 58 pictures may differ.
    assert reports == pytest.approx(undisturbed, abs=0.02)


def test_a_finished_sweep_trains_nothing_more_and_has_its_final_result(results: Path, trained: TrainedHere) -> None:
    folder = results / "finished"
    table = (folder / "final" / "final.csv").read_text()
    result = resumed(folder)
    assert result.exit_code == 0
    assert result.final is not None
    assert trained.jobs == []
    assert (folder / "final" / "final.csv").read_text() == table
    assert main(["final", str(folder)]) == 0


def test_a_race_is_read_from_a_stored_journal() -> None:
    record = read_sweep(STORED / "finished")
    best = record.best()
    assert best is not None
    (race,) = record.races
    assert (best.number, race.settings, race.ended) == (1, (1, 2), "seeds")


def test_a_sweep_by_task_trains_nothing_more(results: Path, trained: TrainedHere) -> None:
    folder = results / "stability"
    count = len(read_sweep(folder).trials)
    assert resumed(folder).exit_code == 0
    assert trained.jobs == []
    assert len(read_sweep(folder).trials) == count


def test_the_best_setting_of_a_stored_sweep_trains(
    results: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(results / "finished" / "best.yaml"), "--results", "new"]) == 0
    summaries = [json.loads(file.read_text()) for file in (tmp_path / "new").rglob("summary.json")]
    assert len(summaries) == 1


def test_a_killed_run_resumes_to_the_end_of_one_that_was_not_killed(results: Path) -> None:
    resumed, whole = (results / name / "runs" / "seed-1" for name in ("halfway", "run"))
    written = lines(resumed / "metrics.jsonl")
    command = ["train", str(results / "run.yaml"), "--results", str(results), "--name"]
    assert main([*command, "halfway"]) == 0
    assert lines(resumed / "metrics.jsonl")[: len(written)] == written
    for ours, theirs in zip(lines(resumed / "metrics.jsonl"), lines(whole / "metrics.jsonl"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=0.02)


def test_a_finished_run_is_not_trained_again(results: Path) -> None:
    files = {file: file.stat().st_mtime_ns for file in (results / "run").rglob("*.pt")}
    assert main(["train", str(results / "run.yaml"), "--results", str(results), "--name", "run"]) == 0
    assert {file: file.stat().st_mtime_ns for file in (results / "run").rglob("*.pt")} == files
    assert files
