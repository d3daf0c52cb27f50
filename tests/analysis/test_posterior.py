"""Expected values of settings from noisy ones."""

import numpy as np
import pytest

from hypercl.analysis import posterior
from hypercl.analysis.posterior import posterior_of


def test_one_lucky_value_is_drawn_towards_its_neighbours() -> None:
    points = np.linspace(0, 1, 21)[:, None]
    values = 0.1 * points[:, 0] + 0.01 * (-1.0) ** np.arange(21)
    values[8] += 0.1
    found = posterior_of(points, values)
    assert int(np.argmax(values)) == 8
    assert int(np.argmax(found.mean)) > 15


def test_values_without_noise_keep_their_order() -> None:
    points = np.random.default_rng(0).random((30, 2))
    values = 1 - ((points - 0.4) ** 2).sum(axis=1)
    assert int(np.argmax(posterior_of(points, values).mean)) == int(np.argmax(values))


def test_two_settings_keep_their_order_and_one_its_value() -> None:
    assert np.argmax(posterior_of(np.array([[0.1], [0.9]]), [0.3, 0.4]).mean) == 1
    assert posterior_of(np.array([[0.5]]), [0.3]).mean[0] == pytest.approx(0.3)


def test_its_intervals_hold_the_true_means_about_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(5), []
    for _ in range(40):
        points = rng.random((25, 3))
        true = 0.6 + 0.1 * np.sin(3 * points[:, 0]) - 0.1 * points[:, 1]
        found = posterior_of(points, true + rng.normal(0, 0.03, 25))
        held.append(np.abs(found.mean - true) < 1.96 * found.sd)
    assert 0.85 < np.mean(held) < 0.995


def test_many_values_are_smoothed_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    points = rng.random((60, 2))
    values = points[:, 0] + rng.normal(0, 0.1, 60)
    averaged = posterior_of(points, values)
    monkeypatch.setattr(posterior, "MOST", 30)
    assert np.abs(posterior_of(points, values).mean - averaged.mean).max() < 0.08


def test_more_seeds_are_believed_more() -> None:
    points, values = np.linspace(0, 1, 12)[:, None], np.zeros(12)
    values[4] = 0.3
    few = posterior_of(points, values, np.ones(12)).mean[4]
    assert posterior_of(points, values, np.where(np.arange(12) == 4, 20, 1)).mean[4] > few
