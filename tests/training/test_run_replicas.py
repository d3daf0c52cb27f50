"""Several seeds trained as one bundle: each is its own run, and what diverges is told and touches nobody."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from math import isnan
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import torch

from hypercl.config import ConfigError, Experiment, check_sweep, loads
from hypercl.training import Diverged, Finished, Report, RunFolders, Started, Tick, loop, run, two_steps
from hypercl.training.bundle import Bundle
from hypercl.training.checkpoint import Checkpoints

ITERATIONS, SEEDS = 16, (4, 5, 6)
BROKEN_AT = 21
"""A step of the second task."""


def experiment(*overrides: str) -> Experiment:
    text = f"""
experiment:
  tasks: {{name: split_digits, num_tasks: 3}}
  target: {{name: mlp, hidden: [12]}}
  hypernet: {{name: chunked, hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}}
  training:
    {{iterations: {ITERATIONS}, batch_size: 16, optimizer: {{lr: 1e-2}}, threads: 1, device: cpu, seed: 4, replicas: 3}}
"""
    return loads(text, "x", overrides).experiment


@pytest.fixture
def place(tmp_path: Path) -> RunFolders:
    return RunFolders(tmp_path / "run", tmp_path / "data")


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick after every step, so that a run can be interrupted anywhere."""
    monkeypatch.setattr(loop, "SECONDS_PER_TICK", -1.0)


@pytest.fixture
def two_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has room for two replicas."""
    parts = sys.modules["hypercl.training.parts"]
    monkeypatch.setattr(parts, "peak_of", lambda _: 100)
    monkeypatch.setattr(parts, "room_for_one_of", lambda *_: 280)


@pytest.fixture
def one_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second replica's weights are infinite from a step on."""
    breaks(monkeypatch, {1: BROKEN_AT})


def breaks(monkeypatch: pytest.MonkeyPatch, when: dict[int, int]) -> None:
    original = Bundle.step

    def step(self: Bundle, state: Any, context: Any, batches: Any, info: Any) -> Any:
        for replica, iteration in when.items():
            if ITERATIONS * info.task + info.step + 1 == iteration:
                first = state if "theta" in state else state["group 0"]
                first["theta"]["head"][replica] = torch.inf
        return original(self, state, context, batches, info)

    monkeypatch.setattr(Bundle, "step", step)


def reports_of(items: list[Any]) -> list[Report]:
    return [item for item in items if isinstance(item, Report)]


def rows_of(items: list[Any]) -> list[dict[str, float]]:
    return [row for report in reports_of(items) for row in report.rows]


def summary_of(items: Iterator[Any] | list[Any]) -> dict[str, Any]:
    *_, last = items
    assert isinstance(last, Finished)
    return last.summary.plain()


def final_state(folder: Path) -> Any:
    content = Checkpoints(folder / "checkpoints").newest()
    assert content is not None
    return content["state"]


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return torch.equal(left, right)


def cells(path: Path) -> list[list[str]]:
    with path.open() as file:
        return [row[1:] for row in csv.reader(file)][1:]


@pytest.mark.parametrize("method", ["hnet", "finetune", "scratch", "joint"])
def test_each_replica_is_its_own_run(method: str, tmp_path: Path) -> None:
    chosen = f"method.name={method}"
    items = list(run(experiment(chosen), RunFolders(tmp_path / "all", tmp_path), test=True))
    for number, seed in enumerate(SEEDS, start=1):
        single = experiment(chosen, "training.replicas=1", f"training.seed={seed}")
        alone = list(run(single, RunFolders(tmp_path / str(seed), tmp_path), test=True))
        for all_of, own in zip(rows_of(items), rows_of(alone), strict=True):
            assert all_of[f"replica_{number}/loss/task"] == pytest.approx(own["loss/task"], rel=1e-3, abs=1e-5)
        mine, expected = summary_of(items)["replicas"][number - 1], summary_of(alone)
        assert mine["seed"] == seed
        for split in ("validation", "test"):
            for key in ("final_accuracy", "during_accuracy", "forgetting"):
                assert mine[split][key] == pytest.approx(expected[split][key], abs=0.02), (split, key)


def test_what_is_told_is_the_mean_and_each(place: RunFolders) -> None:
    items = list(run(experiment(), place, test=True))
    assert isinstance(items[0], Started)
    assert items[0].groups == (3,)
    for report in reports_of(items):
        assert len(report.replicas) == 3
        assert report.accuracies == pytest.approx([mean(each) for each in zip(*report.replicas, strict=True)])
        assert report.value == pytest.approx(mean(sum(each) / 3 for each in report.replicas))
        row = report.rows[-1]
        for key in ("loss/task", "progress", *(f"validation/task_{task + 1}" for task in range(report.task + 1))):
            assert row[key] == pytest.approx(mean(row[f"replica_{number}/{key}"] for number in (1, 2, 3)))
        assert [row[f"replica_{number}/progress"] for number in (1, 2, 3)] == [sum(r) / 3 for r in report.replicas]
    summary = summary_of(items)
    for split in ("validation", "test"):
        for key in ("final_accuracy", "during_accuracy", "forgetting", "backward_transfer"):
            each = [replica[split][key] for replica in summary["replicas"]]
            assert summary[split][key] == pytest.approx(mean(each))
            assert summary["spread"][split][key] == pytest.approx(stdev(each))
    assert summary["spread"]["validation"]["final_accuracy"] > 0
    assert summary["diverged_replicas"] == 0
    assert json.loads((place.folder / "summary.json").read_text()) == summary


def test_the_matrix_is_the_mean_of_each_replicas_file(place: RunFolders) -> None:
    summary = summary_of(run(experiment(), place, test=True))
    for name, split in (("accuracy_matrix", "validation"), ("accuracy_matrix_test", "test")):
        whole = cells(place.folder / f"{name}.csv")
        each = [cells(place.folder / f"{name}_replica_{number}.csv") for number in (1, 2, 3)]
        for row, own_rows in zip(whole, zip(*each, strict=True), strict=True):
            for cell, own in zip(row, zip(*own_rows, strict=True), strict=True):
                assert (cell == "") == (own == ("", "", ""))
                assert not cell or float(cell) == pytest.approx(mean(map(float, own)), abs=1e-5)
        for replica, own in zip(summary["replicas"], each, strict=True):
            assert mean(map(float, own[-1])) == pytest.approx(replica[split]["final_accuracy"], abs=1e-5)


def test_one_seed_has_neither_spread_nor_replicas(place: RunFolders) -> None:
    items = list(run(experiment("training.replicas=1"), place))
    assert not {"spread", "replicas", "diverged_replicas"} & summary_of(items).keys()
    assert all(not report.replicas for report in reports_of(items))
    assert not any(key.startswith("replica_") for row in rows_of(items) for key in row)
    assert not list(place.folder.glob("*replica*"))


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize("memory", ["room for all", "two_groups"])
@pytest.mark.parametrize("health", ["sound", "one_breaks"])
def test_a_resumed_bundle_equals_an_uninterrupted_one(
    memory: str, health: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for name in (memory, health):
        if name in ("two_groups", "one_breaks"):
            request.getfixturevalue(name)
    whole, cut = RunFolders(tmp_path / "whole", tmp_path), RunFolders(tmp_path / "cut", tmp_path)
    items = list(run(experiment("training.schedule.name=cosine"), whole, test=True))
    assert isinstance(items[0], Started)
    assert items[0].groups == ((2, 1) if memory == "two_groups" else (3,))
    parts = 0
    while not (cut.folder / "summary.json").exists():
        parts += 1
        with closing(run(experiment("training.schedule.name=cosine"), cut, test=True)) as progress:
            ticks = 0
            for item in progress:
                ticks += isinstance(item, Tick)
                if ticks == 13:
                    break
    assert parts > 3
    kept = json.loads((cut.folder / "summary.json").read_text())
    for key in ("validation", "test", "spread", "replicas", "diverged_replicas"):
        assert kept[key] == json.loads((whole.folder / "summary.json").read_text())[key]
    assert equal(final_state(cut.folder), final_state(whole.folder))


@pytest.mark.usefixtures("two_groups")
def test_a_resumed_bundle_keeps_its_groups_whatever_is_free_by_then(
    place: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(run(experiment(), place)) as progress:
        [next(progress) for _ in range(3)]
    monkeypatch.setattr(sys.modules["hypercl.training.parts"], "room_for_one_of", lambda *_: 10**12)
    started = next(run(experiment(), place))
    assert isinstance(started, Started)
    assert started.groups == (2, 1)


@pytest.mark.usefixtures("one_breaks")
def test_a_replica_that_diverges_touches_nobody_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = list(run(experiment(), RunFolders(tmp_path / "broken", tmp_path), test=True))
    state = final_state(tmp_path / "broken")
    monkeypatch.undo()
    sound = list(run(experiment(), RunFolders(tmp_path / "sound", tmp_path), test=True))
    for name, value in final_state(tmp_path / "sound")["theta"].items():
        assert torch.equal(state["theta"][name][[0, 2]], value[[0, 2]])
        assert not state["theta"][name][1].any()
    left, whole = summary_of(broken), summary_of(sound)
    for place in (0, 2):
        assert left["replicas"][place] == whole["replicas"][place]
    lost = left["replicas"][1]
    assert lost["diverged"].startswith("seed 5: the loss became")
    assert f"at step {BROKEN_AT} (task 2)" in lost["diverged"]
    assert lost["validation"]["final_accuracy"] is None
    assert lost["validation"]["why"]["final_accuracy"] == lost["diverged"]
    assert left["diverged_replicas"] == 1


@pytest.mark.usefixtures("one_breaks")
def test_a_replica_that_diverges_counts_as_the_worst(place: RunFolders) -> None:
    items = list(run(experiment(), place, test=True))
    for report in reports_of(items):
        fell = report.iteration >= BROKEN_AT
        assert bool(report.diverged) == fell
        assert [all(map(isnan, each)) for each in report.replicas] == [False, fell, False]
        if fell:
            assert report.value == pytest.approx((sum(report.replicas[0]) + sum(report.replicas[2])) / 3 / 3)
            assert isnan(report.rows[-1]["replica_2/progress"])
            losses = [report.rows[-1][f"replica_{number}/loss/task"] for number in (1, 3)]
            assert report.rows[-1]["loss/task"] == pytest.approx(mean(losses))
    summary = summary_of(items)
    first, _, last = (replica["test"] for replica in summary["replicas"])
    assert summary["test"]["final_accuracy"] == pytest.approx((first["final_accuracy"] + last["final_accuracy"]) / 3)
    assert summary["test"]["forgetting"] == pytest.approx((first["forgetting"] + last["forgetting"] + 1) / 3)
    whole, own = (cells(place.folder / f"accuracy_matrix_test{part}.csv") for part in ("", "_replica_2"))
    assert own[1][0] != ""
    assert own[2:] == [[""] * 3] * 2
    assert all(cell != "" for cell in whole[-1])


def test_a_bundle_of_which_nothing_is_left_diverges(place: RunFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks(monkeypatch, {0: 5, 1: 9, 2: BROKEN_AT})
    with pytest.raises(Diverged, match=f"all 3 replicas diverged; .* at step {BROKEN_AT} "):
        list(run(experiment(), place))


def test_the_cost_of_a_step_is_the_bundles(place: RunFolders) -> None:
    assert two_steps(experiment(), place) > 0


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ("training.early_stopping={patience: 2, checks: 4}", "early_stopping would act"),
        ("training.schedule={name: plateau, patience: 0, checks: 4}", "schedule plateau would act"),
    ],
)
def test_what_acts_on_one_accuracy_is_refused_for_several_replicas(extra: str, named: str) -> None:
    experiment(extra, "training.replicas=1")
    with pytest.raises(ConfigError, match=f"{named}.*each of the 3 replicas"):
        experiment(extra)


def test_a_space_cannot_vary_the_number_of_seeds() -> None:
    text = "experiment: {tasks: {name: split_digits}}\nspace: {training.replicas: {int: [1, 4]}}"
    with pytest.raises(ConfigError, match="means of as many seeds"):
        check_sweep(loads(text, "x"), "x")
