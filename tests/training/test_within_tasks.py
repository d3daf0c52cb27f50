"""Metrics of accuracies measured while tasks are learned, against numbers worked out by hand."""

from math import isnan, nan

import pytest

from hypercl.training.within_tasks import Point, within_tasks

POINTS = [
    Point(0, 0, [0.1]),
    Point(0, 10, [0.5]),
    Point(0, 20, [0.9]),
    Point(1, 0, [0.9, 0.3]),
    Point(1, 10, [0.4, 0.7]),  # the first task dips ...
    Point(1, 20, [0.8, 0.9]),  # ... and recovers, but for 0.1
]
MATRIX = [[0.1, 0.2], [0.9, nan], [0.8, 0.9]]


def test_a_dip_that_is_recovered_is_the_stability_gap_and_not_forgetting():
    assert within_tasks(POINTS, MATRIX)["stability_gap"] == pytest.approx(0.8 - 0.4)
    lasting = [*POINTS[:4], Point(1, 10, [0.6, 0.7]), Point(1, 20, [0.4, 0.9])]
    assert within_tasks(lasting, MATRIX)["stability_gap"] == 0


def test_the_worst_case_takes_the_lowest_accuracy_of_earlier_tasks_and_the_last_of_the_newest():
    assert within_tasks(POINTS, MATRIX)["worst_case_accuracy"] == pytest.approx(0.5 * 0.9 + 0.5 * 0.4)


def test_the_anytime_accuracy_is_a_mean_over_tasks_met_at_the_points_after_a_step():
    wanted = (0.5 + 0.9 + (0.4 + 0.7) / 2 + (0.8 + 0.9) / 2) / 4
    assert within_tasks(POINTS, MATRIX)["average_anytime_accuracy"] == pytest.approx(wanted)


def test_the_learning_curve_area_is_that_under_the_new_tasks_accuracy():
    areas = [(0.3 + 0.7) / 2, (0.5 + 0.8) / 2]
    assert within_tasks(POINTS, MATRIX)["learning_curve_area"] == pytest.approx(sum(areas) / 2)
    uneven = [Point(0, 0, [0.0]), Point(0, 1, [1.0]), Point(0, 10, [1.0])]
    assert within_tasks(uneven, [[0.0], [1.0]])["learning_curve_area"] == pytest.approx(0.95)


def test_zero_shot_transfer_compares_a_task_before_its_first_step_with_before_any_training():
    assert within_tasks(POINTS, MATRIX)["zero_shot_transfer"] == pytest.approx(0.3 - 0.2)


def test_a_stream_of_one_task_has_no_earlier_ones():
    found = within_tasks(POINTS[:3], [[0.1], [0.9]])
    unknown = {"stability_gap", "zero_shot_transfer"}
    assert found["worst_case_accuracy"] == 0.9
    assert {key for key, value in found.items() if isnan(value)} == unknown
