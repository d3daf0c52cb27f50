"""Metrics of an accuracy matrix, against values worked out by hand."""

from math import isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypercl.training.metrics import (
    backward_transfer,
    during_accuracy,
    final_accuracy,
    forgetting,
    summarize,
    unknown,
)
from hypercl.training.replicas import mean_of

BY_HAND = [[0.1, 0.1, 0.1], [0.9, nan, nan], [0.95, 0.8, nan], [0.6, 0.7, 1.0]]


def test_the_metrics_of_a_matrix() -> None:
    assert final_accuracy(BY_HAND) == pytest.approx((0.6 + 0.7 + 1.0) / 3)
    assert during_accuracy(BY_HAND) == pytest.approx((0.9 + 0.8 + 1.0) / 3)
    assert forgetting(BY_HAND) == pytest.approx(((0.95 - 0.6) + (0.8 - 0.7)) / 2)
    assert backward_transfer(BY_HAND) == pytest.approx(((0.6 - 0.9) + (0.7 - 0.8)) / 2)


def test_one_task_has_no_forgetting_and_says_why() -> None:
    assert isnan(forgetting([[0.1], [0.9]]))
    summary = summarize([[0.1], [0.9]])
    assert summary["forgetting"] is None
    assert summary["why"]["forgetting"] == "needs at least two tasks"


@given(st.integers(2, 6).flatmap(lambda n: st.lists(st.floats(0, 1), min_size=n * n, max_size=n * n)))
def test_forgetting_is_never_less_than_what_was_lost(values: list[float]) -> None:
    tasks = int(len(values) ** 0.5)
    rows = [[values[i * tasks + j] if j <= i else nan for j in range(tasks)] for i in range(tasks)]
    matrix = [[0.0] * tasks, *rows]
    assert forgetting(matrix) >= -backward_transfer(matrix) - 1e-12


def test_a_regression_has_the_means_of_its_errors_and_no_worst_value() -> None:
    matrix, mse = [[0.0, 0.0], [0.9, nan], [0.8, 0.7]], [[2.0, 3.0], [0.1, nan], [0.2, 0.4]]
    one = summarize(matrix, mse=mse)
    assert one["final_mse"] == pytest.approx(0.3)
    assert one["during_mse"] == pytest.approx(0.25)
    assert one["final_mse_per_task"] == {"task_1": 0.2, "task_2": 0.4}
    assert "final_mse" not in summarize(matrix)
    gone = unknown(one, "diverged")
    assert gone["final_mse_per_task"] == {"task_1": None, "task_2": None}
    means, spread = mean_of([one, gone], (1,))
    assert means["final_mse"] is None
    assert means["final_mse_per_task"] == one["final_mse_per_task"]
    assert "final_mse" not in spread
    means, spread = mean_of([one, {**one, "final_mse": 0.5}], ())
    assert means["final_mse"] == pytest.approx(0.4)
    assert spread["final_mse"] > 0
