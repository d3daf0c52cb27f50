"""The final step at the end of a sweep that trains for real, in the test's own process."""

import json
from pathlib import Path

import pytest
from fake_training import FAULT, SECONDS, TEXT, FakeEngine
from in_this_process import TrainedHere, without_ray

from hypercl.cli import main
from hypercl.config import SweepFile, load, loads
from hypercl.loggers import sync_hint
from hypercl.sweep import SweepOptions, SweepResult, sweep
from hypercl.sweep.final.selection import selections_of
from hypercl.sweep.listener import Silent
from hypercl.sweep.study.record import read_sweep
from tests.loggers.read_wandb import read

REAL = """
experiment:
  tasks: {name: split_digits, num_tasks: 3}
  target: {name: mlp, hidden: [12]}
  hypernet: {hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  training: {iterations: 20, batch_size: 16, threads: 1, device: cpu}
space: {method.beta: {log_uniform: [1e-4, 10]}}
search: {sampler: random, trials: 2, confirm: false}
pruner: {name: none}
final: {settings: 1, seeds: 5, from_scratch: true}
logging: {wandb: {project: tests}}
"""


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, text: str) -> None:
        self.lines.append(text)


def options(folder: Path, **more: object) -> SweepOptions:
    return SweepOptions(folder=folder, data_dir=folder.parent, offline=True, cpus=2, **more)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results") / "real"


@pytest.fixture(scope="module")
def file() -> SweepFile:
    return loads(REAL, "real.yaml")


@pytest.fixture(scope="module")
def swept(folder: Path, file: SweepFile) -> tuple[SweepResult, list[str]]:
    """A search and its final step; test_final_driver.py has both apart, test_driver.py both with Ray."""
    listener = Heard()
    with pytest.MonkeyPatch.context() as patch:
        without_ray(patch, TrainedHere())
        return sweep(file, options(folder, listener=listener)), listener.lines


def test_a_sweep_ends_with_settings_measured_on_fresh_seeds(swept: tuple[SweepResult, list[str]], folder: Path) -> None:
    result, lines = swept
    assert (result.exit_code, result.counts["trained"]) == (0, 2)
    assert result.final is not None
    labels = [one["label"] for one in result.final.content["settings"]]
    assert labels in (["trial-1", "base", "scratch"], ["base", "scratch"])
    for one in result.final.content["settings"]:
        assert one["seeds"] == [2000001, 2000002, 2000003, 2000004, 2000005]
        assert one["lost"] == []
        assert one["metrics"]["test/final_accuracy"]["mean"] > 0.3
    assert result.final.content["settings"][0]["metrics"]["test/forward_transfer"]["mean"] is not None
    assert any("final step: scratch, seeds 2000001-2000005: " in line for line in lines)
    assert sum(line.endswith(f"of {len(labels)} runs done") for line in lines) == len(labels)
    assert result.final.sentence in result.message
    assert "# Final step:" in (folder / "best.yaml").read_text()


def test_trials_have_no_test_data_and_final_runs_have(swept: tuple[SweepResult, list[str]], folder: Path) -> None:
    assert swept[0].exit_code == 0
    trials = [json.loads(path.read_text()) for path in folder.glob("trials/*/summary.json")]
    finals = [json.loads(path.read_text()) for path in folder.glob("final/*/*/summary.json")]
    assert len(trials) == 2
    assert not any("test" in summary for summary in trials)
    assert all("test" in summary for summary in finals)
    searched = {load(path).experiment.training.seed for path in folder.glob("trials/*/config.yaml")}
    reported = {load(path).experiment.training.seed for path in folder.glob("final/*/*/config.yaml")}
    assert not searched & reported


def test_trials_and_final_runs_are_wandb_runs_of_one_group_told_apart_by_job_type(
    swept: tuple[SweepResult, list[str]], folder: Path
) -> None:
    assert f"{sync_hint(folder)}" in swept[0].message
    logged = [read(path) for path in folder.glob("wandb/offline-run-*/run-*.wandb")]
    assert len({one.id for one in logged}) == len(logged)
    assert {one.group for one in logged} == {"real"}
    trials = [one for one in logged if one.kind == "trial"]
    finals = [one for one in logged if one.kind == "final"]
    assert sorted(one.name for one in trials) == ["real-0", "real-1"]
    labels = [path.parent.name for path in folder.glob("final/*/seeds-*")]
    assert sorted(one.name for one in finals) == sorted(f"real-final-{at}-seeds-2000001-2000005" for at in labels)
    assert len(trials) + len(finals) == len(logged)
    assert all("validation/final_accuracy" in one.summary for one in logged)
    assert all("test/final_accuracy" in one.summary for one in finals)
    assert not any(key.startswith("test/") for one in trials for key in one.summary)


def test_the_same_command_again_only_tells_the_result(
    swept: tuple[SweepResult, list[str]], folder: Path, file: SweepFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    assert sweep(file, options(folder)) == swept[0]
    assert sweep(file, options(folder, final="alone")) == swept[0]


def test_hypercl_final_prints_the_table_of_a_folder_that_was_moved(
    swept: tuple[SweepResult, list[str]], folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    moved = folder.rename(tmp_path / "moved")
    try:
        assert main(["final", str(moved)]) == 0
        said = capsys.readouterr().out
        assert swept[0].final is not None
        assert swept[0].final.sentence in said
        assert "the setting as written" in said
        assert main(["final", str(moved), "--seeds", "7"]) == 2
        assert "were chosen at" in capsys.readouterr().err
    finally:
        moved.rename(folder)


def test_a_seed_that_fails_alone_too_is_lost_and_the_others_of_its_bundle_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECONDS, "0")
    monkeypatch.setenv(FAULT, "in:seeds-2000001-2000002,seed-2000002:raise")
    monkeypatch.setattr("hypercl.sweep.driver.write_report", lambda *_: None)
    without_ray(monkeypatch, TrainedHere())
    quick = loads(TEXT.replace("trials: 6", "trials: 1"), "quick.yaml", ["final={settings: 1, seeds: 5}"])
    listener = Heard()
    result = sweep(quick, options(tmp_path / "lossy", listener=listener), FakeEngine())
    assert result.exit_code == 0
    assert result.final is not None
    (one,) = result.final.content["settings"]
    (lost,) = one["lost"]
    assert (one["label"], lost["seed"]) == ("base", 2000002)
    assert "broken on purpose" in lost["why"]
    assert any("each seed is tried alone" in line for line in listener.lines)
    (opening,) = selections_of(read_sweep(tmp_path / "lossy").attributes)
    assert opening.finished
