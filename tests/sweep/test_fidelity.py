"""A whole sweep with `search.fidelity`, trained for real in the test's own process."""

from pathlib import Path

import pandas as pd
import pytest
from fake_training import FakeEngine
from in_this_process import InThisProcess, TrainedHere, in_this_process, without_ray

from hypercl.config import SweepFile, UserError, load, loads
from hypercl.sweep import SweepOptions, SweepResult, dry_run_rows, plan_rows, sweep
from hypercl.training import sizes

TEXT = """
experiment:
  tasks: {name: split_digits, num_tasks: 4}
  target: {name: mlp, hidden: [8]}
  hypernet: {hidden: [4], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  training: {iterations: 8, batch_size: 8, threads: 1, device: cpu}
space: {method.beta: {log_uniform: [1e-4, 10]}}
search: {sampler: random, trials: 2, fidelity: {training.iterations: 0.25, tasks.num_tasks: 0.5}}
final: {settings: 1, seeds: 5}
"""
AFTER = "after 25 % of the iterations and 50 % of the tasks"
Length = tuple[int | None, int | None]


def swept(folder: Path, file: SweepFile, engine: FakeEngine | None = None) -> SweepResult:
    return sweep(file, SweepOptions(folder=folder / "short", data_dir=folder, offline=True, cpus=2), engine)


def lengths(trained: TrainedHere | InThisProcess) -> dict[str, set[Length]]:
    """Kind of run -> the iterations and the tasks that runs of it had."""
    found: dict[str, set[Length]] = {}
    for job, experiment in zip(trained.jobs, trained.experiments, strict=True):
        kind = job.folder.relative_to(job.stop_file.parent).parts[0]
        found.setdefault(kind, set()).add((experiment.training.iterations, experiment.tasks.num_tasks))
    return found


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypercl.sweep.driver.write_report", lambda *_: None)


@pytest.mark.usefixtures("quiet")
def test_trials_are_short_and_the_final_step_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = without_ray(monkeypatch, TrainedHere())
    result = swept(tmp_path, loads(TEXT, "short.yaml"))
    assert result.final is not None
    assert lengths(trained) == {"trials": {(2, 2)}, "confirm": {(8, 4)}, "final": {(8, 4)}}
    folder = tmp_path / "short"
    best = folder / "best.yaml"
    assert load(best).experiment.training.iterations == 8
    assert load(best).experiment.tasks.num_tasks == 4
    assert AFTER in best.read_text().splitlines()[0]
    assert set(pd.read_csv(folder / "trials.csv")["fidelity"]) == {AFTER}
    assert AFTER not in result.final.optimism  # it is the confirming stage that promises
    assert load(folder / "trials" / "0" / "config.yaml").experiment.training.iterations == 2

    assert swept(tmp_path, loads(TEXT, "short.yaml")).final == result.final
    with pytest.raises(UserError, match=r"search.fidelity.training.iterations: 0.25 -> 0.5"):
        swept(tmp_path, loads(TEXT, "short.yaml", ["search.fidelity.training.iterations=0.5"]))


@pytest.mark.usefixtures("quiet")
def test_bounds_on_sizes_are_those_of_all_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short, whole = (sizes(loads(TEXT, "x", [f"tasks.num_tasks={tasks}"]).experiment).parameters for tasks in (2, 4))
    file = loads(TEXT, "x", [f"constraints.parameters.max={(short + whole) // 2}", "search.confirm=false"])
    given = SweepOptions(folder=tmp_path / "short", data_dir=tmp_path, offline=True)
    rows = dict(plan_rows(file, given))
    assert "about 0% of the space is feasible" in rows["bounds"]
    assert rows["note"].startswith("the experiment as written is out of bounds")
    with pytest.raises(UserError, match="none of 21 settings drawn at random is within the bounds"):
        dry_run_rows(file, given, measure=lambda _: 0.1)
    trained = without_ray(monkeypatch, TrainedHere())
    assert swept(tmp_path, file).counts["infeasible"] > 2
    assert not trained.jobs


@pytest.mark.usefixtures("quiet")
def test_where_short_trials_alone_promise_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)
    result = swept(tmp_path, loads(TEXT, "short.yaml", ["search.confirm=false"]), FakeEngine())
    assert result.final is not None
    assert f" {AFTER}" in result.final.optimism


@pytest.mark.usefixtures("quiet")
def test_a_race_is_run_at_full_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = in_this_process(monkeypatch)
    swept(tmp_path, loads(TEXT, "short.yaml", ["search.race={settings: 2, seeds: 3}"]), FakeEngine())
    assert lengths(trained) == {"trials": {(2, 2)}, "race": {(8, 4)}, "final": {(8, 4)}}
    assert f"value of the search {AFTER}" in (tmp_path / "short" / "race" / "race.md").read_text()
