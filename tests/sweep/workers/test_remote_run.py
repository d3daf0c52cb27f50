"""Runs whose folders are at a URI: what is there after each report, and that another node resumes from it."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_training import FAULT, FakeTrainable, steps_of

from hypercl.config import Experiment
from hypercl.remote import RemoteError, RemoteFolder
from hypercl.sweep.workers import remote_run
from hypercl.sweep.workers.job import RunStore, TrialJob
from hypercl.sweep.workers.remote_run import RemoteRun, mark_pruned, why_no_data_here
from hypercl.training.progress import Diverged, Progress, Started, Tick


@pytest.fixture
def remote(tmp_path: Path) -> RemoteFolder:
    return RemoteFolder(f"file://{tmp_path}/there/sweep")


@pytest.fixture
def job(job: TrialJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: RemoteFolder) -> TrialJob:
    """Of a node that does not see the results folder."""
    monkeypatch.setattr(remote_run, "SECONDS_TO_LOOK", 0.0)
    results, store = tmp_path / "results", RunStore(remote.uri, ".stop-1")
    return replace(job, folder=results / "trials" / "3", stop_file=results / ".stop", cluster=True, store=store)


def there(remote: RemoteFolder, name: str) -> str:
    return (remote.read(f"trials/3/{name}") or b"").decode()


def test_a_run_is_at_the_uri_and_leaves_nothing_on_its_node(job: TrialJob, remote: RemoteFolder) -> None:
    trainable = FakeTrainable({"job": job})
    for step in range(1, 4):
        assert trainable.step()["step"] == step
        assert len(there(remote, "metrics.jsonl").splitlines()) == step
    *_, last = steps_of(trainable)
    assert last["outcome"] == "finished"
    names = set(remote.files("trials/3"))
    assert {"summary.json", "accuracy_matrix.csv", "checkpoint.json", "metrics.jsonl", ".ended"} <= names
    assert not job.stop_file.parent.exists()
    assert not trainable._job.folder.exists()


def test_a_node_without_its_files_resumes_a_run_that_was_killed_on_another(job: TrialJob, remote: RemoteFolder) -> None:
    killed = FakeTrainable({"job": job})
    for _ in range(3):
        killed.step()
    killed._stall.close()
    shutil.rmtree(killed._job.folder)  # its node is gone, with its disk
    first, *rest = steps_of(FakeTrainable({"job": job}))
    assert (first["step"], [step for step, _ in first["history"]]) == (4, [1, 2, 3])
    assert rest[-1]["outcome"] == "finished"
    assert there(remote, "steps.txt").split() == [str(step) for step in range(1, 11)]
    assert len(there(remote, "metrics.jsonl").splitlines()) == 10


def test_a_process_that_was_cut_off_writes_nothing_once_another_has_begun(job: TrialJob, remote: RemoteFolder) -> None:
    cut_off = FakeTrainable({"job": job})
    cut_off.step()
    remote.write("trials/3/.writer", b"another process")
    assert cut_off.step()["outcome"] == "interrupted"
    assert there(remote, "steps.txt").split() == ["1"]


def test_a_stop_at_the_uri_ends_a_run_with_its_checkpoint(job: TrialJob, remote: RemoteFolder) -> None:
    trainable = FakeTrainable({"job": job})
    trainable.step()
    remote.write(".stop-1", b"")
    assert trainable.step()["outcome"] == "interrupted"
    assert ".ended" not in remote.files("trials/3")
    remote.remove(".stop-1")
    first, *_ = steps_of(FakeTrainable({"job": job}))
    assert [step for step, _ in first["history"]] == [1]


def test_a_run_that_the_pruner_stopped_is_over(job: TrialJob, remote: RemoteFolder) -> None:
    trainable = FakeTrainable({"job": job})
    trainable.step()
    trainable.cleanup()
    assert there(remote, "steps.txt").split() == ["1"]
    assert ".ended" in remote.files("trials/3")
    assert not trainable._job.folder.exists()


def test_a_checkpoint_between_two_reports_is_copied(
    job: TrialJob, remote: RemoteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes | None] = []

    def run(experiment: Experiment, folder: Path, *_: Any) -> Iterator[Progress]:
        yield Started(experiment, folder, 5, (10,) * 5, 1, 1, "cpu", 1)
        yield Tick(0, 1, 1)
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "step-1.pt").write_text("state")
        yield Tick(0, 2, 2)
        seen.append(remote.read("trials/3/checkpoints/step-1.pt"))
        raise Diverged(3, 0.0, 0)

    monkeypatch.setattr("fake_training.fake_run", run)
    (last,) = steps_of(FakeTrainable({"job": job}))
    assert (seen, last["outcome"]) == ([b"state"], "diverged")


def test_a_pruned_run_whose_uri_is_gone_ends_with_a_warning(
    job: TrialJob, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainable = FakeTrainable({"job": job})
    trainable.step()
    shutil.rmtree(tmp_path / "there")
    (tmp_path / "there").touch()
    trainable.cleanup()
    assert f"file://{tmp_path}/there/sweep" in caplog.text


def test_a_failure_leaves_its_traceback_at_the_uri(
    job: TrialJob, remote: RemoteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULT, "raise")
    *_, last = steps_of(FakeTrainable({"job": job}))
    assert last["outcome"] == "failed"
    assert "broken on purpose in trial 3" in there(remote, "error.txt")


def test_a_uri_that_cannot_be_reached_is_the_machines_fault_and_names_it(job: TrialJob, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    (result,) = steps_of(FakeTrainable({"job": job}))
    assert result["outcome"] == "machine"
    assert f"file://{tmp_path}/there/sweep" in result["why"]


def test_a_checkpoint_that_cannot_be_copied_is_a_warning_and_is_copied_with_the_next(
    job: TrialJob, remote: RemoteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainable = FakeTrainable({"job": job})
    trainable.step()

    def broken(*_: Any) -> None:
        raise RemoteError("the network is down")

    with monkeypatch.context() as patch:
        patch.setattr(remote_run, "send", broken)
        (note,) = trainable.step()["notes"]
        assert "the network is down" in note
        assert there(remote, "steps.txt").split() == ["1"]
    trainable.step()
    assert there(remote, "steps.txt").split() == ["1", "2", "3"]
    trainable.cleanup()


def test_what_has_failed_for_long_or_at_the_end_is_the_machines_fault(
    job: TrialJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RemoteError("the network is down")

    monkeypatch.setattr(remote_run, "send", broken)
    *_, last = steps_of(FakeTrainable({"job": job}))
    assert (last["outcome"], "the network is down" in last["why"]) == ("machine", True)
    monkeypatch.setattr(remote_run, "SECONDS_WITHOUT", -1.0)
    *reports, last = steps_of(FakeTrainable({"job": job}))
    assert (len(reports), last["outcome"]) == (0, "machine")


def test_a_cut_off_copy_leaves_a_checkpoint_and_no_newer_summary(
    job: TrialJob, remote: RemoteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert job.store is not None
    run = RemoteRun(job, job.store)
    run.fetch()
    folder = run.folder / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "step-1.pt").write_text("old")
    run.copy_checkpoint()
    (folder / "step-1.pt").unlink()
    (folder / "step-2.pt").write_text("new")
    for name in ("metrics.jsonl", "summary.json"):
        (run.folder / name).write_text("new")
    write: Callable[[str, bytes], None] = RemoteFolder.write
    written: list[str] = []

    def killed(self: RemoteFolder, key: str, content: bytes) -> None:
        if "checkpoints" in key:
            raise KeyboardInterrupt
        write(self, key, content)
        written.append(key)

    with monkeypatch.context() as patch:
        patch.setattr(RemoteFolder, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            run.copy()
    assert written == ["trials/3/metrics.jsonl"]
    assert set(remote.files("trials/3")) == {".writer", "checkpoints/step-1.pt", "metrics.jsonl"}
    run.copy()
    assert set(remote.files("trials/3")) == {".writer", "checkpoints/step-2.pt", "metrics.jsonl", "summary.json"}


def test_a_trial_begins_from_the_checkpoint_of_its_parent_at_the_uri(job: TrialJob, remote: RemoteFolder) -> None:
    remote.write("trials/1/checkpoints/step-000000000004.pt", b"state")
    remote.write("trials/1/metrics.jsonl", b'{"iteration": 4}\n')
    remote.write("trials/1/summary.json", b"not of this trial")
    own = replace(job, parent=job.folder.with_name("1"))
    assert own.store is not None
    run = RemoteRun(own, own.store)
    run.fetch()
    parent = run.job.parent
    assert parent is not None
    files = {path.relative_to(parent).as_posix() for path in parent.rglob("*") if path.is_file()}
    assert files == {"checkpoints/step-000000000004.pt", "metrics.jsonl"}
    run.clear()
    assert not parent.exists()


def test_the_users_own_modules_come_from_the_uri_to_a_node_that_does_not_see_the_results(
    job: TrialJob, remote: RemoteFolder, tmp_path: Path
) -> None:
    remote.write("code/my_stream.py", b"TASKS = 2\n")
    code = tmp_path / "results" / "code"
    own = replace(job, import_paths=(code, tmp_path))
    assert own.store is not None
    run = RemoteRun(own, own.store)
    run.fetch()
    first, second = run.job.import_paths
    assert ((first / "my_stream.py").read_text(), second) == ("TASKS = 2\n", tmp_path)
    assert why_no_data_here(own.store, own.experiment, tmp_path, True, own.import_paths) == ""
    code.mkdir(parents=True)
    assert run.job.import_paths == (code, tmp_path)


def test_a_pruned_trial_of_a_bundle_hears_of_it_once(job: TrialJob) -> None:
    assert job.store is not None
    run = RemoteRun(job, job.store)
    assert not run.was_pruned()
    mark_pruned(job)
    assert (run.was_pruned(), run.was_pruned()) == (True, False)


def test_a_run_asks_for_a_stop_every_few_seconds_only(
    job: TrialJob, remote: RemoteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert job.store is not None
    run = RemoteRun(job, job.store)
    monkeypatch.setattr(remote_run, "SECONDS_TO_LOOK", 3.0)
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert not run.stopping
    remote.write(".stop-1", b"")
    assert not run.stopping
    now = 103.5
    assert run.stopping
