"""Which entries of a space are part of a setting (`when`), and what follows from the others (`equals`)."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from hypercl.config.models import (
    METHOD,
    Distribution,
    Experiment,
    ExpressionError,
    expression,
    is_list,
    is_mapping,
    key_of,
)
from hypercl.config.problems import ConfigError, Problem, did_you_mean
from hypercl.config.reading import assign, lookup, value_in_words

Space = Mapping[str, Distribution]
Values = Mapping[str, Any]
"""Entry of the space -> value; its name is a key path of the experiment, or one with a label (`key_of`)."""

MOST_CONTEXTS = 64


def allowed(space: Space, path: str) -> dict[str, list[Any]]:
    """The values of other paths with which an entry is part of a setting; a list that is itself a choice is one."""
    return {
        parent: [given] if not isinstance(given, list) or space[parent].contains(given) else given
        for parent, given in space[path].when.items()
    }


def is_active(space: Space, path: str, values: Values) -> bool:
    """Whether an entry is part of a setting: all its conditions hold, and those of the entries it hangs on."""
    return all(
        parent in values and any(same(values[parent], value) for value in possible)
        for parent, possible in allowed(space, path).items()
    )


def by_key(values: Values) -> dict[str, Any]:
    """Values of entries by the key paths that they vary."""
    return {key_of(name): value for name, value in values.items()}


def same(one: Any, other: Any) -> bool:
    """Equality that tells true from 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def needs(space: Space, path: str) -> list[str]:
    """The entries of the space that must be known before this one."""
    one = space[path]
    names = expression(one.equals).names if one.equals is not None else ()
    return [other for other in (*one.when, *names) if other in space]


def ordered(space: Space) -> list[str]:
    """Every path after those it needs, else as written; paths in a circle are left out."""
    found: dict[str, None] = {}
    while True:
        ready = (path for path in space if path not in found and all(need in found for need in needs(space, path)))
        path = next(ready, None)
        if path is None:
            return list(found)
        found[path] = None


def with_tied(base: Experiment, space: Space, values: Values) -> tuple[dict[str, Any], list[Problem]]:
    """A suggestion's values and those that follow from them.

    A name in an expression stands for the suggestion's value, and where the suggestion has none for the experiment's
    own.

    Returns:
        the values, without those that cannot be computed, and a problem for each of these.
    """
    found = dict(values)
    problems: list[Problem] = []
    for path in ordered(space):
        text = space[path].equals
        if text is None or not is_active(space, path, found):
            continue
        read = expression(text)
        try:
            found[path] = read.value({name: value for name in read.names for value in _known(base, found, name)})
        except ExpressionError as error:
            problems.append(Problem(path, f"equals {text}: {error}"))
    return found, problems


def _known(base: Experiment, values: Values, name: str) -> list[Any]:
    if name in values:
        return [values[name]]
    try:
        return [lookup(base, key_of(name))]
    except KeyError:
        return []


def setting(base: Experiment, space: Space, values: Values) -> Experiment:
    """The experiment of a suggestion.

    Raises:
        ConfigError: the values cannot stand together, or a tied one cannot be computed.
    """
    found, problems = with_tied(base, space, values)
    if problems:
        raise ConfigError("suggestion", problems)
    return assign(base, by_key(found), "suggestion")


def completed(base: Experiment, space: Space, given: Values) -> tuple[dict[str, Any], list[Problem]]:
    """A whole suggestion from some of its values: what is left out is the experiment's own value.

    Returns:
        the values of all entries that are drawn, and what is wrong, by path of the space.
    """
    found: dict[str, Any] = {}
    keys = {key_of(name) for name in space}
    problems = [
        Problem(path, "the space has no such key", value, ", ".join(space), did_you_mean(path, list(space)))
        for path, value in given.items()
        if path not in space and path not in keys
    ]
    whole = given
    for path in ordered(space):
        one, key = space[path], key_of(path)
        given = {**whole, path: whole[key]} if key != path and key in whole and is_active(space, path, found) else whole
        if one.equals is not None:
            if path in given:
                problems.append(Problem(path, f"its value follows from {one.equals}", given[path], fix="leave it out"))
        elif not is_active(space, path, found):
            if path in given:
                words = conditions_in_words(one)
                problems.append(Problem(path, f"it is part of a setting only when {words}", given[path]))
        elif path in given:
            found[path] = drawn(one, given[path])
            if not one.contains(given[path]):
                problems.append(Problem(path, "the value lies outside of the space", given[path], span(one)))
        else:
            own = _choice_of(base, one, key, _own(base, by_key(found), key))
            found[path] = drawn(one, own)
            if not one.contains(own):
                problems.append(Problem(path, "the experiment's own value lies outside of the space", own, span(one)))
    left = [key for key in whole if key not in space and key in keys and key not in by_key(found)]
    problems += [Problem(key, "no entry for it is part of this setting", whole[key]) for key in left]
    return found, problems


def _choice_of(base: Experiment, one: Distribution, path: str, own: Any) -> Any:
    """The choice that says what the experiment's own section, or list of sections, says, with its defaults left out."""
    if _has_sections(own) and one.kind == "choice":
        for choice in one.values:
            with suppress(ConfigError):
                if _has_sections(choice) and lookup(assign(base, {path: choice}), path) == own:
                    return choice
    return own


def _has_sections(value: Any) -> bool:
    return is_mapping(value) or (is_list(value) and any(map(is_mapping, value)))


def drawn(one: Distribution, value: Any) -> Any:
    """A value as the distribution would give it: 8 where the file says 8.0, the choice itself where it is equal."""
    if not one.contains(value):
        return value
    if one.kind == "choice":
        return next(choice for choice in one.values if same(choice, value))
    return int(value) if one.kind in ("int", "int_log") else float(value)


def _own(base: Experiment, values: Values, path: str) -> Any:
    """The experiment's own value; under another kind of its section, or another method, that one's default."""
    method = {METHOD: values[METHOD]} if values.get(METHOD, base.method.name) != base.method.name else {}
    for experiment in (lambda: assign(base, method) if method else base, lambda: assign(base, values)):
        try:
            return lookup(experiment(), path)
        except (KeyError, ConfigError):
            continue
    return None


def contexts(space: Space, path: str, also: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The values of other entries under which an entry is part of a setting, at most 64 combinations.

    Args:
        space: without circles.
        path: the entry.
        also: choices whose every value is tried, too.
    """
    wanted = allowed(space, path)
    wanted |= {other: list(space[other].values) for other in also if other not in wanted}
    return list(islice(_contexts(space, list(wanted.items()), {}), MOST_CONTEXTS))


def _contexts(space: Space, wanted: list[tuple[str, list[Any]]], fixed: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not wanted:
        yield fixed
        return
    (parent, values), *rest = wanted
    for value in values:
        if parent in fixed and not same(fixed[parent], value):
            continue
        yield from _contexts(space, [*allowed(space, parent).items(), *rest], fixed | {parent: value})


def conditions_in_words(one: Distribution) -> str:
    """'hypernet.name is chunked and method.name is hnet or ewc'."""
    return " and ".join(
        f"{parent} is {' or '.join(map(value_in_words, given)) if is_list(given) else value_in_words(given)}"
        for parent, given in one.when.items()
    )


def span(one: Distribution) -> str:
    """What may be drawn, in words."""
    if one.kind == "choice":
        return ", ".join(map(value_in_words, one.values))
    low, high = one.values
    return f"{low:g} to {high:g}" + (f" in steps of {one.step:g}" if one.step else "")
