"""From a file's `space` to Optuna's distributions, and from a suggestion to an experiment."""

import json
import math
import random
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hypercl.config import Distribution, Experiment, UserError
from hypercl.config.checks import completed, is_active, ordered, setting, with_tied
from hypercl.config.models import METHOD, key_of, name_in

Params = Mapping[str, Any]
"""A suggestion as Optuna knows it: key path -> number, or choice (as JSON where Optuna cannot store the choice)."""


def distributions(space: Mapping[str, Distribution]) -> dict[str, BaseDistribution]:
    """Optuna's distribution for each key path that is drawn, every one after those its conditions name."""
    return {path: _distribution(space[path]) for path in ordered(space) if space[path].equals is None}


def _distribution(one: Distribution) -> BaseDistribution:
    if one.kind == "choice":
        return CategoricalDistribution([encoded(one, value) for value in one.values])
    low, high = one.values
    if one.kind == "int":
        return IntDistribution(low, high, step=int(one.step or 1))
    if one.kind == "int_log":
        return IntDistribution(low, high, log=True)
    return FloatDistribution(low, high, log=one.kind == "log_uniform", step=one.step)


def values_of(space: Mapping[str, Distribution], params: Params) -> dict[str, Any]:
    """The values drawn, by key path."""
    return {path: json.loads(value) if _as_json(space[path]) else value for path, value in params.items()}


def settings_of(base: Experiment, space: Mapping[str, Distribution], params: Params) -> dict[str, Any]:
    """The values drawn and those that follow from them (`equals`), in the order of the space.

    What is not part of this setting (`when`), or cannot be computed, is left out.
    """
    found, _ = with_tied(base, space, values_of(space, params))
    return {key_of(path): found[path] for path in space if path in found}


def experiment_of(base: Experiment, space: Mapping[str, Distribution], params: Params) -> Experiment:
    """The experiment of a suggestion.

    Raises:
        ConfigError: the values cannot stand together, or one that follows from others cannot be computed.
    """
    return setting(base, space, values_of(space, params))


def params_of(base: Experiment, space: Mapping[str, Distribution], given: Mapping[str, Any]) -> dict[str, Any]:
    """Some values as a whole suggestion; what is left out is the experiment's own value. Nothing: as written.

    Raises:
        UserError: a value lies outside its distribution (Optuna would take it silently).
    """
    values, problems = completed(base, space, given)
    for problem in problems:
        raise UserError(f"{problem.path}: {problem.message}: {problem.value!r}")
    return {path: encoded(space[path], value) for path, value in values.items()}


def draw(space: Mapping[str, Distribution], rng: random.Random) -> dict[str, Any]:
    """A suggestion at random."""
    return suggested(space, lambda path: _draw(space[path], rng))


def suggested(space: Mapping[str, Distribution], value_of: Callable[[str], Any]) -> dict[str, Any]:
    """A suggestion, entry by entry: those whose conditions do not hold with the values so far are left out.

    Args:
        space: key path -> distribution.
        value_of: draws the value of a path, as Optuna knows it.
    """
    params: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for path in ordered(space):
        if space[path].equals is None and is_active(space, path, values):
            params[path] = value_of(path)
            values |= values_of(space, {path: params[path]})
    return params


def _draw(one: Distribution, rng: random.Random) -> Any:
    if one.kind == "choice":
        return encoded(one, rng.choice(one.values))
    low, high = one.values
    if one.kind == "log_uniform":
        return min(max(math.exp(rng.uniform(math.log(low), math.log(high))), low), high)
    if one.kind == "int_log":
        return min(max(round(math.exp(rng.uniform(math.log(low - 0.5), math.log(high + 0.5)))), low), high)
    if one.step or one.kind == "int":
        step = one.step or 1
        value = low + step * rng.randint(0, round((high - low) / step))
        return int(value) if one.kind == "int" else value
    return rng.uniform(low, high)


def listed(space: Mapping[str, Distribution]) -> dict[str, list[Any]]:
    """Every value of each distribution, for a grid.

    Raises:
        UserError: a range without a step has no list.
    """
    return {path: _listed(path, space[path]) for path in ordered(space) if space[path].equals is None}


def _listed(path: str, one: Distribution) -> list[Any]:
    if one.kind == "choice":
        return [encoded(one, value) for value in one.values]
    low, high = one.values
    if one.kind == "int" or one.step:
        step = one.step or 1
        count = round((high - low) / step) + 1
        values = [float(f"{low + step * index:.12g}") for index in range(count)]  # 0.3, not 0.30000000000000004
        return [int(value) for value in values] if one.kind == "int" else values
    raise UserError(f"space.{path}: the grid sampler needs values that can be listed: use choice, int, or give a step")


def method_of(params: Params) -> str | None:
    """The method of a suggestion, in a space that compares methods, by name or as whole sections; else None."""
    whole = params.get("method")
    return params.get(METHOD) or (name_in(json.loads(whole)) if isinstance(whole, str) else None)


def _as_json(one: Distribution) -> bool:
    """Whether choices are stored as JSON: lists, mappings, and values that Python holds equal, such as 1 and True."""
    if one.kind != "choice":
        return False
    plain = all(value is None or isinstance(value, bool | int | float | str) for value in one.values)
    return not plain or len(set(one.values)) < len(one.values)


def encoded(one: Distribution, value: Any) -> Any:
    """A value as Optuna stores it."""
    return json.dumps(value) if _as_json(one) else value
