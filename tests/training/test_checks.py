"""Early stopping and the plateau schedule inside a run."""

import json
from collections.abc import Iterable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from hypercl.config import ConfigError, Experiment, loads
from hypercl.training import Finished, Report, RunFolders, Tick, loop, measuring, run, running
from hypercl.training.checkpoint import Checkpoints
from hypercl.training.evaluate import Evaluation

ITERATIONS = 40
STOPPING = "training.early_stopping={patience: 2, checks: 10}"
PLATEAU = "training.schedule={name: plateau, factor: 0.5, patience: 1, checks: 8, warmup: 0.1}"


def experiment(*overrides: str) -> Experiment:
    text = f"""
experiment:
  tasks: {{name: split_digits, num_tasks: 3}}
  target: {{name: mlp, hidden: [12]}}
  hypernet: {{name: chunked, hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}}
  training: {{iterations: {ITERATIONS}, batch_size: 16, optimizer: {{name: adam, lr: 2e-2}}, threads: 1, device: cpu}}
"""
    return loads(text, "x", overrides).experiment


@pytest.fixture
def place(tmp_path: Path) -> RunFolders:
    return RunFolders(tmp_path / "run", tmp_path)


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SECONDS_PER_TICK", -1.0)


def reports_of(items: Iterable[Any]) -> list[Report]:
    return [item for item in items if isinstance(item, Report)]


def rows_of(items: Iterable[Any]) -> list[dict[str, Any]]:
    return [row for report in reports_of(items) for row in report.rows]


def leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    return [leaf for value in tree for leaf in leaves(value)] if isinstance(tree, list) else [tree]


def same(left: Any, right: Any) -> bool:
    pairs = list(zip(leaves(left), leaves(right), strict=True))
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b or a != a for a, b in pairs)


def test_early_stopping_ends_tasks_and_tells_the_steps_taken(place: RunFolders) -> None:
    items = list(run(experiment(STOPPING), place, test=True))
    steps = items[-1].summary.plain()["iterations_per_task"]
    assert any(taken < ITERATIONS for taken in steps)
    assert all(taken % 4 == 0 for taken in steps)
    assert items[-1].summary.plain()["iterations"] == sum(steps)
    learned = [report for report in reports_of(items) if report.learned]
    assert [report.step for report in learned] == [4, 8, 12]
    assert [report.iteration for report in learned] == [sum(steps[: task + 1]) for task in range(3)]
    told = [report.step for report in reports_of(items)]
    assert told == sorted(set(told))
    assert items[-1].summary.plain()["test"]["final_accuracy"] > 0.6


def test_a_task_ends_once_patience_checks_brought_nothing_better(place: RunFolders) -> None:
    items = list(run(experiment(STOPPING), place))
    taken_by = items[-1].summary.plain()["iterations_per_task"]
    assert len(taken_by) == 3
    for task, taken in enumerate(taken_by, start=1):
        found = [row["check/accuracy"] for row in rows_of(items) if row["task"] == task and "check/accuracy" in row]
        assert len(found) == taken // 4
        since = len(found) - 1 - found.index(max(found))
        assert since == 2 or (taken == ITERATIONS and since < 2)


def test_the_best_state_of_a_task_is_put_back(place: RunFolders) -> None:
    """Rates that destroy what was learned: without the best state the report would be as bad as the last check."""
    wild = ("training.optimizer.lr=0.5", "training.batch_size=2", "method.name=finetune", "tasks.num_tasks=1")
    items = list(run(experiment(STOPPING, *wild), place))
    found = [row["check/accuracy"] for row in rows_of(items) if "check/accuracy" in row]
    assert max(found) > found[-1]
    assert reports_of(items)[-1].accuracies[0] == max(found)
    content = Checkpoints(place.folder / "checkpoints").newest()
    assert content is not None
    assert content["best"] is None


def test_without_a_stop_the_best_state_is_put_back_too(place: RunFolders) -> None:
    patient = "training.early_stopping={patience: 8, checks: 10}"
    wild = ("training.optimizer.lr=0.5", "training.batch_size=2", "method.name=finetune", "tasks.num_tasks=1")
    items = list(run(experiment(patient, *wild, "training.seed=3"), place))
    found = [row["check/accuracy"] for row in rows_of(items) if "check/accuracy" in row]
    assert items[-1].summary.plain()["iterations_per_task"] == [ITERATIONS]
    assert max(found) > found[-1]
    assert reports_of(items)[-1].accuracies[0] == max(found)


def test_joint_is_checked_on_all_tasks_that_it_trains(place: RunFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    from hypercl.training.validation_monitor import ValidationMonitor

    told: list[float] = []
    see = ValidationMonitor.see
    monkeypatch.setattr(
        ValidationMonitor, "see", lambda self, step, value: told.append(value) or see(self, step, value)
    )
    items = list(run(experiment(STOPPING, "method.name=joint"), place, reports_per_task=10))
    last = reports_of(items)[-2:]
    assert not last[0].learned
    both = [row["check/accuracy"] for row in last[0].rows if "check/accuracy" in row][-1]
    assert both == pytest.approx(sum(last[0].accuracies) / 3)
    assert both in told


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize("method", ["hnet", "finetune", "scratch", "joint"])
def test_a_resumed_run_equals_an_uninterrupted_one(method: str, tmp_path: Path) -> None:
    setting = experiment(f"method.name={method}", STOPPING, PLATEAU)
    whole, cut = RunFolders(tmp_path / "whole", tmp_path), RunFolders(tmp_path / "cut", tmp_path)
    items = list(run(setting, whole))
    rows: dict[int, Any] = {}
    for _ in range(100):
        ticks = 0
        with closing(run(setting, cut)) as progress:
            for item in progress:
                rows |= {row["iteration"]: row for row in rows_of([item])}
                ticks += isinstance(item, Tick)
                if ticks == 13:
                    break
        if (cut.folder / "summary.json").exists():
            break
    expected, found = (json.loads((each.folder / "summary.json").read_text()) for each in (whole, cut))
    assert isinstance(items[-1], Finished)
    for key in ("validation", "iterations_per_task"):
        assert found[key] == expected[key]
    contents: list[Any] = [Checkpoints(each.folder / "checkpoints").newest() for each in (whole, cut)]
    assert same(contents[0]["state"], contents[1]["state"])
    assert contents[0]["notes"] == contents[1]["notes"]
    assert list(rows.values()) == rows_of(items)


def test_a_plateau_lowers_the_rate_and_each_task_starts_anew(place: RunFolders) -> None:
    items = list(run(experiment(PLATEAU, "training.schedule.patience=0"), place))
    for task in (1, 2, 3):
        rates = [row["lr"] for row in rows_of(items) if row["task"] == task]
        assert rates[:4] == pytest.approx([0.005, 0.01, 0.015, 0.02])
        assert rates[4] == pytest.approx(0.02)
        assert rates[-1] in [pytest.approx(0.02 * 0.5**cuts) for cuts in range(1, 8)]
        assert all(later <= earlier for earlier, later in pairwise(rates[4:]))


def test_checks_read_so_many_validation_samples_and_no_test_data(
    place: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = measuring.accuracies

    def counted(learner: Any, state: Any, what: Evaluation) -> Any:
        read.extend(map(len, what.splits))
        return original(learner, state, what)

    monkeypatch.setattr(measuring, "accuracies", counted)
    monkeypatch.setattr(running, "open_with_test", lambda *_: pytest.fail("the test data was opened"))
    limited = (PLATEAU, "training.report_samples=7", "tasks.num_tasks=1")
    list(run(experiment(*limited), place, reports_per_task=1))
    assert read[0] == 7
    assert read[1:9] == [7] * 8
    assert len(read) == 10


def test_checks_change_nothing_but_what_they_decide(tmp_path: Path) -> None:
    """A plateau that never acts leaves a run as it was."""
    idle = "training.schedule={name: plateau, patience: 17, checks: 20}"
    plain, checked = (
        list(run(experiment(*extra), RunFolders(tmp_path / str(len(extra)), tmp_path))) for extra in ((), (idle,))
    )
    assert checked[-1].summary.plain()["validation"] == plain[-1].summary.plain()["validation"]
    losses = [[row["loss/task"] for row in rows_of(items)] for items in (plain, checked)]
    assert losses[0] == losses[1]


def test_early_stopping_can_be_set_varied_and_taken_away_from_outside() -> None:
    nested = experiment("training.early_stopping.patience=3").training.early_stopping
    assert nested is not None
    assert (nested.patience, nested.checks) == (3, 20)
    assert experiment(STOPPING, "training.early_stopping=null").training.early_stopping is None
    with pytest.raises(ConfigError, match="at least 7 checks, not 6"):
        experiment("training.early_stopping={patience: 5, checks: 6}")
    with pytest.raises(ConfigError, match="patiense"):
        experiment("training.early_stopping={patiense: 5}")
