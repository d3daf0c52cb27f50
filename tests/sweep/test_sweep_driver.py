"""A sweep from file to results, with Ray and a quick training."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_training import TEXT, FakeEngine

from hypercl.config import ConfigError, SweepFile, UserError, load, loads
from hypercl.sweep import SweepOptions, SweepResult, sweep
from hypercl.sweep.driver import room_to_stop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results") / "quick"


@pytest.fixture(scope="module")
def swept(folder: Path) -> Iterator[SweepResult]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        yield sweep(loads(TEXT, "test.yaml"), SweepOptions(folder=folder, data_dir=folder), FakeEngine())


def test_the_budget_is_trained(swept: SweepResult) -> None:
    assert swept.exit_code == 0
    assert swept.counts["trained"] == 6
    assert swept.counts["failed"] == swept.counts["running"] == 0
    assert "best.yaml" in swept.message


def test_the_folder_holds_what_people_need_and_nothing_of_rays(swept: SweepResult, folder: Path) -> None:
    names = {path.name for path in folder.iterdir()} - {".driver.lock"}
    assert names == {"sweep.yaml", "study.journal", "trials", "trials.csv", "best.yaml", "figures"}
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert len(rows) == 6 + swept.counts["infeasible"]
    assert load(folder / "best.yaml").experiment.method.beta == swept.table[0]["method.beta"]


def test_the_best_is_the_first_of_the_table(swept: SweepResult) -> None:
    assert (swept.best, swept.best_value) == (swept.table[0]["trial"], swept.table[0]["value"])


def test_each_trial_was_started_once(swept: SweepResult, folder: Path) -> None:
    trained = list((folder / "trials").iterdir())
    assert len(trained) == swept.counts["trained"]
    assert all(len((path / "starts.txt").read_text().split()) == 1 for path in trained)


def test_the_same_command_again_trains_nothing_and_starts_no_ray(
    swept: SweepResult, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    again = sweep(loads(TEXT, "test.yaml"), SweepOptions(folder=folder, data_dir=folder), FakeEngine())
    assert again == swept


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
