"""Trials trained as one bundle: each is its own run, in its own folder, however the others end."""

import json
import sys
from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import pytest
import torch

from hypercl.config import Experiment, assign, loads
from hypercl.training import Diverged, Finished, Progress, Report, RunFolders, Started, Tick, loop, run, run_together
from hypercl.training.bundle import Bundle
from hypercl.training.checkpoint import Checkpoints
from tests.every_step import NONE, REPLAY

ITERATIONS = 12
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"method.beta": 1.0, "training.optimizer.lr": 3e-3},
    {"training.seed": 7, "hypernet.embedding_scale": 0.3},
)


def experiments(*overrides: str) -> list[Experiment]:
    text = f"""
experiment:
  tasks: {{name: split_digits, num_tasks: 3}}
  target: {{name: mlp, hidden: [12]}}
  hypernet: {{name: chunked, hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}}
  training: {{iterations: {ITERATIONS}, batch_size: 16, optimizer: {{lr: 1e-2}}, threads: 1, device: cpu, seed: 4}}
"""
    base = loads(text, "x", overrides).experiment
    beta, scale = base.method.name == "hnet", base.hypernet.name != "none"
    known = [one for one in CHANGES if (beta or "method.beta" not in one) and (scale or len(one) < 2)]
    return [assign(base, change) for change in known]


def places(folder: Path, count: int = len(CHANGES)) -> list[RunFolders]:
    return [RunFolders(folder / str(number), folder) for number in range(count)]


Items = list[list[Progress]]


def in_turn(views: Sequence[Iterator[Progress]], items: Items | None = None, ticks: int | None = None) -> Items:
    """All items of each, as a worker asks for them: a report of each in turn.

    Args:
        views: what is yielded.
        items: where to put them, so that they are there after an error too.
        ticks: of the first one, after which all are left.
    """
    items = [[] for _ in views] if items is None else items
    open_ = dict(enumerate(views))
    while open_:
        for number, view in list(open_.items()):
            for item in view:
                items[number].append(item)
                seen = sum(isinstance(one, Tick) for one in items[number])
                left = ticks is not None and seen >= ticks
                if left or isinstance(item, Finished):
                    view.close()  # pyright: ignore[reportAttributeAccessIssue]
                    del open_[number]
                if left or isinstance(item, Report | Finished):
                    break
    return items


def rows_of(items: Sequence[Progress]) -> list[dict[str, float]]:
    return [row for item in items if isinstance(item, Report) for row in item.rows]


def summary_in(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "summary.json").read_text())
    return {key: value for key, value in found.items() if key not in ("seconds", "peak_memory_bytes")}


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick after every step."""
    monkeypatch.setattr(loop, "SECONDS_PER_TICK", -1.0)


@pytest.fixture
def two_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has room for two at once."""
    parts = sys.modules["hypercl.training.parts"]
    monkeypatch.setattr(parts, "peak_of", lambda _: 100)
    monkeypatch.setattr(parts, "room_for_one_of", lambda *_: 280)


def assert_own_runs(settings: Sequence[Experiment], folders: Sequence[RunFolders], items: Items, alone: Path) -> None:
    """Each has the reports, rows, files and summary of a run by itself."""
    for number, (setting, place) in enumerate(zip(settings, folders, strict=True)):
        own = RunFolders(alone / str(number), place.data_dir)
        expected = list(run(setting, own))
        for mine, theirs in zip(rows_of(items[number]), rows_of(expected), strict=True):
            assert list(mine) == list(theirs)
            assert mine == pytest.approx(theirs, rel=1e-3, abs=2e-3)
        values, reports = ([item for item in each if isinstance(item, Report)] for each in (items[number], expected))
        assert [item.value for item in values] == pytest.approx([item.value for item in reports], abs=0.02)
        assert [item.flops for item in values] == [item.flops for item in reports]
        mine, theirs = summary_in(place.folder), summary_in(own.folder)
        measured, expected_ = mine.pop("validation"), theirs.pop("validation")
        per_task = "final_accuracy_per_task"
        assert measured.pop(per_task) == pytest.approx(expected_.pop(per_task), abs=0.02)
        assert measured == {
            key: pytest.approx(value, abs=0.02) if isinstance(value, float) else value
            for key, value in expected_.items()
        }
        assert mine == theirs
        assert files_in(place.folder) == files_in(own.folder)


@pytest.mark.parametrize("method", ["hnet", "finetune"])
def test_each_trial_is_its_own_run(method: str, tmp_path: Path) -> None:
    settings = experiments(f"method.name={method}", "training.evaluate_every=4")
    folders = places(tmp_path / "bundle", len(settings))
    items = in_turn(run_together(settings, folders))
    assert [type(each[0]) for each in items] == [Started] * len(settings)
    assert [each[0].folder for each in items if isinstance(each[0], Started)] == [one.folder for one in folders]
    assert_own_runs(settings, folders, items, tmp_path / "alone")


@pytest.mark.usefixtures("two_groups")
def test_memory_decides_how_many_are_computed_at_once(tmp_path: Path) -> None:
    settings, folders = experiments(), places(tmp_path / "bundle")
    assert_own_runs(settings, folders, in_turn(run_together(settings, folders)), tmp_path / "alone")


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize("ticks", [9, 20])
def test_an_interrupted_bundle_resumes_as_if_nothing_had_been(ticks: int, tmp_path: Path) -> None:
    settings, whole, cut = (
        experiments("training.evaluate_every=4"),
        places(tmp_path / "whole"),
        places(tmp_path / "cut"),
    )
    in_turn(run_together(settings, whole))
    first = in_turn(run_together(settings, cut), ticks=ticks)
    assert not any(isinstance(item, Finished) for each in first for item in each)
    second = in_turn(run_together(settings, cut))
    assert all(isinstance(each[-1], Finished) for each in second)
    assert [summary_in(place.folder) for place in cut] == [summary_in(place.folder) for place in whole]


@pytest.mark.usefixtures("ticking")
def test_a_kill_between_two_checkpoints_goes_back_to_the_newest_that_all_have(tmp_path: Path) -> None:
    settings, whole, cut = experiments(), places(tmp_path / "whole"), places(tmp_path / "cut")
    in_turn(run_together(settings, whole))
    in_turn(run_together(settings, cut), ticks=20)
    newest = max((cut[2].folder / "checkpoints").glob("step-*.pt"))
    newest.unlink()
    in_turn(run_together(settings, cut))
    assert [summary_in(place.folder) for place in cut] == [summary_in(place.folder) for place in whole]


@pytest.mark.usefixtures("ticking")
def test_a_trial_of_an_interrupted_bundle_can_be_resumed_alone(tmp_path: Path) -> None:
    settings, folders = experiments(), places(tmp_path / "bundle")
    in_turn(run_together(settings, folders), ticks=20)
    items = list(run(settings[1], folders[1]))
    started = items[0]
    assert isinstance(started, Started)
    assert len(started.history) >= 2
    expected = list(run(settings[1], RunFolders(tmp_path / "alone", tmp_path)))
    assert rows_of(items)[-1] == pytest.approx(rows_of(expected)[-1], rel=1e-3, abs=2e-3)


def test_a_trial_that_is_left_keeps_its_checkpoint_and_disturbs_no_other(tmp_path: Path) -> None:
    settings, folders = experiments(), places(tmp_path / "bundle")
    views = run_together(settings, folders)
    items: Items = [[], [], []]
    for _ in range(3):
        for number, view in enumerate(views):
            items[number] += [next(view)]
    views[1].close()
    items[0], items[2] = (
        seen + more for seen, more in zip((items[0], items[2]), in_turn([views[0], views[2]]), strict=True)
    )
    steps = Checkpoints(folders[1].folder / "checkpoints").steps
    assert 0 < max(steps) < ITERATIONS
    assert not (folders[1].folder / "summary.json").exists()
    left = [0, 2]
    assert_own_runs(
        [settings[one] for one in left], [folders[one] for one in left], [items[one] for one in left], tmp_path / "own"
    )


def test_a_trial_that_diverges_ends_as_by_itself_and_the_others_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, folders = experiments(), places(tmp_path / "bundle")
    original = Bundle.step

    def step(self: Bundle, state: Any, context: Any, batches: Any, info: Any) -> Any:
        if self.replicas == 3 and info.task == 1 and info.step == 4:
            state["theta"]["head"][1] = torch.inf
        return original(self, state, context, batches, info)

    monkeypatch.setattr(Bundle, "step", step)
    views = run_together(settings, folders)
    items: Items = [[], [], []]
    with pytest.raises(Diverged, match=rf"^the loss became nan at step {ITERATIONS + 5} \(task 2\)$"):
        in_turn(views, items)
    assert not any(isnan(value) for row in rows_of(items[1]) for value in row.values())
    rest = in_turn([views[0], views[2]])
    left = [items[0] + rest[0], items[2] + rest[1]]
    assert_own_runs([settings[0], settings[2]], [folders[0], folders[2]], left, tmp_path / "own")


def test_all_diverge_each_at_its_own_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Bundle.step

    def step(self: Bundle, state: Any, context: Any, batches: Any, info: Any) -> Any:
        if info.step < self.replicas:
            state["theta"]["head"][info.step] = torch.inf
        return original(self, state, context, batches, info)

    monkeypatch.setattr(Bundle, "step", step)
    for number, view in enumerate(run_together(experiments(), places(tmp_path))):
        with pytest.raises(Diverged, match=rf"at step {number + 1} \(task 1\)"):
            list(view)


def test_an_error_reaches_every_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: Any) -> Any:
        raise MemoryError("no room")

    monkeypatch.setattr(Bundle, "step", step)
    for view in run_together(experiments(), places(tmp_path)):
        with pytest.raises(MemoryError, match="no room"):
            list(view)


def test_what_is_finished_is_not_trained_again(tmp_path: Path) -> None:
    settings, folders = experiments(), places(tmp_path)
    list(run(settings[1], folders[1]))
    items = in_turn(run_together(settings, folders))
    assert [type(item) for item in items[1]] == [Started, Finished]
    assert all(isinstance(each[-1], Finished) for each in items)


def test_a_method_that_generates_inputs_draws_those_of_each(tmp_path: Path) -> None:
    first = experiments(f"method={{name: hnet_replay, {REPLAY}}}", NONE)[0]
    folders = places(tmp_path, 2)
    in_turn(run_together([assign(first, {"method.generator.beta": beta}) for beta in (0.1, 1.0)], folders))
    for place in folders:
        assert files_in(place.folder / "samples") == [f"after-task-{task}.png" for task in (1, 2, 3)]
