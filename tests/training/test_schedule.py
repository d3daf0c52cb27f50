"""The learning rate over a task's steps."""

from itertools import pairwise

import pytest

from hypercl.config.training import Constant, Cosine, Step
from hypercl.training.schedule import lr_factor


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
