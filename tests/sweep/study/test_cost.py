"""What a sweep cost: every trial, stopped and failed ones too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridge import Bridge

from hypercl.config import SweepFile
from hypercl.sweep.results.cost import cost_in_words, cost_rows
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.results.status import status_of, status_rows
from hypercl.sweep.study.cost import TuningCost, cost_of, cost_of_runs, note_gpus
from hypercl.sweep.study.gpu_time import PRICE
from hypercl.sweep.study.outcome import Outcome, outcome_of
from hypercl.sweep.study.record import read_sweep
from hypercl.sweep.study.study import SweepStudy

Files = Callable[..., SweepFile]
Studies = Callable[[SweepFile], SweepStudy]


def ended(study: SweepStudy, *outcomes: Outcome) -> None:
    for outcome in outcomes:
        asked = study.ask()
        assert asked is not None
        study.decide(asked.number, outcome)
        study.settle(asked.number)


ENDS = (
    Outcome("complete", value=0.9, seconds=3600.0, flops=10**15),
    Outcome("pruned", "stopped", seconds=900.0, flops=3 * 10**14),
    Outcome("diverged", "x", seconds=900.0),
    Outcome("failed", "its process died"),
    Outcome("infeasible", "compression_ratio 2 is above 1"),
)


def test_stopped_and_failed_trials_are_part_of_the_cost(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file("search.include_base=false"))
    ended(study, *ENDS)
    study.ask()
    spent = cost_of(study.trials(), gpus=0.25)
    assert spent == TuningCost(4, 3, 1.5, 0.375, 13 * 10**14, untimed=1, uncounted=2)
    assert cost_in_words(spent) == (
        "4 trials: 1 h 30 min of training, 0.375 GPU-hours, 1.3e15 floating-point operations "
        "(not counted: the time of 1 and the operations of 2)"
    )


def test_what_nobody_counted_is_not_nothing(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file())
    ended(study, Outcome("complete", value=0.9, seconds=30.0))
    assert cost_of(study.trials()).flops is None
    assert cost_in_words(cost_of(study.trials())) == "1 trial: 30 s of training (not counted: the operations of 1)"


def test_a_stopped_trial_keeps_what_its_last_report_told(sweep_file: Files, tmp_path: Path, reports: Any) -> None:
    bridge = Bridge(sweep_file("search.retries=0"), tmp_path)
    first, second = bridge.start("a"), bridge.start("b")
    bridge.result(first, reports(8, 0.9) | {"flops": 5})
    assert bridge.result(second, reports(8, 0.1) | {"seconds": 7.0, "flops": 4}) == "STOP"
    bridge.searcher.on_trial_complete("b", {})
    bridge.searcher.on_trial_complete("a", error=True)
    killed, stopped = (outcome_of(bridge.study.trial(job["job"].number)) for job in (first, second))
    assert (stopped.kind, stopped.seconds, stopped.flops) == ("pruned", 7.0, 4)
    assert (killed.kind, killed.seconds, killed.flops) == ("failed", 1.0, 5)


def test_the_outcome_in_a_last_result_carries_the_cost(sweep_file: Files, tmp_path: Path) -> None:
    bridge = Bridge(sweep_file(), tmp_path)
    for name in ("finished", "diverged", "failed"):
        bridge.start(name)
        bridge.end(name, name, flops=9)
    assert [outcome_of(trial).flops for trial in bridge.study.trials()] == [9] * 3


def runs(folder: Path, **summaries: dict[str, Any] | None) -> None:
    for name, summary in summaries.items():
        own = folder / "trial-1" / name
        own.mkdir(parents=True)
        if summary is not None:
            (own / "summary.json").write_text(json.dumps({"validation": {}, **summary}))


def test_runs_beside_the_study_are_added_up_from_their_folders(tmp_path: Path) -> None:
    runs(tmp_path, a={"seconds": 1800, "flops": 7}, b={"seconds": 1800, "flops": None}, lost=None)
    (tmp_path / "race.md").write_text("")
    assert cost_of_runs(tmp_path, gpus=0.5) == TuningCost(3, 2, 1.0, 0.5, 7, untimed=1, uncounted=2)
    assert cost_of_runs(tmp_path / "none").trials == 0


def test_the_status_tells_search_races_and_final_step_apart(sweep_file: Files, tmp_path: Path) -> None:
    file, folder = sweep_file(), tmp_path / "s"
    folder.mkdir()
    write_sweep(folder, file, "s")
    study = SweepStudy(folder / "study.journal", "s", file, 1)
    ended(study, ENDS[0])
    note_gpus(study.optuna, 0.25)
    runs(folder / "race", a={"seconds": 60, "flops": 7})
    rows = dict(status_rows(status_of(folder)))
    assert rows["spent"] == "1 trial: 60 min of training, 0.25 GPU-hours, 1.0e15 floating-point operations"
    assert rows["spent on races"].startswith("1 run: 60 s of training")
    assert "spent on the final step" not in rows
    assert list(dict(cost_rows(read_sweep(folder)))) == ["spent", "spent on races", "GPU-hours"]
    assert rows["GPU-hours"] == "0.254"
    study.optuna.set_user_attr(PRICE, 4.0)
    assert dict(cost_rows(read_sweep(folder)))["GPU-hours"] == "0.254, 1.02 at 4 each"


def test_the_share_of_gpus_is_written_once(sweep_file: Files, open_study: Studies, tmp_path: Path) -> None:
    study = open_study(sweep_file())
    note_gpus(study.optuna, 0.5)
    size = (tmp_path / "study.journal").stat().st_size
    note_gpus(study.optuna, 0.5)
    assert (tmp_path / "study.journal").stat().st_size == size
