"""A sweep's folder, read from outside: status, report, importance."""

import json
import math
import random
import shutil
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sweep import SMALL, TEXT, made_sweep
from optuna.trial import TrialState, create_trial

from hypercl.cli import main
from hypercl.config import UserError, loads
from hypercl.folder_lock import driver_of, folder_lock
from hypercl.sweep.final.data_used import data_used_rows
from hypercl.sweep.results.goals import best_rows, placed
from hypercl.sweep.results.importance import LEAST, Importance, importances
from hypercl.sweep.results.report import apart_in_words, rankings, read_sweeps, write_joined, write_report
from hypercl.sweep.results.status import state_words, status_of, status_rows
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.record import StudyRecord, progress_of, read_sweep, state_of
from hypercl.sweep.study.study import SweepStudy


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "made"
    made_sweep(folder, complete=9, pruned=5, running=1)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_reading_changes_nothing(made: Path) -> None:
    before = content(made)
    status_of(made)
    rankings(read_sweeps([made]))
    assert content(made) == before


def test_a_sweep_is_read_while_its_driver_holds_the_lock(made: Path) -> None:
    with folder_lock(made):
        status = status_of(made)
    assert status.driver is not None
    assert status.driver.alive is True


def test_a_record_has_every_trial_as_the_study_has_it(made: Path) -> None:
    record = read_sweep(made)
    states = [state_of(trial) for trial in record.trials]
    assert (states.count("complete"), states.count("pruned"), states.count("failed")) == (9, 5, 1)
    assert states[-1] == "running"
    values = [record.beliefs[trial.number].mean for trial in record.ranked()]
    assert values == sorted(values, reverse=True)
    assert progress_of(record.file, record.ranked()[0])[-1] == (20, pytest.approx(record.ranked()[0].value))


def test_a_line_that_is_being_written_is_left_out(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "moved")
    journal = tmp_path / "moved" / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole.splitlines()[-1][:-5])
    assert len(read_sweep(tmp_path / "moved").trials) == len(read_sweep(made).trials)


def test_a_minimised_objective_shows_progress_as_accuracy(tmp_path: Path) -> None:
    made_sweep(tmp_path / "down", complete=2, text=TEXT + "objective: {minimize: validation/forgetting}\n")
    record = read_sweep(tmp_path / "down")
    first, second = record.ranked()
    assert (first.value or 0) <= (second.value or 0)
    told = progress_of(record.file, first)
    assert told[0][1] == pytest.approx(1 - first.intermediate_values[1])


def test_what_a_sampler_was_told_as_complete_is_no_result(tmp_path: Path) -> None:
    """As hypercl 0.1.0 told NSGA-II of a setting out of bounds."""
    text = TEXT.replace("sampler: random", "sampler: nsga2")
    made_sweep(tmp_path / "made", complete=2, text=text)
    study = SweepStudy(tmp_path / "made" / "study.journal", "made", loads(text, "made"), threads=1)
    study.ask()
    study.decide(2, Outcome("infeasible", "too large"))
    study.optuna.tell(2, 0.0, TrialState.COMPLETE)
    record = read_sweep(tmp_path / "made")
    assert record.trials[2].state == TrialState.COMPLETE
    assert [trial.number for trial in record.ranked() if trial.number == 2] == []
    assert state_of(record.trials[2]) == "infeasible"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder.exists(), "there is no folder"),
        (lambda folder: folder.mkdir(), "holds no sweep"),
        (lambda folder: (folder / "config.yaml").parent.mkdir() or (folder / "config.yaml").touch(), "a single run"),
        (lambda folder: made_sweep(folder / "inner", complete=0), "one of those inside it: inner"),
    ],
)
def test_a_folder_without_a_sweep_is_named(tmp_path: Path, make, words: str) -> None:
    make(tmp_path / "x")
    with pytest.raises(UserError, match=words):
        read_sweep(tmp_path / "x")


def test_a_damaged_journal_is_named(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "x")
    (tmp_path / "x" / "study.journal").write_text("no record\n")
    with pytest.raises(UserError, match=r"study\.journal is damaged"):
        read_sweep(tmp_path / "x")


def test_a_sweep_that_has_only_begun_has_no_trials(tmp_path: Path) -> None:
    made_sweep(tmp_path / "new", complete=0)
    (tmp_path / "new" / "study.journal").unlink()
    status = status_of(tmp_path / "new")
    assert status.trained == 0
    assert ("trained", "0 of 40") in status_rows(status)
    with pytest.raises(UserError, match="it has none yet"):
        status.record.trial(0)


def test_the_status_tells_counts_best_and_running_trials(made: Path) -> None:
    status = status_of(made, datetime.now(UTC) + timedelta(hours=1))
    rows = dict(status_rows(status))
    assert rows["trained"] == "14 of 40: 9 complete, 5 pruned, 1 failed"
    best = status.record.ranked()[0]
    assert rows["best"] == f"trial {best.number}, validation/final_accuracy {best.value:.4f}"
    assert rows["driver"].startswith("none: rerun the sweep's command to resume")
    (running,) = status.running
    assert (running.task, running.tasks, running.step, running.steps) == (2, 5, 6, 20)
    value = progress_of(status.record.file, status.record.trials[-1])[-1][1]
    assert running.accuracy == pytest.approx(value * 5 / 2)
    assert 3600 <= running.age_s < 4600
    assert running.heard_s is not None
    assert 3600 <= running.heard_s < 4600


def test_the_pace_is_that_of_the_driver_that_is_alive(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "x")
    assert status_of(made).per_hour is None
    with folder_lock(tmp_path / "x"):
        driver = driver_of(tmp_path / "x")
        assert driver is not None
        name = tmp_path / "x" / ".driver.json"
        later, earlier = (driver.since + timedelta(hours=hours) for hours in (1, -1))
        text = name.read_text()
        name.write_text(text.replace(driver.since.isoformat(), later.isoformat()))
        assert status_of(tmp_path / "x").per_hour is None, "nothing was trained since it began"
        name.write_text(text.replace(driver.since.isoformat(), earlier.isoformat()))
        status = status_of(tmp_path / "x", driver.since + timedelta(hours=1))
    assert status.per_hour == pytest.approx(14 / 2)
    assert status.left_s == pytest.approx(26 / 7 * 3600)
    assert {"pace", "left"} <= set(dict(status_rows(status)))


def test_a_dead_driver_and_one_elsewhere_are_told_apart(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "x")
    with folder_lock(tmp_path / "x"):
        text = (tmp_path / "x" / ".driver.json").read_text()
    pid = driver_of_text(text)
    (tmp_path / "x" / ".driver.json").write_text(text.replace(pid, "999999999"))
    assert "has died" in dict(status_rows(status_of(tmp_path / "x")))["driver"]
    here = text.split('"host": "')[1].split('"')[0]
    (tmp_path / "x" / ".driver.json").write_text(text.replace(f'"{here}"', '"elsewhere"'))
    assert "cannot be asked" in dict(status_rows(status_of(tmp_path / "x")))["driver"]
    (tmp_path / "x" / ".driver.json").write_text("{")
    assert driver_of(tmp_path / "x") is None


def test_the_name_of_a_dead_driver_does_not_make_a_finished_sweep_unfinished(tmp_path: Path) -> None:
    made_sweep(tmp_path / "x", complete=3, text=SMALL.replace("trials: 40", "trials: 3"))
    holder = {"host": socket.gethostname(), "pid": 999999999, "since": datetime.now(UTC).isoformat()}
    (tmp_path / "x" / ".driver.json").write_text(json.dumps(holder))
    assert dict(status_rows(status_of(tmp_path / "x")))["driver"] == "none: the sweep is done"


def driver_of_text(text: str) -> str:
    return text.split('"pid": ')[1].split(",")[0]


def record_of(trials: list[optuna.trial.FrozenTrial], outcomes: list[str]) -> StudyRecord:
    for number, (trial, kind) in enumerate(zip(trials, outcomes, strict=True)):
        trial.number = number
        trial.set_user_attr("outcome", Outcome(kind, value=trial.value).plain())  # pyright: ignore
    return StudyRecord(Path("x"), loads(TEXT, "test"), tuple(trials))


def made_trials(count: int, seed: int) -> StudyRecord:
    """Only beta matters; `momentum` is there in half of the trials; the worse half was mostly stopped early."""
    rng = random.Random(seed)
    spaces = {
        "beta": optuna.distributions.FloatDistribution(1e-4, 10, log=True),
        "size": optuna.distributions.IntDistribution(500, 60000, log=True),
        "shape": optuna.distributions.CategoricalDistribution(["a", "b", "c"]),
        "momentum": optuna.distributions.FloatDistribution(0, 0.95),
    }
    trials, kinds = [], []
    for _ in range(count):
        own = {name: one for name, one in spaces.items() if name != "momentum" or rng.random() < 0.5}
        params = {
            "beta": 10 ** rng.uniform(-4, 1),
            "size": rng.randint(500, 60000),
            "shape": rng.choice("abc"),
            "momentum": rng.uniform(0, 0.95),
        }
        value = 0.9 - 0.05 * abs(math.log10(params["beta"]) + 1) + rng.gauss(0, 0.01)
        stopped = value < 0.82 and rng.random() < 0.8
        state, told = (TrialState.PRUNED, None) if stopped else (TrialState.COMPLETE, value)
        held = {name: params[name] for name in own}
        trials.append(create_trial(state=state, value=told, params=held, distributions=own))
        kinds.append("pruned" if stopped else "complete")
    return record_of(trials, kinds)


def test_what_matters_is_found_and_the_rest_is_chance() -> None:
    found = importances(made_trials(40, seed=2))
    assert [each.path for each in found if each.stands_out] == ["beta"]
    assert {each.path for each in found} == {"beta", "size", "shape", "momentum"}
    assert sum(each.share for each in found) == pytest.approx(1)
    assert found[0].share > 0.6


def test_trials_stopped_early_count() -> None:
    record = made_trials(40, seed=2)
    kept = [trial for trial in record.trials if trial.state == TrialState.COMPLETE]
    only = importances(record_of(kept, ["complete"] * len(kept)))
    assert {each.path: each.share for each in only} != {each.path: each.share for each in importances(record)}


def test_few_trials_say_nothing() -> None:
    assert importances(made_trials(LEAST - 1, seed=1)) == []
    assert importances(StudyRecord(Path("x"), loads(TEXT, "test"), ())) == []


@settings(max_examples=8, deadline=None)
@given(st.integers(LEAST, 20), st.integers(0, 10**6))
def test_shares_are_shares_and_nothing_warns(count: int, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hypercl.sweep.results.importance.SHUFFLES", 3)
        found = importances(made_trials(count, seed))
    assert all(0 <= each.share <= 1 and 0 <= each.chance <= 1 for each in found)


def test_a_report_has_every_picture_with_its_numbers(made: Path, tmp_path: Path) -> None:
    record = read_sweep(made)
    pictures = write_report(record, tmp_path / "out", [Importance("method.beta", 0.7, 0.2)])
    names = ["history.png", "parameters.png", "importance.png", "accuracy_matrix.png"]
    assert [path.name for path in pictures] == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert all(path.with_suffix(".csv").is_file() for path in pictures)
    assert len(pd.read_csv(tmp_path / "out" / "trials.csv")) == 16
    best = record.ranked()[0].number
    matrix = (made / "trials" / str(best) / "accuracy_matrix.csv").read_text()
    assert (tmp_path / "out" / "accuracy_matrix.csv").read_text() == matrix


def test_without_a_complete_trial_there_is_a_table_and_no_picture(tmp_path: Path) -> None:
    made_sweep(tmp_path / "none", complete=0, pruned=2)
    record = read_sweep(tmp_path / "none")
    assert write_report(record, tmp_path / "out", importances(record)) == []
    assert len(pd.read_csv(tmp_path / "out" / "trials.csv")) == 3


def test_sweeps_of_one_metric_are_ranked_together_and_others_apart(tmp_path: Path) -> None:
    made_sweep(tmp_path / "first", complete=6, text=SMALL)
    made_sweep(tmp_path / "second", complete=7, text=SMALL)
    made_sweep(tmp_path / "down", complete=2, text=SMALL + "objective: {minimize: validation/forgetting}\n")
    sweeps = read_sweeps([tmp_path / name for name in ("first", "second", "down")])
    (up, joined), (down, apart) = rankings(sweeps)
    assert (up, down) == ("validation/final_accuracy (maximize)", "validation/forgetting (minimize)")
    assert {row["sweep"] for row in joined} == {"first", "second"}
    own = {
        (name, number): belief.mean for name in ("first", "second") for number, belief in sweeps[name].beliefs.items()
    }
    assert [row["expected"] for row in joined] == sorted(own.values(), reverse=True)
    assert {(row["sweep"], row["trial"]): row["expected"] for row in joined} == own
    assert [row["expected"] for row in apart] == sorted(row["expected"] for row in apart)
    assert [row["trial"] for row in apart] == [trial.number for trial in sweeps["down"].ranked()]
    pictures = write_joined(sweeps, tmp_path / "report", dict.fromkeys(sweeps, ()))
    comparisons = [path.name for path in pictures if path.parent == tmp_path / "report"]
    assert comparisons == ["comparison-maximize-validation-final_accuracy.png"]
    assert set(pd.read_csv(tmp_path / "report" / "trials.csv")["sweep"]) == {"first", "second", "down"}


def test_sweeps_of_other_data_or_length_are_ranked_apart_unless_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_sweep(tmp_path / "first", complete=3, text=SMALL)
    made_sweep(tmp_path / "again", complete=2, text=SMALL)
    made_sweep(tmp_path / "other", complete=2, text=SMALL.replace("split_digits", "split_digits, validation: 0.5"))
    sweeps = read_sweeps([tmp_path / name for name in ("first", "again", "other")])
    goal = "validation/final_accuracy (maximize)"
    assert [words for words, _ in rankings(sweeps)] == [f"{goal}, of first and again", f"{goal}, of other"]
    assert apart_in_words(sweeps) == (
        "ranked apart, since other data or another length of training is another task: "
        "tasks.validation is 0.1 in first and 0.5 in other"
    )
    assert apart_in_words({name: sweeps[name] for name in ("first", "again")}) == ""
    assert [words for words, _ in rankings(sweeps, together=True)] == [goal]
    folders = [str(tmp_path / name) for name in sweeps]
    assert main(["report", *folders, "--to", str(tmp_path / "report")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "0.5 in other (--together ranks them in one table)" in said
    assert main(["report", *folders, "--to", str(tmp_path / "report"), "--together"]) == 0
    assert "ranked apart" not in capsys.readouterr().out


def test_values_of_short_trials_are_named_so_and_ranked_apart(tmp_path: Path) -> None:
    short, after = SMALL.replace("trials: 40", "trials: 40, fidelity: auto"), " after 10 % of the iterations"
    made_sweep(tmp_path / "full", complete=2, text=SMALL)
    made_sweep(tmp_path / "short", complete=2, text=short)
    sweeps = read_sweeps([tmp_path / "full", tmp_path / "short"])
    assert [words for words, _ in rankings(sweeps)] == [(goal := "validation/final_accuracy (maximize)"), goal + after]
    assert dict(best_rows(sweeps["short"]))["best"].endswith(after)
    assert dict(data_used_rows(sweeps["short"]))["search"].endswith(f"seed 1;{after}")
    assert placed(sweeps["short"].file, sweeps["short"].ranked(), 0)[0][1].partition(",")[0].endswith(after)


def test_sweeps_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    made_sweep(tmp_path / "a" / "x", complete=0, text=SMALL)
    made_sweep(tmp_path / "b" / "x", complete=0, text=SMALL)
    assert list(read_sweeps([tmp_path / "a" / "x", tmp_path / "b" / "x"])) == ["a/x", "b/x"]
    with pytest.raises(UserError, match="named twice"):
        read_sweeps([tmp_path / "a" / "x", tmp_path / "b" / ".." / "a" / "x"])


def test_without_a_driver_a_trial_that_has_begun_is_not_called_running(tmp_path: Path) -> None:
    assert state_words(tmp_path)["running"] == "to be resumed"
    with folder_lock(tmp_path):
        assert state_words(tmp_path)["running"] == "running"
