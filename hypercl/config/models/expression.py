"""Expressions of `equals`: numbers, key paths, arithmetic and a few functions. Read as a tree, never run as code."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

Value = Callable[[Mapping[str, Any]], Any]

FUNCTIONS: dict[str, tuple[Callable[..., Any], range, str]] = {
    "min": (min, range(2, 100), "two or more numbers"),
    "max": (max, range(2, 100), "two or more numbers"),
    "round": (round, range(1, 3), "a number, and how many decimals if not none"),
    "int": (int, range(1, 2), "one number"),
    "sqrt": (math.sqrt, range(1, 2), "one number"),
    "log": (math.log, range(1, 3), "a number, and the base if not e"),
    "exp": (math.exp, range(1, 2), "one number"),
}
"""Name -> function, how many numbers it takes, and that in words."""
LONGEST, LARGEST, HIGHEST_POWER = 200, 1e300, 64


class ExpressionError(ValueError):
    """The text is no expression, or it has no value for these names."""


def _power(base: float, exponent: float) -> float:
    if abs(exponent) > HIGHEST_POWER:
        raise ExpressionError(f"a power above {HIGHEST_POWER}")
    return base**exponent


_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: left // right,
    ast.Mod: lambda left, right: left % right,
    ast.Pow: _power,
}


class Expression:
    """One expression, such as `2 * hypernet.chunk_embedding + 1` or `[target.width, 2 * target.width]`.

    Raises:
        ExpressionError: the text holds anything but numbers, key paths, + - * / // % **, brackets, and the functions
            min, max, round, int, sqrt, log, exp.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ExpressionError(f"an expression has at most {LONGEST} characters")
        self._names: dict[str, None] = {}
        try:
            self._value = self._read(ast.parse(text.strip(), mode="eval").body)
        except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
            why = error if isinstance(error, ExpressionError) else "check its brackets and operators"
            raise ExpressionError(f"{text!r} is not an expression: {why}") from None

    @property
    def names(self) -> tuple[str, ...]:
        """The key paths that it reads."""
        return tuple(self._names)

    def value(self, values: Mapping[str, Any]) -> Any:
        """Its value for the values of its names.

        Raises:
            ExpressionError: a name has no value or no number, or the result is no finite number.
        """
        try:
            return self._value(values)
        except ExpressionError:
            raise
        except (ArithmeticError, ValueError, TypeError) as error:
            raise ExpressionError(f"{error}") from None

    def _read(self, node: ast.AST) -> Value:
        match node:
            case ast.Constant(value=bool() | str() | bytes() | complex() | None):
                raise ExpressionError("it may hold numbers and key paths only")
            case ast.Constant(value=int() | float() as number):
                return _applied(lambda: number, [])
            case ast.Name() | ast.Attribute():
                return self._name(node)
            case ast.List(elts=elements):
                parts = [self._read(element) for element in elements]
                return lambda values: [part(values) for part in parts]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _applied(operator.neg, [self._read(operand)])
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
                return _applied(_OPERATORS[type(sign)], [self._read(left), self._read(right)])
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
                function, counts, taken = FUNCTIONS[name]
                if len(arguments) not in counts:
                    raise ExpressionError(f"{name}(...) takes {taken}")
                return _applied(function, [self._read(argument) for argument in arguments])
            case ast.Call(func=ast.Name(id=name)):
                raise ExpressionError(f"unknown function {name}(...); known: {', '.join(FUNCTIONS)}")
            case _:
                raise ExpressionError(f"{ast.unparse(node)} is not allowed in an expression")

    def _name(self, node: ast.AST) -> Value:
        path = ast.unparse(node)
        if not all(part.isidentifier() for part in path.split(".")):
            raise ExpressionError(f"{path} is not a key path")
        self._names[path] = None
        return lambda values: _known(values, path)


@lru_cache(maxsize=1024)
def expression(text: str) -> Expression:
    """The expression of a text, read once."""
    return Expression(text)


def _known(values: Mapping[str, Any], path: str) -> Any:
    if path not in values:
        raise ExpressionError(f"{path} has no value here")
    return values[path]


def _applied(function: Callable[..., Any], parts: list[Value]) -> Value:
    def value(values: Mapping[str, Any]) -> Any:
        numbers = [part(values) for part in parts]
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise ExpressionError(f"{number!r} is not a number")
        return _finite(function(*numbers))

    return value


def _finite(number: Any) -> Any:
    if isinstance(number, complex) or not abs(number) <= LARGEST:
        raise ExpressionError(f"{number if isinstance(number, complex) else 'the result'} is not a finite real number")
    return number
