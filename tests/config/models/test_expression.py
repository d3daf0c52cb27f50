"""Expressions of `equals`."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypercl.config.models.expression import Expression, ExpressionError

VALUES = {"hypernet.task_embedding": 8, "training.optimizer.lr": 0.01, "target.hidden": [10, 10], "method.name": "hnet"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("hypernet.task_embedding", 8),
        ("2 * hypernet.task_embedding + 1", 17),
        ("-hypernet.task_embedding + 3 ** 2", 1),
        ("hypernet.task_embedding // 3 % 2", 0),
        ("round(hypernet.task_embedding / 3)", 3),
        ("round(100 * training.optimizer.lr / 3, 2)", 0.33),
        ("int(min(hypernet.task_embedding, 2.5))", 2),
        ("max(1, hypernet.task_embedding, 3)", 8),
        ("sqrt(2 * hypernet.task_embedding)", 4.0),
        ("log(exp(training.optimizer.lr))", 0.01),
        ("[hypernet.task_embedding, 2 * hypernet.task_embedding]", [8, 16]),
        ("[]", []),
        ("target.hidden", [10, 10]),
        ("method.name", "hnet"),
    ],
)
def test_an_expression_has_the_value_of_its_arithmetic(text: str, value: Any) -> None:
    found = Expression(text).value(VALUES)
    assert found == (pytest.approx(value) if isinstance(value, float) else value)
    assert isinstance(found, type(value))


def test_the_names_are_the_key_paths_that_it_reads() -> None:
    names = Expression("[hypernet.task_embedding, max(training.optimizer.lr, 2 * hypernet.task_embedding)]").names
    assert names == ("hypernet.task_embedding", "training.optimizer.lr")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "__import__('os').system('true')",
        "open(1)",
        "'text'",
        "True",
        "a if b else c",
        "a < b",
        "a and b",
        "a[0]",
        "(a, b)",
        "{1: 2}",
        "lambda: 1",
        "[x for x in a]",
        "f(*a)",
        "round(number=1)",
        "min()",
        "a.b()",
        "(1).real",
        "a := 1",
        "~a",
        "a @ b",
        "1j",
        "1 +" * 100 + "1",
    ],
)
def test_anything_but_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hypernet.task_embedding / 0", "division by zero"),
        ("log(0)", "math domain|expected a positive"),
        ("9 ** 99", "power"),
        ("((9 ** 64) ** 64) ** 64", "finite"),
        ("exp(10000)", "range"),
        ("(-1) ** 0.5", "finite"),
        ("method.name * 2", "'hnet' is not a number"),
        ("target.hidden * 2", "is not a number"),
        ("hypernet.chunk_size", "hypernet.chunk_size has no value"),
    ],
)
def test_what_has_no_finite_value_is_told_and_takes_no_time(text: str, words: str) -> None:
    with pytest.raises(ExpressionError, match=words):
        Expression(text).value(VALUES)


@pytest.mark.parametrize(
    ("text", "words"),
    [("max(a)", "takes two or more"), ("int(a, 2)", "takes one number"), ("round()", "takes a number, and")],
)
def test_a_function_of_too_few_or_too_many_numbers_says_what_it_takes(text: str, words: str) -> None:
    with pytest.raises(ExpressionError, match=words):
        Expression(text)


@given(
    st.recursive(
        st.one_of(st.integers(-9, 9).map(str), st.just("a.b"), st.just("sqrt(a.b)")),
        lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        max_leaves=6,
    )
)
def test_whatever_the_arithmetic_it_ends_in_a_finite_number_or_is_told(text: str) -> None:
    try:
        value = Expression(text).value({"a.b": 3})
    except ExpressionError:
        return
    assert math.isfinite(value)
