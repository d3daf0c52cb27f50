"""What other trials would have found, and whether rungs foretell the end."""

import random

import pytest

from hypercl.analysis.how_sure import another_sweep, foretold


def test_a_winner_far_above_the_others_is_found_whenever_it_is_drawn() -> None:
    found = another_sweep([0.9, 0.5, 0.5, 0.5], [1e-6] * 4, trials=10, winner=0, always=None)
    assert found.same == pytest.approx(1 - 0.9**10, abs=0.08)
    assert found.interval == (0.5, 0.9)
    assert another_sweep([0.9, 0.5, 0.5, 0.5], [1e-6] * 4, trials=10, winner=0, always=0).same == 1.0


def test_where_values_are_noise_the_winner_is_any_of_them() -> None:
    found = another_sweep([0.5] * 20, [0.1] * 20, trials=20, winner=3, always=None)
    assert found.same < 0.15
    assert found.interval == (0.5, 0.5)


def test_the_lower_the_better_turns_it_round() -> None:
    up = another_sweep([0.9, 0.5, 0.1], [0.01] * 3, trials=3, winner=0, always=1)
    down = another_sweep([-0.9, -0.5, -0.1], [0.01] * 3, trials=3, winner=0, always=1, maximize=False)
    assert up.same == down.same
    assert down.interval == (-0.9, -0.5)


def test_the_order_at_a_rung_is_compared_with_that_at_the_end() -> None:
    late = [0.1 * place for place in range(10)]
    same, turned = foretold(late, late), foretold(late[::-1], late)
    assert same is not None
    assert turned is not None
    assert (same.tau, turned.tau) == (pytest.approx(1), pytest.approx(-1))
    assert same.p < 0.001
    rng = random.Random(1)
    chance = [foretold([rng.random() for _ in late], late) for _ in range(200)]
    assert sum(one is not None and one.p <= 0.05 for one in chance) < 20


def test_of_few_trials_or_equal_values_nothing_is_said() -> None:
    assert foretold([1, 2, 3], [1, 2, 3]) is None
    assert foretold([0.5] * 8, list(range(8))) is None
