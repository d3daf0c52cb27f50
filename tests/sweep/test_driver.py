"""A sweep from file to results, with Ray and a quick training."""

import csv
import errno
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_training import FAULT, TEXT, FakeEngine

from hypercl.config import ConfigError, SweepFile, UserError, load, loads
from hypercl.sweep import SweepOptions, SweepResult, sweep
from hypercl.sweep.driver import room_to_stop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results") / "quick"


@pytest.fixture(scope="module")
def swept(folder: Path) -> Iterator[SweepResult]:
    """Trial 1 fails, two run at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        patch.setenv(FAULT, "raise_first")
        yield sweep(loads(TEXT, "test.yaml"), SweepOptions(folder=folder, data_dir=folder), FakeEngine())


def test_the_budget_is_trained_and_a_trial_that_failed_is_replaced(swept: SweepResult) -> None:
    assert swept.exit_code == 0
    assert swept.counts["trained"] == 6
    assert (swept.counts["failed"], swept.counts["running"]) == (1, 0)
    assert "best.yaml" in swept.message


def test_the_folder_holds_what_people_need_and_nothing_of_rays(swept: SweepResult, folder: Path) -> None:
    names = {path.name for path in folder.iterdir()} - {".driver.lock"}
    assert names == {
        "sweep.yaml",
        "study.journal",
        "study.journal.sums",
        "trials",
        "trials.csv",
        "best.yaml",
        "report.html",
        "figures",
        "final",
    }
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert len(rows) == 6 + swept.counts["failed"] + swept.counts["infeasible"]
    assert load(folder / "best.yaml").experiment.method.beta == swept.table[0]["method.beta"]


def test_ray_does_not_bring_wandb_into_the_driver(swept: SweepResult) -> None:
    assert swept.exit_code == 0
    assert "ray.air.integrations.wandb" not in sys.modules


def test_the_best_is_the_first_of_the_table(swept: SweepResult) -> None:
    assert (swept.best, swept.best_value) == (swept.table[0]["trial"], swept.table[0]["value"])


def starts(folder: Path) -> dict[str, list[str]]:
    """The processes that each trial was started in, by its number."""
    return {path.name: (path / "starts.txt").read_text().split() for path in (folder / "trials").iterdir()}


def test_each_trial_was_started_once(swept: SweepResult, folder: Path) -> None:
    started = starts(folder)
    assert len(started) == swept.counts["trained"] + swept.counts["failed"]
    assert all(len(processes) == 1 for processes in started.values())


@pytest.mark.usefixtures("swept")
def test_a_process_is_kept_for_the_next_trial_but_not_after_a_fault(folder: Path) -> None:
    assert "broken on purpose" in (folder / "trials" / "1" / "error.txt").read_text()
    (failed,) = starts(folder)["1"]
    others = [process for number, (process,) in starts(folder).items() if number != "1"]
    assert len(set(others)) < len(others)
    assert failed not in others


def test_a_ray_that_does_not_start_is_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine too busy for it, Ray raises a bare exception."""

    def fail(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because ...")

    monkeypatch.setattr("ray.init", fail)
    result = sweep(loads(TEXT, "test.yaml"), SweepOptions(folder=tmp_path / "r", data_dir=tmp_path), FakeEngine())
    assert result.exit_code == 74
    assert "Ray could not be started: The current node timed out during startup.\n" in result.message


def test_the_same_command_again_trains_nothing_and_starts_no_ray(
    swept: SweepResult, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    left = folder / "trials" / "0" / "summary.json.partial-999999999"
    left.touch()
    again = sweep(loads(TEXT, "test.yaml"), SweepOptions(folder=folder, data_dir=folder), FakeEngine())
    assert again == swept
    assert not left.exists()


def test_figures_that_cannot_be_drawn_cost_neither_the_result_nor_its_message(
    swept: SweepResult, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hypercl.sweep.driver.write_report", full)
    again = sweep(loads(TEXT, "test.yaml"), SweepOptions(folder=folder, data_dir=folder), FakeEngine())
    before, after = swept.message.splitlines(), again.message.splitlines()
    (told,) = [line for line in after if line not in before]
    assert (again.exit_code, [line for line in after if line != told]) == (0, before)
    assert "No space left" in told
    assert "hypercl report" in told


def test_with_little_time_left_nothing_is_drawn(
    swept: SweepResult, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypercl.sweep.driver.write_report", lambda *_: pytest.fail("a report was drawn"))
    given = SweepOptions(folder=folder, data_dir=folder, time_limit_s=5.0)
    assert sweep(loads(TEXT, "test.yaml"), given, FakeEngine()) == swept


def test_a_setting_enqueued_after_the_last_trial_is_told_to_wait(
    swept: SweepResult, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / folder.name)
    file = loads(TEXT, "test.yaml", ["search.enqueue=[{method.beta: 0.5}]"])
    again = sweep(file, SweepOptions(folder=copy, data_dir=folder), FakeEngine())
    assert again.counts["trained"] == swept.counts["trained"]
    assert "1 from search.enqueue would need a larger" in again.message


def test_mistakes_are_told_before_anything_is_made(sweep_file: Callable[..., SweepFile], tmp_path: Path) -> None:
    given = SweepOptions(folder=tmp_path / "x", data_dir=tmp_path)
    with pytest.raises(ConfigError, match="lies outside"):
        sweep(sweep_file("method.beta=100"), given)
    with pytest.raises(UserError, match="at least two tasks"):
        sweep(sweep_file("tasks.num_tasks=1", "objective={minimize: validation/forgetting}"), given)
    assert not given.folder.exists()


@pytest.mark.parametrize(("limit", "room"), [(10, 5), (60, 10), (300, 30), (36000, 60)])
def test_a_time_limit_leaves_room_to_write_checkpoints(limit: float, room: float) -> None:
    assert room_to_stop(limit) == room
