"""A JSON Schema and a value in words, and a distribution that could stand in a space."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hypercl.config.reading import value_in_words

_TYPES = {"bool": "boolean", "int": "integer", "float": "number", "str": "string", "list": "array"}
_ANY: Mapping[str, Any] = {}
_PLURAL = {"a whole number": "whole numbers", "a number": "numbers", "text": "texts", "a mapping": "mappings"}


def type_in_words(schema: Mapping[str, Any]) -> str:
    """What may stand at a place: 'a whole number, 1 or more', 'one of relu, elu', 'a list of numbers, or null'."""
    if "enum" in schema:
        return "one of " + ", ".join("false" if value is False else str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return ", or ".join(type_in_words(each) for each in schema["anyOf"])
    if str(schema.get("$ref", "")).endswith("/Imported"):
        return "{import: 'module:name', kwargs: {...}}"
    if "$ref" in schema or "oneOf" in schema:
        return "a section"
    kind = schema.get("type")
    if kind in ("integer", "number"):
        bounds = _bounds(schema)
        return ("a whole number" if kind == "integer" else "a number") + (f", {bounds}" if bounds else "")
    if kind == "array":
        return _array(schema)
    plain = {"boolean": "true or false", "null": "null", "object": "a mapping", "string": "text"}
    return plain.get(str(kind), "anything")


def distribution_around(value: Any, nullable: bool, schemas: Sequence[Mapping[str, Any]]) -> str:
    """A distribution around a value, as an example for a space; '' where there is no sensible one.

    Args:
        value: what may stand there; the default where there is one.
        nullable: whether the default is null, which the distribution then holds too.
        schemas: the branches of what may stand there.
    """
    if value is None:
        return ""
    kind = _TYPES.get(type(value).__name__)
    schema = next((each for each in schemas if each.get("type") in (kind, kind == "integer" and "number")), _ANY)
    if nullable:
        return f"{{choice: [null, {value_in_words(value)}]}}"
    if kind == "boolean":
        return "{choice: [true, false]}"
    if "enum" in schema:
        return f"{{choice: {value_in_words(schema['enum'])}}}"
    if kind in ("integer", "number") and schema:
        return _range(value, schema)
    if kind == "array" and value and all(isinstance(each, int) for each in value):
        other = schema.get("examples", [[2 * each for each in value]])[0]
        return f"{{choice: [{value_in_words(value)}, {value_in_words(other)}]}}"
    return ""


def _range(value: float, schema: Mapping[str, Any]) -> str:
    whole = schema["type"] == "integer"
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum", math.inf)
    open_above = high is None and below == math.inf
    if value > 0 and whole and open_above:
        return f"{{int_log: [{max(1, low or 1, round(value / 4))}, {4 * value}]}}"
    if value > 0 and not whole and (open_above or 10 * value < 0.5):
        return f"{{log_uniform: [{value_in_words(value / 10)}, {value_in_words(value * 10)}]}}"
    if open_above:
        return "{int: [0, 4]}" if whole else "{choice: [0, 0.001, 0.01]}"
    least = value / 2 if above is not None else low
    most = high if high is not None else max(value, 0.9 * below)
    return f"{{{'int' if whole else 'uniform'}: {value_in_words([least, most])}}}"


def _array(schema: Mapping[str, Any]) -> str:
    inner, bounds = type_in_words(schema.get("items", {})), ""
    if inner.startswith(tuple(_PLURAL)):
        inner, _, bounds = inner.partition(", ")
    many = _PLURAL.get(inner, "values" if inner == "anything" else inner)
    count, exact = schema.get("minItems"), schema.get("minItems") == schema.get("maxItems")
    number = "" if count is None else f"{count} " if exact else f"{count} or more "
    return f"a list of {number}{many}" + (f", each {bounds}" if bounds else "")


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    lower = f"{low:g} or more" if low is not None else f"above {above:g}" if above is not None else ""
    upper = f"at most {high:g}" if high is not None else f"below {below:g}" if below is not None else ""
    if low is not None and below is not None:
        return f"from {low:g} to below {below:g}"
    return " and ".join(each for each in (lower, upper) if each)
