"""Bounds on what training measures: what samplers learn of them, and what people read."""

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from bridge import Bridge
from fake_training import FakeEngine
from in_this_process import in_this_process
from optuna.trial import TrialState
from rich.console import Console

from hypercl.cli.show import print_trial
from hypercl.config import SweepFile, UserError, loads
from hypercl.exit_codes import ExitCode
from hypercl.sweep import SweepOptions, plan_rows, sweep
from hypercl.sweep.checks import check_reachable
from hypercl.sweep.results.bounds import bounds_in_words, none_feasible
from hypercl.sweep.results.files import ranked_rows, write_best, write_sweep, write_trials
from hypercl.sweep.results.live import PlainLines
from hypercl.sweep.results.live_table import LiveTable
from hypercl.sweep.results.status import status_of, status_rows
from hypercl.sweep.study.outcome import Outcome, outcome_of
from hypercl.sweep.study.study import SweepStudy

Files = Callable[..., SweepFile]
BOUND = "constraints.forgetting.max=0.01"
KEPT = {"validation/final_accuracy": 0.8, "validation/forgetting": 0.002}
BROKEN = {"validation/final_accuracy": 0.9, "validation/forgetting": 0.031}
FAR = {"validation/final_accuracy": 0.95, "validation/forgetting": 0.5}
OWN = {"tpe": (), "nsga2": ("search.startup_trials=null", "search.population=6")}


def told(bridge: Bridge, *each: dict[str, float]) -> Bridge:
    for place, metrics in enumerate(each):
        bridge.start(str(place))
        bridge.end(str(place), "finished", tuple(metrics.items()))
    return bridge


def test_violations_are_shares_of_the_bound_and_stand_with_the_trial(sweep_file: Files, tmp_path: Path) -> None:
    bounds = (BOUND, "constraints.during_accuracy.min=0.5", "constraints.seconds.max=100")
    more = {"validation/during_accuracy": 0.6, "seconds": 150.0}
    (trial,) = told(Bridge(sweep_file(*bounds), tmp_path), BROKEN | more).study.trials()
    found = {name: value for name, value in trial.constraints.items() if name in outcome_of(trial).violations}
    assert found == pytest.approx({"forgetting": 2.1, "during_accuracy": -0.2, "seconds": 0.5})
    assert trial.state == TrialState.COMPLETE
    assert not outcome_of(trial).feasible


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_every_complete_trial_has_the_same_constraints_and_an_unmeasured_one_none_of_these(
    sampler: str, sweep_file: Files, tmp_path: Path
) -> None:
    bridge = Bridge(sweep_file(BOUND, f"search.sampler={sampler}", *OWN[sampler]), tmp_path)
    told(bridge, KEPT, BROKEN)
    bridge.start("d")
    bridge.end("d", "diverged", ())
    job = bridge.start("p")
    bridge.study.decide(job["job"].number, Outcome("pruned", "stopped"))
    bridge.searcher.on_trial_complete("p")
    names = ["valid", "compression_ratio", "diverged", "out_of_memory", "forgetting"]
    for trial in bridge.study.trials():
        assert list(trial.constraints) == (names if trial.state == TrialState.COMPLETE else names[:-1])
    states = [trial.state.name for trial in bridge.study.trials()]
    assert states == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]


def feasible_in_second_half(sampler: str, seed: int, folder: Path) -> int:
    """Forgetting rises with beta, and half of the space keeps its bound; accuracy has nothing to do with it."""
    text = """
experiment: {tasks: {name: split_digits}}
space: {method.beta: {log_uniform: [1e-4, 1]}, training.optimizer.lr: {log_uniform: [1e-4, 1e-1]}}
constraints: {forgetting: {max: 0.02}}
"""
    small = ["search.population=6"] if sampler == "nsga2" else ["search.startup_trials=8"] if sampler == "tpe" else []
    settings = [f"search.sampler={sampler}", f"search.seed={seed}", "search.include_base=false", "pruner.name=none"]
    own = folder / f"{sampler}-{seed}"
    own.mkdir()
    bridge = Bridge(loads(text, "x", ["search.trials=40", *settings, *small]), own)
    trials, kept = 40, []
    for place in range(trials):
        job = bridge.start(str(place))["job"]
        x = math.log10(job.experiment["method"]["beta"])
        accuracy = 0.9 - 0.05 * abs(math.log10(job.experiment["training"]["optimizer"]["lr"]) + 2.5)
        metrics = {"validation/final_accuracy": accuracy, "validation/forgetting": 0.01 * (x + 4)}
        bridge.end(str(place), "finished", tuple(metrics.items()))
        kept.append(x <= -2)
    return sum(kept[trials // 2 :])


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_sampler_learns_what_keeps_the_bounds(sampler: str, tmp_path: Path) -> None:
    found, chance = (
        sum(feasible_in_second_half(who, seed, tmp_path) for seed in (1, 2)) for who in (sampler, "random")
    )
    assert 0.35 * 40 < chance < 0.65 * 40
    assert found > 0.7 * 40


def test_a_trial_without_the_metric_of_a_bound_has_failed(sweep_file: Files, tmp_path: Path) -> None:
    bridge = Bridge(sweep_file("constraints.peak_memory_gib.max=2"), tmp_path)
    (trial,) = told(bridge, KEPT).study.trials()
    assert outcome_of(trial).kind == "failed"
    assert outcome_of(trial).why == "its summary holds no peak_memory_gib"


def test_the_best_is_the_best_of_those_that_keep_the_bounds(sweep_file: Files, tmp_path: Path) -> None:
    file = sweep_file(BOUND)
    study = told(Bridge(file, tmp_path), BROKEN, KEPT, FAR).study
    best = study.record().best()
    assert best is not None
    assert best.number == 1
    assert [trial.number for trial in study.record().ranked()] == [1, 0, 2]
    assert none_feasible(file, study.record().ranked()) == ""
    assert [row["broken"] for row in ranked_rows(study.record())][:2] == ["", "forgetting 0.031 is above 0.01"]
    path = write_best(study.record(), "s")
    assert path is not None
    assert "Out of bounds" not in path.read_text()


def test_where_none_keeps_the_bounds_the_closest_stands_for_it_and_that_is_said(
    sweep_file: Files, tmp_path: Path
) -> None:
    file = sweep_file(BOUND)
    study = told(Bridge(file, tmp_path), FAR, BROKEN).study
    said = "no trial keeps forgetting at most 0.01; the closest is trial 1, whose forgetting 0.031 is above 0.01"
    assert none_feasible(file, study.record().ranked()) == said
    assert study.record().best() is None
    path = write_best(study.record(), "s")
    assert path is not None
    assert f"# Out of bounds: {said}" in path.read_text()
    beta = study.trials()[1].params["method.beta"]
    assert yaml.safe_load(path.read_text())["experiment"]["method"]["beta"] == pytest.approx(beta)


def test_trials_csv_says_who_kept_the_bounds(sweep_file: Files, tmp_path: Path) -> None:
    file = sweep_file(BOUND)
    bridge = told(Bridge(file, tmp_path), KEPT, BROKEN)
    bridge.start("d")
    bridge.end("d", "diverged", ())
    write_trials(tmp_path, bridge.study)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "trials.csv").read_text())))
    assert [(row["feasible"], row["broken"]) for row in rows] == [
        ("True", ""),
        ("False", "forgetting 0.031 is above 0.01"),
        ("", ""),
    ]
    (tmp_path / "plain").mkdir()
    write_trials(tmp_path, Bridge(sweep_file(), tmp_path / "plain").study)
    assert "feasible" not in (tmp_path / "trials.csv").read_text()


def test_a_line_says_what_is_broken_and_never_calls_it_the_best(sweep_file: Files) -> None:
    text = io.StringIO()
    lines = PlainLines(sweep_file(BOUND), Console(file=text, width=200))
    lines.trial_ended(0, Outcome("complete", value=0.9712, metrics=BROKEN, violations={"forgetting": 2.1}))
    lines.trial_ended(1, Outcome("complete", value=0.5, metrics=KEPT, violations={"forgetting": -0.8}))
    first, second = text.getvalue().splitlines()
    assert first.startswith("trial 0 complete: 0.9712 (forgetting 0.031 is above 0.01) [1/6")
    assert second.startswith("trial 1 complete: 0.5000 (best so far)")
    table = LiveTable(sweep_file(BOUND), Console(file=io.StringIO()))
    table.trial_ended(0, Outcome("complete", value=0.9712, metrics=BROKEN, violations={"forgetting": 2.1}))
    shown = io.StringIO()
    Console(file=shown, width=100).print(table.frame())
    assert "best: none yet" in shown.getvalue()


def swept(file: SweepFile, folder: Path, *each: dict[str, float]) -> SweepStudy:
    folder.mkdir()
    write_sweep(folder, file, "s")
    return told(Bridge(file, folder), *each).study


def test_the_status_says_how_many_keep_the_bounds(sweep_file: Files, tmp_path: Path) -> None:
    swept(sweep_file(BOUND), tmp_path / "some", KEPT, BROKEN)
    rows = dict(status_rows(status_of(tmp_path / "some")))
    assert rows["best"].startswith("trial 0, ")
    assert rows["bounds"] == "1 of 2 complete trials keep forgetting at most 0.01"
    swept(sweep_file(BOUND), tmp_path / "none", BROKEN)
    assert dict(status_rows(status_of(tmp_path / "none")))["best"].startswith("no trial keeps forgetting at most 0.01")
    swept(sweep_file(), tmp_path / "unbound", KEPT)
    assert "bounds" not in dict(status_rows(status_of(tmp_path / "unbound")))


def test_a_trial_is_shown_with_what_it_broke(
    sweep_file: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept(sweep_file(BOUND), tmp_path / "s", KEPT, BROKEN)
    print_trial(tmp_path / "s", 0)
    assert "kept: forgetting at most 0.01" in capsys.readouterr().out
    print_trial(tmp_path / "s", 1)
    assert "forgetting 0.031 is above 0.01" in capsys.readouterr().out


def test_the_plan_says_what_is_judged_afterwards(sweep_file: Files, tmp_path: Path) -> None:
    bounds = (BOUND, "constraints.peak_memory_gib.max=2", "constraints.peak_memory_gib.min=0.5")
    rows = dict(plan_rows(sweep_file(*bounds), SweepOptions(tmp_path, tmp_path, offline=True)))
    assert rows["kept after training"] == "forgetting at most 0.01; peak memory in GiB at least 0.5 and at most 2"
    assert "forgetting" not in rows["bounds"]
    assert bounds_in_words(sweep_file().constraints.measured) == ""


def test_forgetting_of_one_task_cannot_be_bound(sweep_file: Files) -> None:
    with pytest.raises(UserError, match="forgetting needs at least two tasks"):
        check_reachable(sweep_file(BOUND, "experiment.tasks.num_tasks=1"))
    check_reachable(sweep_file(BOUND))


def test_what_is_measured_inside_tasks_alone_is_refused_where_nothing_is(sweep_file: Files) -> None:
    gap = "objective={minimize: validation/stability_gap}"
    with pytest.raises(
        UserError, match=r"stability_gap is measured inside tasks, and training\.evaluate_every is null"
    ):
        check_reachable(sweep_file(gap))
    check_reachable(sweep_file(gap, "training.evaluate_every=10"))


def test_a_sweep_of_which_no_trial_keeps_the_bounds_ends_by_saying_so(
    sweep_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_this_process(monkeypatch)
    (tmp_path / "s").mkdir()
    given = SweepOptions(tmp_path / "s", tmp_path, offline=True, cpus=1, final="no")
    result = sweep(sweep_file("search.trials=2", "constraints.forgetting.max=0.004"), given, FakeEngine())
    assert result.exit_code == ExitCode.INFEASIBLE
    assert "2 trials are trained; no trial keeps forgetting at most 0.004; the closest is trial " in result.message
    assert result.best is None
    assert "Train the closest to the bounds: hypercl train " in result.message
    assert "# Out of bounds: no trial keeps" in (tmp_path / "s" / "best.yaml").read_text()
    assert dict(status_rows(status_of(tmp_path / "s")))["spent"].startswith("2 trials: ")
