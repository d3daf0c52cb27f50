"""`search.seeds`: each setting on several seeds, as one bundle of replicas."""

import csv
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from statistics import fmean, stdev

import pytest
from bridge import Bridge
from fake_training import TEXT, FakeEngine
from in_this_process import in_this_process
from optuna.trial import TrialState
from rich.console import Console

from hypercl.cli.report import ranked
from hypercl.config import Experiment, SweepFile, UserError, load, loads
from hypercl.sweep import SweepOptions, plan_rows, sweep
from hypercl.sweep.results.files import ranked_rows, write_best, write_sweep, write_trials
from hypercl.sweep.results.live import PlainLines
from hypercl.sweep.study.protocols import search_config
from hypercl.sweep.study.resume_check import check_same
from hypercl.sweep.study.study import outcome_of
from hypercl.training import RunSummary

Files = Callable[..., SweepFile]


def summary_of(values: list[float | None]) -> RunSummary:
    """As of a run of several replicas; None for one that diverged."""
    counted = [value or 0.0 for value in values]
    replicas = [
        {"seed": seed, "diverged": None if value is not None else f"seed {seed} diverged", "validation": {}}
        for seed, value in enumerate(values, start=1)
    ]
    for replica, value in zip(replicas, values, strict=True):
        replica["validation"] = {"final_accuracy": value}
    content = {
        "validation": {"final_accuracy": fmean(counted)},
        "spread": {"validation": {"final_accuracy": stdev(counted)}},
        "replicas": replicas,
    }
    return RunSummary.of(content)


@pytest.fixture
def file(sweep_file: Files) -> SweepFile:
    return search_config(sweep_file("search.seeds=3"))


@pytest.fixture
def bridge(sweep_file: Files, tmp_path: Path) -> Bridge:
    return Bridge(sweep_file("search.seeds=3"), tmp_path)


def ended(bridge: Bridge, *values: float | None, name: str = "a", why: str = "") -> None:
    bridge.start(name)
    bridge.end(name, "finished", tuple(summary_of(list(values)).measures().items()), why=why)


def test_each_trial_trains_the_seeds_as_one_bundle(bridge: Bridge) -> None:
    experiment = Experiment.model_validate(bridge.start("a")["job"].experiment)
    assert (experiment.training.seed, experiment.training.replicas) == (1, 3)


def test_a_whole_sweep_trains_each_setting_on_the_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = in_this_process(monkeypatch)
    given = SweepOptions(tmp_path / "seeds", tmp_path, final="no")
    sweep(loads(TEXT, "test.yaml", ["search.seeds=3", "search.trials=2"]), given, FakeEngine())
    assert [one.training.replicas for one in sessions.experiments] == [3, 3]


def test_a_whole_sweep_under_first_k_trains_the_first_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = in_this_process(monkeypatch)
    file = loads(TEXT, "test.yaml", ["protocol={name: first_k, k: 2}", "search.trials=2"])
    sweep(file, SweepOptions(tmp_path / "first", tmp_path, final="no"), FakeEngine())
    assert [one.tasks.num_tasks for one in sessions.experiments] == [2, 2]


def test_the_mean_is_judged_and_spread_and_seeds_are_kept(bridge: Bridge) -> None:
    ended(bridge, 0.9, 0.8, 0.7)
    (trial,) = bridge.study.trials()
    assert trial.value == pytest.approx(0.8)
    assert trial.user_attrs["spread"] == pytest.approx(0.1)
    assert trial.user_attrs["seeds"] == [0.9, 0.8, 0.7]


def test_a_seed_that_diverged_counts_as_the_worst(bridge: Bridge) -> None:
    ended(bridge, 0.9, None, 0.6, why="counted as the worst, since diverged: seed 2")
    (trial,) = bridge.study.trials()
    assert trial.user_attrs["seeds"] == [0.9, 0.0, 0.6]
    assert trial.value == pytest.approx(fmean(trial.user_attrs["seeds"]))
    assert trial.user_attrs["spread"] == pytest.approx(stdev(trial.user_attrs["seeds"]))
    assert "seed 2" in outcome_of(trial).why


def test_a_bundle_whose_process_dies_for_good_is_no_value_for_the_sampler(bridge: Bridge) -> None:
    for restart in range(4):
        bridge.start(str(restart))
        bridge.searcher.on_trial_complete(str(restart), error=True)
    (trial,) = bridge.study.trials()
    assert (trial.state, trial.value) == (TrialState.FAIL, None)
    assert "spread" not in trial.user_attrs
    assert bridge.study.trained == 0


def test_trials_of_one_seed_have_no_spread(sweep_file: Files, tmp_path: Path) -> None:
    one = Bridge(sweep_file(), tmp_path)
    one.start("a")
    one.end("a", "finished")
    assert "spread" not in one.study.trials()[0].user_attrs
    assert "spread" not in ranked_rows(one.study.record())[0]


def test_the_spread_stands_in_the_ranked_table_and_in_trials_csv(bridge: Bridge, tmp_path: Path) -> None:
    ended(bridge, 0.9, 0.8, 0.7)
    out = StringIO()
    Console(file=out, width=200).print(ranked(ranked_rows(bridge.study.record()), "best"))
    assert "0.8 ± 0.1" in out.getvalue()
    write_trials(tmp_path, bridge.study)
    (row,) = csv.DictReader((tmp_path / "trials.csv").read_text().splitlines())
    assert float(row["spread/validation/final_accuracy"]) == pytest.approx(0.1)
    assert row["replica_2/validation/final_accuracy"] == "0.8"


def test_the_spread_is_told_as_the_sweep_goes(bridge: Bridge, file: SweepFile) -> None:
    ended(bridge, 0.9, 0.8, 0.7)
    out = StringIO()
    listener = PlainLines(file, Console(file=out, width=200))
    listener.trial_ended(0, outcome_of(bridge.study.trials()[0]))
    assert "trial 0 complete: 0.8000 ± 0.1000 (best so far)" in out.getvalue()


def test_the_plan_says_how_many_seeds_a_setting_gets(sweep_file: Files, tmp_path: Path) -> None:
    rows = dict(plan_rows(sweep_file("search.seeds=3"), SweepOptions(tmp_path / "x", tmp_path), FakeEngine()))
    assert rows["replicas"] == "seeds 1 to 3 in each trial, trained together and judged by their mean"


def test_the_winner_is_trained_on_as_many_seeds_as_was_asked_for_a_run(bridge: Bridge) -> None:
    ended(bridge, 0.9, 0.8, 0.7)
    path = write_best(bridge.study.record(), "test")
    assert path is not None
    training = load(path).experiment.training
    assert (training.seed, training.replicas) == (2_000_001, 1)
    assert "final_accuracy = 0.8 ± 0.1" in path.read_text()


def test_a_sweep_is_not_gone_on_with_on_another_number_of_seeds(sweep_file: Files, tmp_path: Path) -> None:
    write_sweep(tmp_path, sweep_file("search.seeds=3"), "test")
    check_same(tmp_path, sweep_file("search.seeds=3", "search.trials=50"))
    with pytest.raises(UserError, match=r"search\.seeds"):
        check_same(tmp_path, sweep_file("search.seeds=4"))
