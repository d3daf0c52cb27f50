"""Whole sweeps with a limit on GPU-hours or money; the GPU is pretended, and training is the test's own process."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_training import TEXT, FakeEngine
from in_this_process import InThisProcess, in_this_process

from hypercl.config import UserError, loads
from hypercl.exit_codes import ExitCode
from hypercl.sweep import SweepOptions, SweepResult, dry_run_rows, plan_rows, sweep
from hypercl.sweep.results.status import status_of, status_rows
from hypercl.sweep.study import GpuBudget, outcome_of, read_sweep, used_gpu_hours
from hypercl.sweep.workers import GpuMeter, Machine, gpu_meter

SHARE = "resources.gpus=0.25"
FILE = loads(
    TEXT.replace("trials: 6", "trials: 4"), "test.yaml", [SHARE, "constraints={}", "final={settings: 1, seeds: 5}"]
)
SECOND = 0.25 / 3600
"""GPU-hours of a trial, each of which takes a second."""


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> InThisProcess:
    monkeypatch.setattr("hypercl.sweep.driver.write_report", lambda *_: None)
    moments, tick = [0.0], GpuMeter.tick

    def a_second_later(meter: GpuMeter) -> None:
        moments[0] += 1.5
        tick(meter)

    monkeypatch.setattr(gpu_meter, "time", SimpleNamespace(monotonic=lambda: moments[0]))
    monkeypatch.setattr(GpuMeter, "tick", a_second_later)
    gpus(monkeypatch, 1)
    return in_this_process(monkeypatch)


def gpus(patch: pytest.MonkeyPatch, number: int) -> None:
    for place in ("driver", "plan.plan", "plan.dry_run"):
        patch.setattr(f"hypercl.sweep.{place}.this_machine", lambda *_: Machine(2, number))


def options(folder: Path, **budget: float) -> SweepOptions:
    return SweepOptions(folder=folder / "quick", data_dir=folder, gpu_budget=GpuBudget(**budget), final="no")


def swept(folder: Path, **budget: float) -> SweepResult:
    return sweep(FILE, options(folder, **budget), FakeEngine())


def used(folder: Path) -> float:
    record = read_sweep(folder / "quick")
    return used_gpu_hours(record.folder, record.trials, record.attributes)


def test_a_sweep_stops_at_its_limit_and_resumes_with_a_larger_one(trained: InThisProcess, tmp_path: Path) -> None:
    hours = 1.5 * SECOND
    result = swept(tmp_path, hours=hours)
    assert result.exit_code == ExitCode.TIME_UP
    first = result.message.splitlines()[0]
    assert first == (
        f"GPU-hours used up: {2 * SECOND:.4g} of {hours:g} (--max-gpu-hours): "
        "2 of 4 trials trained; rerun with a larger limit to resume"
    )
    assert len(trained.jobs) == 2
    again = swept(tmp_path, hours=hours)
    assert (again.exit_code, again.message.splitlines()[0]) == (ExitCode.TIME_UP, first)
    assert len(trained.jobs) == 2
    assert swept(tmp_path, hours=1.0).exit_code == ExitCode.DONE
    assert len(trained.jobs) == 4
    assert used(tmp_path) == pytest.approx(4 * SECOND)


def test_money_counts_at_its_price_and_the_status_holds_it(trained: InThisProcess, tmp_path: Path) -> None:
    price = 1 / SECOND
    result = swept(tmp_path, cost=3.0, price=price)
    assert result.exit_code == ExitCode.TIME_UP
    assert result.message.startswith("cost limit reached: 3 of 3 for ")
    assert len(trained.jobs) == 3
    rows = dict(status_rows(status_of(tmp_path / "quick")))
    assert ", 3.00 at 14400 each" in rows["GPU-hours"]
    assert "gpu_hours" in (tmp_path / "quick" / "trials.csv").read_text().splitlines()[0]


@pytest.mark.usefixtures("trained")
def test_the_final_step_is_counted_and_stopped_too(tmp_path: Path) -> None:
    assert swept(tmp_path).exit_code == ExitCode.DONE
    result = sweep(FILE, replace(options(tmp_path, hours=4.5 * SECOND), final="alone"), FakeEngine())
    assert result.exit_code == ExitCode.TIME_UP
    assert "GPU-hours used up: " in result.message
    assert "final step: 1 of 2 runs are done; rerun with a larger limit to resume" in result.message
    assert used(tmp_path) == pytest.approx(5 * SECOND)


@pytest.mark.parametrize("budget", [{"hours": 1.0}, {"price": 2.0}])
def test_without_gpus_the_options_are_refused_and_nothing_is_shown(
    budget: dict[str, Any], trained: InThisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch, 0)
    for refused in (swept, lambda *_, **more: plan_rows(FILE, options(tmp_path, **more), FakeEngine())):
        with pytest.raises(UserError, match="trials have no GPU here"):
            refused(tmp_path, **budget)
    assert not trained.jobs
    assert swept(tmp_path).exit_code == ExitCode.DONE
    assert "GPU-hours" not in dict(status_rows(status_of(tmp_path / "quick")))
    assert "gpu_hours" not in (tmp_path / "quick" / "trials.csv").read_text()
    assert outcome_of(read_sweep(tmp_path / "quick").trials[0]).gpu_seconds is None


@pytest.mark.usefixtures("trained")
def test_the_plan_says_what_is_used_and_where_it_stops_and_the_dry_run_what_it_may_take(tmp_path: Path) -> None:
    def plan(**budget: float) -> str | None:
        return dict(plan_rows(FILE, options(tmp_path, **budget), FakeEngine())).get("GPU-hours")

    assert plan() is None
    assert plan(hours=2.0, price=3.0) == "3 each; stops at 2 GPU-hours (--max-gpu-hours)"
    swept(tmp_path)
    assert plan(hours=2.0) == "0.000278 so far; stops at 2 GPU-hours (--max-gpu-hours)"
    rows = dict(dry_run_rows(FILE, options(tmp_path, price=3.0), measure=lambda _: 3.6, engine=FakeEngine()))
    steps = FILE.experiment.training.iterations or 0
    assert rows["GPU-hours"].startswith(f"at most about {0.25 * 4 * 3.6 * steps * 5 / 3600:.3g}, ")
    assert rows["GPU-hours"].endswith(" at 3 each, of the search")


def test_a_cost_without_a_price_is_refused_before_anything(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="add --price-per-gpu-hour"):
        swept(tmp_path, cost=2.0)
    assert not (tmp_path / "quick").exists()
