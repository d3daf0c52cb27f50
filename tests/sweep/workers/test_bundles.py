"""`search.bundle`: which trials are trained together, and that each stays the trial it is."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from bridge import Bridge
from in_this_process import TrainedHere, without_ray
from optuna.trial import TrialState

from hypercl.config import SweepFile, load, loads
from hypercl.exit_codes import ExitCode
from hypercl.sweep import SweepOptions, sweep
from hypercl.sweep.study.outcome import outcome_of
from hypercl.sweep.workers.deaths import Death

FEASIBLE = "space.hypernet.task_embedding={choice: [4, 8]}"
FINISHED = {"outcome": "finished", "metrics": (("validation/final_accuracy", 0.5),), "seconds": 1.0}


@pytest.fixture
def bridge(sweep_file: Callable[..., SweepFile], tmp_path: Path) -> Callable[..., Bridge]:
    def build(*overrides: str) -> Bridge:
        return Bridge(sweep_file("search.bundle=3", "search.trials=12", FEASIBLE, *overrides), tmp_path)

    return build


def numbers(config: Any) -> list[int]:
    return [one.number for one in config["job"].bundle]


def embeddings(config: Any) -> set[int]:
    return {one.experiment["hypernet"]["task_embedding"] for one in config["job"].bundle}


def ended(*results: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    return {"members": results, "done": True}


def all_end(config: Any, **result: Any) -> dict[str, Any]:
    return ended(*((number, FINISHED | result) for number in numbers(config)))


def counts(one: Bridge) -> dict[str, int]:
    """Ended trials by kind."""
    return {kind: count for kind, count in one.study.record().counts().items() if kind not in ("running", "waiting")}


def test_trials_of_a_bundle_share_the_structure_of_the_first_and_have_scalars_of_their_own(
    bridge: Callable[..., Bridge],
) -> None:
    one = bridge()
    bundles = [one.start(name) for name in "abcd"]
    assert [numbers(each) for each in bundles] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert all(len(embeddings(each)) == 1 for each in bundles)
    assert len(set.union(*map(embeddings, bundles))) > 1
    betas = {job.experiment["method"]["beta"] for each in bundles for job in each["job"].bundle}
    assert len(betas) == 12
    assert one.start("e") is None
    for name, each in zip("abcd", bundles, strict=True):
        one.searcher.on_trial_complete(name, all_end(each))
    assert one.start("f") == "FINISHED"
    assert counts(one) == {"complete": 12, "trained": 12}


def test_without_a_bundle_nothing_is_written_of_one(sweep_file: Callable[..., SweepFile], tmp_path: Path) -> None:
    one = Bridge(sweep_file(), tmp_path)
    assert one.start("a")["job"].beside == ()
    assert '"bundle"' not in (tmp_path / "study.journal").read_text()


def test_no_more_trials_are_suggested_than_the_budget_has(bridge: Callable[..., Bridge]) -> None:
    one = bridge("search.trials=5")
    assert [numbers(one.start(name)) for name in "ab"] == [[0, 1, 2], [3, 4]]
    assert one.start("c") is None
    assert len(one.study.trials()) == 5


def test_what_can_be_trained_at_once_is_shared_evenly(bridge: Callable[..., Bridge]) -> None:
    one = bridge("search.trials=5", "search.bundle=8")
    one.searcher._room = lambda: 3
    assert [numbers(one.start(name)) for name in "abc"] == [[0, 1], [2, 3], [4]]


def test_a_grid_fills_a_bundle_with_cells_that_fit(bridge: Callable[..., Bridge]) -> None:
    space = "space={method.beta: {choice: [0.01, 0.1]}, hypernet.task_embedding: {choice: [4, 6, 8]}}"
    one = bridge("search={sampler: grid, trials: 20, bundle: 3, include_base: false}", space)
    bundles = [one.start(name) for name in "abc"]
    assert [len(numbers(each)) for each in bundles] == [2, 2, 2]
    assert sorted(next(iter(embeddings(each))) for each in bundles) == [4, 6, 8]
    assert all(len({job.experiment["method"]["beta"] for job in each["job"].bundle}) == 2 for each in bundles)


def test_an_enqueued_trial_of_another_structure_begins_the_next_bundle(bridge: Callable[..., Bridge]) -> None:
    one = bridge("search.enqueue=[{hypernet.task_embedding: 4, method.beta: 1}]")
    first, second = one.start("a"), one.start("b")
    assert (numbers(first), embeddings(first)) == ([0], {8})
    assert (numbers(second), embeddings(second)) == ([1, 2, 3], {4})


def test_a_trial_that_has_to_be_trained_alone_is(bridge: Callable[..., Bridge]) -> None:
    space = "space={method.beta: {uniform: [0, 1]}, training.early_stopping: {choice: [{checks: 4, patience: 2}]}}"
    one = bridge(space, "search.include_base=false")
    assert [numbers(one.start(name)) for name in "ab"] == [[0], [1]]


def test_a_report_is_each_trials_own_and_prunes_that_one_alone(bridge: Callable[..., Bridge], reports: Any) -> None:
    one = bridge()
    config = one.start("a")
    trial = SimpleNamespace(config=config, error_file=None, trial_id="a")
    values = {0: 0.9, 1: 0.1, 2: 0.2}
    result = {"members": tuple((number, reports(8, value)) for number, value in values.items())}
    assert one.scheduler.on_trial_result(None, trial, result) == "CONTINUE"  # pyright: ignore[reportArgumentType]
    assert [trial.state for trial in one.study.trials()] == [TrialState.RUNNING, TrialState.PRUNED, TrialState.PRUNED]
    assert [job.pruned_file.exists() for job in config["job"].bundle] == [False, True, True]
    assert [trial.intermediate_values for trial in one.study.trials()] == [{8: value} for value in values.values()]
    one.searcher.on_trial_complete("a", ended((0, FINISHED)))
    assert counts(one) == {"complete": 1, "pruned": 2, "trained": 3}


def test_a_bundle_whose_last_trial_is_pruned_is_stopped(bridge: Callable[..., Bridge], reports: Any) -> None:
    one = bridge("pruner={name: threshold, floor: 0.99, warmup_tasks: 1}", "search.include_base=false")
    trial = SimpleNamespace(config=one.start("a"), error_file=None, trial_id="a")
    result = {"members": tuple((number, reports(4, 0.01)) for number in range(3))}
    assert one.scheduler.on_trial_result(None, trial, result) == "STOP"  # pyright: ignore[reportArgumentType]
    one.searcher.on_trial_complete("a", result)
    assert counts(one) == {"pruned": 3, "trained": 3}


def test_a_trial_that_diverges_ends_while_the_others_continue(bridge: Callable[..., Bridge], reports: Any) -> None:
    one = bridge()
    trial = SimpleNamespace(config=one.start("a"), error_file=None, trial_id="a")
    result = {"members": ((0, reports(1, 0.1)), (1, {"outcome": "diverged", "why": "nan"}), (2, reports(1, 0.1)))}
    assert one.scheduler.on_trial_result(None, trial, result) == "CONTINUE"  # pyright: ignore[reportArgumentType]
    assert outcome_of(one.study.trials()[1]).kind == "diverged"
    assert counts(one) == {"diverged": 1, "trained": 1}


@pytest.mark.parametrize(
    "result", [{"outcome": "out_of_memory", "why": "no room"}, {"outcome": "failed", "why": "Traceback\nValueError: x"}]
)
def test_a_bundle_that_fails_is_tried_again_in_halves_and_at_last_alone(
    bridge: Callable[..., Bridge], result: dict[str, Any]
) -> None:
    one = bridge()
    one.searcher.on_trial_complete("a", all_end(one.start("a"), **result))
    first, second = one.start("b"), one.start("c")
    assert (numbers(first), numbers(second)) == ([0, 1], [2])
    one.searcher.on_trial_complete("b", all_end(first, **result))
    assert [numbers(one.start(name)) for name in "de"] == [[0], [1]]
    assert counts(one) == {"trained": 0}
    one.end("d", "finished")
    assert counts(one) == {"complete": 1, "trained": 1}


def test_a_bundle_whose_process_died_is_tried_again_in_halves_and_after_a_lost_node_as_it_was(
    bridge: Callable[..., Bridge],
) -> None:
    one = bridge("search.trials=3")
    one.start("a")
    one.searcher.deaths |= dict.fromkeys(range(3), Death("node", "its node was lost"))
    one.searcher.on_trial_complete("a", None, error=True)
    again = one.start("b")
    assert sorted(numbers(again)) == [0, 1, 2]
    one.searcher.deaths |= dict.fromkeys(range(3), Death("process", "its process died"))
    one.searcher.on_trial_complete("b", None, error=True)
    assert [numbers(one.start(name)) for name in "cd"] == [[0, 1], [2]]


def test_the_next_driver_trains_the_same_bundles(bridge: Callable[..., Bridge]) -> None:
    one = bridge()
    jobs = {tuple(numbers(one.start(name))) for name in "ab"}
    again = bridge()
    assert {tuple(numbers(again.start(name))) for name in "ab"} == jobs
    assert numbers(again.start("c")) == [6, 7, 8]


TEXT = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  target: {name: mlp, hidden: [8]}
  hypernet: {hidden: [4], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  training: {iterations: 8, batch_size: 8, threads: 1, device: cpu}
space: {method.beta: {log_uniform: [1e-4, 10]}, training.optimizer.lr: {log_uniform: [1e-4, 1e-2]}}
search: {sampler: random, trials: 5, bundle: 4, confirm: false}
pruner: {name: median, startup_trials: 1, warmup_tasks: 1}
"""


class Cut(TrainedHere):
    """Ends each session after some steps of the worker, as a signal would."""

    def __init__(self, stop_after: int | None) -> None:
        super().__init__()
        self.left = stop_after

    def __call__(self, trainable: Any, slots: Any, searcher: Any, scheduler: Any, beat: Any, storage: Any) -> None:
        cut = self

        class Counting(trainable):
            def step(self) -> dict[str, Any]:
                if cut.left is not None:
                    cut.left -= 1
                    if cut.left < 0:
                        searcher._control.stop("sigterm")
                return super().step()

        super().__call__(Counting, slots, searcher, scheduler, beat, storage)


def swept(folder: Path, patch: pytest.MonkeyPatch, stop_after: int | None = None, *overrides: str) -> tuple[Any, Cut]:
    trained = without_ray(patch, Cut(stop_after))
    file = loads(TEXT, "bundle.yaml", overrides)
    options = SweepOptions(folder=folder, data_dir=folder, offline=True, cpus=1, final="no")
    return sweep(file, options), trained


def test_a_sweep_in_bundles_leaves_the_folders_of_trials_trained_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypercl.sweep.driver.write_report", lambda *_: None)
    result, trained = swept(tmp_path / "sweep", monkeypatch)
    assert result.exit_code == ExitCode.DONE
    assert [len(job.bundle) for job in trained.jobs] == [4, 1]
    table = pd.read_csv(tmp_path / "sweep" / "trials.csv").set_index("number")
    assert len(table) == 5
    for number in range(5):
        folder = tmp_path / "sweep" / "trials" / str(number)
        setting = load(folder / "config.yaml").experiment
        assert setting.training.replicas == 1
        assert (folder / "metrics.jsonl").read_text()
        assert not (folder / ".pruned").exists()
        assert list((folder / "checkpoints").glob("step-*.pt"))
        if table.state[number] == "complete":
            summary = json.loads((folder / "summary.json").read_text())
            assert summary["validation"]["final_accuracy"] == pytest.approx(table["validation/final_accuracy"][number])
            assert "replicas" not in summary


def test_an_interrupted_sweep_in_bundles_resumes_to_the_same_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypercl.sweep.driver.write_report", lambda *_: None)
    plain = "pruner={name: none}"
    swept(tmp_path / "whole", monkeypatch, None, plain)
    result, _ = swept(tmp_path / "cut", monkeypatch, 3, plain)
    assert result.exit_code == ExitCode.TERMINATED
    assert not (tmp_path / "cut" / "trials" / "0" / "summary.json").exists()
    result, trained = swept(tmp_path / "cut", monkeypatch, None, plain)
    assert result.exit_code == ExitCode.DONE
    assert [len(job.bundle) for job in trained.jobs] == [4, 1]
    whole, cut = (pd.read_csv(tmp_path / name / "trials.csv") for name in ("whole", "cut"))
    assert list(cut["value"][:4]) == list(whole["value"][:4])  # later ones are suggested by a sampler seeded anew
