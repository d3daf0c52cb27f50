"""The learning rate over a task's steps."""

from itertools import pairwise

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from hypercl.config.models.training import Constant, Cosine, OneCycle, Plateau, Step
from hypercl.training.validation_monitor import lr_factor


def test_constant_stays() -> None:
    assert {lr_factor(Constant(), step, 10) for step in range(10)} == {1.0}


def test_step_is_the_papers_schedule_for_cifar() -> None:
    epochs = [lr_factor(Step(), epoch, 200) for epoch in (0, 79, 80, 119, 120, 159, 160, 179, 180, 199)]
    assert epochs == [1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.0005, 0.0005]


def test_cosine_falls_from_the_base_to_its_floor() -> None:
    rates = [lr_factor(Cosine(floor=0.1), step, 100) for step in range(100)]
    assert rates[0] == 1.0
    assert all(a > b for a, b in pairwise(rates))
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("steps", [2, 3, 11, 101, 400])
@pytest.mark.parametrize("rise", [0.1, 0.3, 0.75])
def test_one_cycle_is_torchs(steps: int, rise: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = OneCycleLR(
        optimizer, 2.0, total_steps=steps, pct_start=rise, div_factor=20, final_div_factor=50, cycle_momentum=False
    )
    schedule = OneCycle(rise=rise, start=1 / 20, end=1 / 1000)
    for step in range(steps):
        assert 2.0 * lr_factor(schedule, step, steps) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            theirs.step()


def test_one_cycle_by_default_rises_from_a_25th_to_the_base_and_falls_to_nearly_nothing() -> None:
    rates = [lr_factor(OneCycle(), step, 100) for step in range(100)]
    assert (rates[0], max(rates)) == (pytest.approx(0.04), pytest.approx(1.0))
    assert rates.index(max(rates)) == 29
    assert rates[-1] == pytest.approx(4e-6)
    assert lr_factor(OneCycle(), 0, 1) == pytest.approx(4e-6)


@pytest.mark.parametrize(
    "schedule", [Constant(), Step(), Cosine(floor=0.1), Plateau()], ids=["constant", "step", "cosine", "plateau"]
)
def test_a_warm_up_rises_in_a_straight_line_and_then_leaves_the_schedule_alone(schedule) -> None:
    warm = schedule.model_validate({**schedule.model_dump(), "warmup": 0.25})
    shares = [lr_factor(warm, step, 40) / lr_factor(schedule, step, 40) for step in range(40)]
    assert shares[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert shares[10:] == [1.0] * 30


def test_a_warm_up_of_less_than_a_step_changes_nothing() -> None:
    assert [lr_factor(Constant(warmup=0.1), step, 5) for step in range(5)] == [1.0] * 5
