"""GPU time: what a trial keeps, what older results hold, and what a limit says."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hypercl.config import SweepFile, UserError
from hypercl.sweep.study.cost import cost_of, note_gpus
from hypercl.sweep.study.gpu_budget import GpuBudget, priced
from hypercl.sweep.study.gpu_time import GPU_TIME, GpuTime, gpu_seconds_of, used_gpu_hours
from hypercl.sweep.study.outcome import OUTCOME, Outcome, outcome_of
from hypercl.sweep.study.study import SweepStudy

Files = Callable[..., SweepFile]
Studies = Callable[[SweepFile], SweepStudy]


def test_each_second_counts_with_the_share_that_the_trial_had_in_it() -> None:
    time = GpuTime().at(100.0, 0.25)
    assert time == GpuTime(100.0, 25.0)
    assert time.at(160.0, 1.0) == GpuTime(160.0, 85.0)
    assert time.at(80.0, 0.25) == GpuTime(80.0, 20.0), "a restart from an earlier checkpoint"
    assert time.at(0.0, 1.0).gpu_seconds == 0.0
    assert GpuTime.of({GPU_TIME: time.plain}) == time


def test_an_outcome_holds_the_gpu_time_of_all_restarts(sweep_file: Files, open_study: Studies) -> None:
    study = open_study(sweep_file("search.include_base=false"))
    study.gpus = 0.25
    first, second, third = (study.ask().number for _ in range(3))
    study.keep_gpu_time(first, GpuTime(100.0, 25.0))
    study.gpus = 0.5
    study.decide(first, Outcome("pruned", seconds=140.0))
    study.decide(second, Outcome("failed"))
    study.keep_gpu_time(third, GpuTime(8.0, 4.0))
    for number in (first, second):
        study.settle(number)
        study.keep_gpu_time(number, GpuTime(1e6, 1e6))
    assert outcome_of(study.trial(first)).gpu_seconds == 25.0 + 0.5 * 40.0
    assert outcome_of(study.trial(second)).gpu_seconds == 0.0
    assert [gpu_seconds_of(study.trial(number), 0.5) for number in (first, second, third)] == [45.0, 0.0, 4.0]
    assert cost_of(study.trials(), gpus=0.5).gpu_hours == 45.0 / 3600


def test_without_gpus_nothing_is_kept(sweep_file: Files, open_study: Studies, tmp_path: Path) -> None:
    study = open_study(sweep_file())
    number = study.ask().number
    study.decide(number, Outcome("complete", value=0.5, seconds=10.0))
    study.settle(number)
    assert outcome_of(study.trial(number)).gpu_seconds is None
    assert used_gpu_hours(tmp_path, study.trials(), study.optuna.user_attrs) == 0.0


def test_all_of_a_sweep_is_counted_results_of_earlier_versions_by_their_share(
    sweep_file: Files, open_study: Studies, tmp_path: Path
) -> None:
    study = open_study(sweep_file())
    note_gpus(study.optuna, 0.5)
    old, new = study.ask().number, study.ask().number
    plain = Outcome("complete", value=0.5, seconds=60.0).plain()
    del plain["gpu_seconds"]
    study._trial(old).set_user_attr(OUTCOME, plain)
    study.optuna.tell(old, 0.5)
    study.keep_gpu_time(new, GpuTime(20.0, 10.0))
    for name in ("race/trial-1/seed-1", "race/trial-1/seed-2", "final/base/seed-1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "summary.json").write_text(json.dumps({"validation": {}, "seconds": 100.0}))
    known = {"race/trial-1/seed-2": [100.0, 100.0], "confirm/trial-1/seed-3": [5.0, 5.0]}
    used = used_gpu_hours(tmp_path, study.trials(), {**study.optuna.user_attrs, GPU_TIME: known})
    assert used * 3600 == pytest.approx(30.0 + 10.0 + 105.0 + 2 * 50.0)


def test_a_limit_says_what_was_used() -> None:
    hours, cost = GpuBudget(hours=2.0), GpuBudget(cost=5.0, price=2.5)
    assert hours.used_up(1.99) == cost.used_up(1.99) == ""
    assert hours.used_up(2.01) == "GPU-hours used up: 2.01 of 2 (--max-gpu-hours)"
    assert cost.used_up(2.01) == "cost limit reached: 5.025 of 5 for 2.01 GPU-hours at 2.5 each (--max-cost)"
    assert GpuBudget(2.0, 5.0, 2.5).in_words == "2 GPU-hours (--max-gpu-hours) or a cost of 5 (--max-cost)"
    assert (priced(1.25, None), priced(1.25, 2.5)) == ("1.25", "1.25, 3.12 at 2.5 each")
    assert not GpuBudget(price=2.5).limited


@pytest.mark.parametrize("budget", [GpuBudget(hours=1.0), GpuBudget(cost=1.0, price=2.0), GpuBudget(price=2.0)])
def test_without_gpus_each_option_is_refused(budget: GpuBudget) -> None:
    budget.check()
    budget.require_gpus(0.25)
    with pytest.raises(UserError, match=f"{budget.options[0]}: trials have no GPU here"):
        budget.require_gpus(0.0)
    GpuBudget().require_gpus(0.0)


def test_a_cost_without_a_price_is_refused() -> None:
    with pytest.raises(UserError, match="add --price-per-gpu-hour X"):
        GpuBudget(cost=1.0).check()
