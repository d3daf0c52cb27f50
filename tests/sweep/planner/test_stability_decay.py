"""Sweeps under protocol stability_decay: attempts as trials, each from where its parent ended."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from bridge import Bridge
from in_this_process import TrainedHere, without_ray

from hypercl.config import SweepFile, load, loads
from hypercl.exit_codes import ExitCode
from hypercl.sweep import SweepOptions, SweepResult, plan_rows, sweep
from hypercl.sweep.planner import planner_of
from hypercl.sweep.planner.stability_decay import StabilityDecayPlanner, attempt_of
from hypercl.sweep.results.files import ranked_rows, write_trials
from hypercl.sweep.study.study import PLANNED
from hypercl.sweep.workers.trainable import RunTrainable
from hypercl.training import RunFolders, loop, run, sizes
from hypercl.training.checkpoint import Checkpoints

ITERATIONS = 8
TEXT = f"""
experiment:
  tasks: {{name: split_digits, num_tasks: 3, validation: 0.2}}
  target: {{name: mlp, hidden: [12]}}
  hypernet: {{name: chunked, hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}}
  method: {{name: hnet, beta: 1}}
  training: {{iterations: {ITERATIONS}, batch_size: 16, threads: 1, device: cpu}}
space:
  method.beta: {{choice: [4]}}
  training.optimizer.lr: {{choice: [0.01, 0.03]}}
protocol: {{name: stability_decay, drop: 0.02, halvings: 2}}
search: {{trials: 30}}
"""


def file(*overrides: str) -> SweepFile:
    return loads(TEXT, "test.yaml", overrides)


class Session(Bridge):
    """A driver and its workers in one process, one attempt after the other."""

    def __init__(self, given: SweepFile, folder: Path) -> None:
        super().__init__(given, folder, sizes)
        self.file, self.count = given, 0

    def train(self, most: int = 1000, stop_after: int | None = None) -> int:
        """Trains so many trials, or until none is suggested; writes the stop file after so many steps of a worker."""
        for trained in range(most):
            self.count += 1
            config = self.start(str(self.count))
            if not isinstance(config, dict):
                return trained
            worker, steps = RunTrainable(config), 0
            while True:
                result = worker.step()
                if result.get("done"):
                    break
                self.result(config, result)
                steps += 1
                if steps == stop_after:
                    self.control.stop("sigint")
            self.searcher.on_trial_complete(str(self.count), result)
        return most


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick after every step, at which a worker looks for the stop file."""
    monkeypatch.setattr(loop, "SECONDS_PER_TICK", -1.0)


def weights(folder: Path) -> Any:
    content = Checkpoints(folder / "checkpoints").newest()
    assert content is not None
    return content["state"]


def same(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return torch.equal(left, right)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Session:
    session = Session(file(), tmp_path_factory.mktemp("learned"))
    session.train()
    return session


def test_a_chain_of_attempts_ends_where_one_run_with_the_values_found_does(learned: Session, tmp_path: Path) -> None:
    best = learned.study.record().best()
    assert best is not None
    found = StabilityDecayPlanner(learned.file).settings(best)["by_task"]
    assert found["method.beta"][0] == 4
    experiment = load(learned.folder / str(best.number) / "config.yaml").experiment
    assert experiment.by_task == {path: tuple(values) for path, values in found.items()}
    *_, _ = run(experiment, RunFolders(tmp_path / "whole", tmp_path))
    assert same(weights(learned.folder / str(best.number)), weights(tmp_path / "whole"))
    folders = (learned.folder / str(best.number), tmp_path / "whole")
    one, other = (json.loads((each / "summary.json").read_text()) for each in folders)
    assert one["validation"] == other["validation"]


def test_no_attempt_trains_an_earlier_task_again_and_only_the_accepted_last_one_is_a_result(learned: Session) -> None:
    trials = learned.study.trials()
    now = StabilityDecayPlanner(learned.file).stage(trials)
    assert now.done
    assert [trial.number for trial in learned.study.record().ranked()] == [now.accepted[-1].number]
    for trial in trials:
        own = attempt_of(trial)
        text = (learned.folder / str(trial.number) / "metrics.jsonl").read_text()
        assert json.loads(text.splitlines()[-1])["iteration"] == ITERATIONS * (own.task + 1)
        assert trial.last_step == 4 * (own.task + 1)
        if own.parent is not None:
            before = learned.folder / str(own.parent) / "metrics.jsonl"
            assert text.startswith(before.read_text())
        assert (learned.folder / str(trial.number) / "summary.json").exists() == (own.task == 2)


def test_an_attempt_at_strength_0_is_told_apart_and_its_seconds_are_its_own(learned: Session) -> None:
    table = learned.folder / "trials.csv"
    write_trials(learned.folder, learned.study)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert {(row["phase"], row["method.beta"] == "0.0") for row in rows if row["task"] != "1"} == {
        ("rate", True),
        ("decay", False),
    }
    assert {row["state"] for row in rows} == {"learned", "complete"}
    chain = [row for row in rows if row["state"] == "complete"]
    while chain[-1]["parent"]:
        chain.append(rows[int(chain[-1]["parent"])])
    summary = json.loads((learned.folder / chain[0]["number"] / "summary.json").read_text())
    assert 0.5 * summary["seconds"] < sum(float(row["seconds"]) for row in chain) <= summary["seconds"]


@pytest.mark.usefixtures("ticking")
def test_a_sweep_interrupted_in_each_attempt_finds_the_same_as_one_that_is_not(
    learned: Session, tmp_path: Path
) -> None:
    sessions = 0
    while not planner_of(file()).over((session := Session(file(), tmp_path)).study.trials()):
        sessions += 1
        session.control.stop_file.unlink(missing_ok=True)
        session.train(most=2, stop_after=2 if sessions % 2 else None)
    assert sessions > 4
    assert ranked_rows(session.study.record()) == ranked_rows(learned.study.record())
    assert [trial.user_attrs["attempt"] for trial in session.study.trials()] == [
        trial.user_attrs["attempt"] for trial in learned.study.trials()
    ]
    best = session.study.record().best()
    assert best is not None
    assert same(weights(tmp_path / str(best.number)), weights(learned.folder / str(best.number)))


def test_a_budget_that_ends_before_the_stream_says_where_and_more_of_it_goes_on(tmp_path: Path) -> None:
    short = Session(file("search.trials=4"), tmp_path)
    assert short.train() == 4
    code, text = planner_of(short.file).ending(short.study.trials()) or (None, "")
    assert code == ExitCode.FAILED
    assert "ended at task 2 of 3, in phase decay" in text
    assert "larger --trials to resume" in text
    more = Session(file(), tmp_path)
    more.train()
    code, text = planner_of(more.file).ending(more.study.trials()) or (None, "")
    assert code == ExitCode.DONE
    assert "all 3 tasks are learned" in text


def test_a_driver_killed_between_planning_and_asking_loses_no_attempt_and_makes_none_twice(tmp_path: Path) -> None:
    session = Session(file(), tmp_path)
    first = StabilityDecayPlanner(session.file).stage([])
    session.study.enqueue({}, {PLANNED: first.attempts[0].plain()})
    again = Session(file(), tmp_path)
    again.train(most=2)
    found = [attempt_of(trial) for trial in again.study.trials()]
    assert found == list(first.attempts)


def test_replicas_are_tried_together_and_the_mean_decides(tmp_path: Path) -> None:
    session = Session(file("experiment.training.replicas=2"), tmp_path)
    session.train()
    best = session.study.record().best()
    assert best is not None
    rows = json.loads((tmp_path / str(best.number) / "summary.json").read_text())["replicas"]
    mean = sum(row["validation"]["final_accuracy"] for row in rows) / 2
    assert best.value == pytest.approx(mean)


def test_a_parents_checkpoint_that_is_gone_is_told(tmp_path: Path) -> None:
    session = Session(file("search.max_failed=1"), tmp_path)
    session.train(most=2)
    for path in tmp_path.glob("*/checkpoints/*.pt"):
        path.unlink()
    session.train(most=1)
    assert session.control.reason == "failed"
    assert "holds no checkpoint any more" in session.control.first_failure


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepResult, Path]:
    folder = tmp_path_factory.mktemp("results") / "decay"
    given = file("tasks.num_tasks=2", "training.iterations=30", "protocol.halvings=1")
    options = SweepOptions(folder=folder, data_dir=folder, offline=True, cpus=2, final="no")
    with pytest.MonkeyPatch.context() as patch:
        without_ray(patch, TrainedHere())
        return sweep(given, options), folder


def test_a_sweep_learns_the_stream_task_by_task_and_writes_what_it_found(swept: tuple[SweepResult, Path]) -> None:
    result, folder = swept
    assert result.exit_code == 0, result.message
    assert "all 2 tasks are learned" in result.message
    best = load(folder / "best.yaml").experiment
    assert best.training.seed != file().experiment.training.seed
    assert set(best.by_task) == {"method.beta", "training.optimizer.lr"}
    assert best.by_task["method.beta"][0] == 4
    assert [row["trial"] for row in result.table] == [result.best]
    assert "Its by_task holds" in (folder / "best.yaml").read_text()


def test_the_plan_tells_the_attempts(tmp_path: Path) -> None:
    rows = dict(plan_rows(file("search.trials=5"), SweepOptions(folder=tmp_path, data_dir=tmp_path, offline=True)))
    assert rows["attempts"].startswith("at most 12: 2 at the first task, at each later one 2 without protection")
    assert "the budget is 5" in rows["attempts"]
    assert "beta from 4 down to 1 by halves" in rows["phase decay"]
    assert "pruner" not in rows
