"""Sweeps whose runs' folders are at a URI: everything that reads a sweep finds them there."""

import shutil
from pathlib import Path

import pytest
from fake_training import TEXT, FakeEngine
from in_this_process import TrainedHere, without_ray

import hypercl
from hypercl.cli import main
from hypercl.config import SweepFile, UserError, loads
from hypercl.remote import RemoteFolder
from hypercl.sweep import SweepOptions, SweepResult, driver, sweep
from hypercl.sweep.study import ENDED, RUN_FOLDERS, bring_run, read_sweep

pytestmark = pytest.mark.usefixtures("trained")
DIGITS = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  training: {iterations: 4, batch_size: 8}
  hypernet: {task_embedding: 4}
space: {method.beta: {log_uniform: [1e-3, 1]}}
search: {trials: 2, startup_trials: 2, confirm: false}
"""


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here, and without figures, which take most of a sweep's time."""
    monkeypatch.setenv("FAKE_SECONDS_A_REPORT", "0")
    monkeypatch.setattr(driver, "write_report", lambda *_: [])
    without_ray(monkeypatch, TrainedHere())


@pytest.fixture
def file(tmp_path: Path) -> SweepFile:
    return loads(TEXT, "test.yaml", [f"study.run_folders=file://{tmp_path}/there"])


def swept(file: SweepFile, folder: Path, engine: FakeEngine | None = None) -> SweepResult:
    options = SweepOptions(folder=folder, data_dir=folder, source="test.yaml", final="no", max_concurrent=1)
    return sweep(file, options, engine or FakeEngine())


def test_a_sweep_is_reported_shown_and_opened_from_the_uri(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, there = tmp_path / "digits", tmp_path / "there" / "digits"
    file = loads(DIGITS, "digits.yaml", [f"study.run_folders=file://{tmp_path}/there"])
    assert sweep(file, SweepOptions(folder=results, data_dir=tmp_path, final="no", max_concurrent=1)).exit_code == 0
    assert {run.name for run in (there / "trials").iterdir()} == {"0", "1"}
    assert list((there / "trials" / "0" / "checkpoints").iterdir())
    shutil.rmtree(results / "trials")  # as in the results folder of another driver
    assert main(["sweep", "--status", str(results)]) == 0
    assert main(["sweep", str(results), "--show", "1"]) == 0
    assert "hypercl train" in capsys.readouterr().out
    assert main(["report", "--html", str(results)]) == 0
    opened = hypercl.open(results)
    assert isinstance(opened, hypercl.Sweep)
    run = opened.trial(1)
    assert run.metrics["validation"]["final_accuracy"] == read_sweep(results).trials[1].values[0]
    assert not (run.folder / "checkpoints").exists()
    assert run.model().learned == 2
    assert (run.folder / "checkpoints").exists()


@pytest.mark.slow
def test_the_results_are_those_of_a_sweep_with_its_runs_in_the_results_folder(tmp_path: Path) -> None:
    here, there = tmp_path / "a" / "digits", tmp_path / "b" / "digits"
    for folder, at in ((here, []), (there, [f"study.run_folders=file://{tmp_path}/there"])):
        given = SweepOptions(folder=folder, data_dir=tmp_path, final="no", max_concurrent=1)
        assert sweep(loads(DIGITS, "digits.yaml", at), given).exit_code == 0
    values = [[trial.values for trial in read_sweep(folder).trials] for folder in (here, there)]
    assert values[0] == values[1]


def test_the_final_step_reads_its_runs_from_the_uri(tmp_path: Path, file: SweepFile) -> None:
    folder = tmp_path / "results" / "quick"
    result = sweep(file, SweepOptions(folder=folder, data_dir=folder, max_concurrent=1), FakeEngine())
    assert result.final is not None
    runs = [path.parent for path in (tmp_path / "there" / "quick" / "final").rglob("checkpoint.json")]
    assert runs
    assert all((folder / run.relative_to(tmp_path / "there" / "quick") / "summary.json").is_file() for run in runs)


def test_a_resumed_sweep_takes_its_trial_from_the_uri(
    tmp_path: Path, file: SweepFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "results" / "quick"
    suggested = 0

    class Interrupted(TrainedHere):
        def __call__(self, trainable, slots, searcher, scheduler, beat, storage) -> None:  # type: ignore[no-untyped-def]
            nonlocal suggested
            worker = trainable(searcher.suggest("0"))
            for _ in range(3):
                worker.step()
            worker._stall.close()
            suggested += 1
            searcher._control.stop("requested")

    without_ray(monkeypatch, Interrupted())
    assert swept(file, folder).exit_code != 0
    assert not (folder / "trials" / "0" / "checkpoint.json").exists()
    without_ray(monkeypatch, TrainedHere())
    assert swept(file, folder).exit_code == 0
    steps = (tmp_path / "there" / "quick" / "trials" / "0" / "steps.txt").read_text().split()
    assert steps == [str(step) for step in range(1, len(steps) + 1)]
    assert len((tmp_path / "there" / "quick" / "trials" / "0" / "starts.txt").read_text().split()) == 2
    assert suggested == 1


def test_a_uri_that_cannot_be_written_is_refused_before_anything_is_begun(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    file = loads(TEXT, "test.yaml", [f"study.run_folders=file://{tmp_path}/taken"])
    with pytest.raises(UserError, match=r"(?s)test.yaml: study.run_folders: file://.*taken.*allowed: .*fix: "):
        swept(file, tmp_path / "results" / "quick")
    assert not (tmp_path / "results").exists()


def test_runs_of_another_sweep_at_the_uri_are_not_mixed_with_these(tmp_path: Path, file: SweepFile) -> None:
    assert swept(file, tmp_path / "a" / "quick").exit_code == 0
    with pytest.raises(UserError, match=r"(?s)there/quick holds the runs of another sweep.*--name"):
        swept(file, tmp_path / "b" / "quick")
    assert swept(file, tmp_path / "b" / "other").exit_code == 0


def test_runs_stay_where_they_are_when_the_file_says_something_else(tmp_path: Path, file: SweepFile) -> None:
    assert swept(file, tmp_path / "a" / "quick").exit_code == 0
    for at in ([], [f"study.run_folders=file://{tmp_path}/elsewhere"]):
        with pytest.raises(UserError, match=r"at file://.*/there/quick, and cannot move"):
            swept(loads(TEXT, "test.yaml", at), tmp_path / "a" / "quick")
    assert swept(loads(TEXT, "test.yaml"), tmp_path / "b" / "quick").exit_code == 0
    with pytest.raises(UserError, match="in its results folder, and cannot move"):
        swept(file, tmp_path / "b" / "quick")


def test_a_trial_that_has_ended_is_asked_for_once(
    tmp_path: Path, file: SweepFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept(file, tmp_path / "results" / "quick")
    record = read_sweep(tmp_path / "results" / "quick")
    shutil.rmtree(record.folder / "trials")
    folder = record.trial_folder(0)
    assert (folder / ENDED).is_file()
    monkeypatch.setattr(RemoteFolder, "files", lambda *_: pytest.fail("it was asked for again"))
    assert record.trial_folder(0) == folder


def test_the_end_of_a_trial_that_may_run_again_is_not_believed(tmp_path: Path) -> None:
    remote = RemoteFolder(f"file://{tmp_path}/there/quick")
    for name in (ENDED, "metrics.jsonl"):
        remote.write(f"trials/0/{name}", b"")
    attributes, folder = {RUN_FOLDERS: remote.uri}, tmp_path / "trials" / "0"
    bring_run(tmp_path, attributes, folder, over=True)
    assert (folder / ENDED).is_file()
    bring_run(tmp_path, attributes, folder)
    assert not (folder / ENDED).exists()


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("s3://key:secret@bucket/a", "a key in a file is read by everybody"),
        ("s3://bucket/a?secret_key=1", "a key in a file is read by everybody"),
        ("/shared/folders", "--results DIR"),
        ("s3://", "give a URI"),
    ],
)
def test_a_uri_with_a_secret_or_of_no_form_is_refused(uri: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        loads(TEXT, "test.yaml", [f"study.run_folders={uri}"])
