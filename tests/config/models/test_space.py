"""Distributions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hypercl.config import Distribution


def distribution(**content: object) -> Distribution:
    return Distribution.model_validate(content)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"uniform": [1, 0]},
        {"uniform": [1, 1]},
        {"log_uniform": [0, 1]},
        {"int_log": [0, 4]},
        {"choice": []},
        {"choice": [1, 1]},
        {"int": [1, 4], "step": 2},
        {"int": [1, 4], "step": 1.5},
        {"log_uniform": [1, 4], "step": 1},
        {"uniform": [0, 1], "choice": [1]},
        {"int": [1.5, 4]},
        {"equals": "2 *"},
        {"equals": "method.beta", "step": 1},
        {"equals": "method.beta", "choice": [1]},
        {"uniform": [float("nan"), 1]},
    ],
)
def test_what_cannot_be_drawn_from_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        distribution(**content)


@pytest.mark.parametrize(("kind", "plain"), [("log_uniform", "uniform"), ("int_log", "int")])
def test_a_logarithmic_range_takes_no_step_and_the_way_out_is_named(kind: str, plain: str) -> None:
    with pytest.raises(ValidationError, match=f"{kind} takes no step: use {plain} with a step, or a choice"):
        distribution(**{kind: [1, 9], "step": 2})


def test_a_choice_tells_true_from_one() -> None:
    assert distribution(choice=[True, False]).contains(True)
    assert not distribution(choice=[True, False]).contains(1)


@given(st.integers(-50, 50), st.integers(1, 9), st.integers(1, 9), st.integers(-100, 100))
def test_a_stepped_range_contains_its_steps_only(low: int, step: int, count: int, value: int) -> None:
    stepped = distribution(int=[low, low + step * count], step=step)
    assert stepped.contains(value) == (value in range(low, low + step * count + 1, step))


@given(st.floats(1e-6, 1e3), st.floats(1.001, 100), st.floats(1e-9, 1e6))
def test_a_range_contains_what_lies_between_its_ends(low: float, factor: float, value: float) -> None:
    assert distribution(log_uniform=[low, low * factor]).contains(value) == (low <= value <= low * factor)
