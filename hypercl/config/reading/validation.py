"""From plain data to a model, and from pydantic's errors to problems in a user's words."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hypercl.config.models import Section, is_mapping, kind_of, kinds_of, models_in, switched
from hypercl.config.problems import MOST_PROBLEMS, Location, Problem, closest, did_you_mean, located
from hypercl.config.reading.keys import entries

_Model = TypeVar("_Model", bound=Section)


def validated(
    model: type[_Model], data: Mapping[str, Any], locations: Mapping[str, Location]
) -> tuple[_Model | None, list[Problem]]:
    """The model of plain data, or None and every problem; `locations` are where the key paths were written."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        errors = [details for details in error.errors(include_url=False) if not _other_branch(details)]
        problems = _distinct([_problem(model, details) for details in errors[:MOST_PROBLEMS]])
        if len(errors) > MOST_PROBLEMS:
            problems.append(Problem("", f"{len(errors) - MOST_PROBLEMS:,} more problems are not shown"))
        return None, [located(problem, locations) for problem in problems]


def _other_branch(details: ErrorDetails) -> bool:
    """Whether an error is that of a word or a collection in the branch which the value was not written for."""
    branch = str(details["loc"][-1]) if details["loc"] else ""
    given = details["input"]
    if isinstance(given, dict):
        return branch.startswith(("literal[", "tuple["))
    if isinstance(given, list | tuple):
        return branch.startswith("literal[") or _is_model(branch)
    return branch.startswith("tuple[") or _is_model(branch)


def _distinct(problems: list[Problem]) -> list[Problem]:
    unique: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        unique.setdefault((problem.path, problem.message), problem)
    return list(unique.values())


def _problem(model: type[Section], details: ErrorDetails) -> Problem:
    keys, owner = _follow(model, details["loc"], unknown=details["type"] == "extra_forbidden")
    path = ".".join(keys)
    kind, context = details["type"], details.get("ctx", {})
    value = details["input"]
    if kind == "extra_forbidden":
        names = sorted(_names(owner))
        fix = did_you_mean(keys[-1], names) or _at_the_top(model, keys) or _elsewhere(model, keys) or "remove the key"
        close = closest(keys[-1], names)
        meant = ".".join([*keys[:-1], close]) if close else ""
        return Problem(path, "unknown key", value, ", ".join(names), fix, meant=meant)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = [kind_of(found) for found in kinds_of(keys[-1])]
        given = value.get("name") if is_mapping(value) else value
        message = "the section has no name" if given is None else "unknown kind"
        fix = did_you_mean(given, tags) or f"{keys[-1]}: {{name: {tags[0]}}}" if tags else ""
        named = is_mapping(value) and given is not None
        return Problem(f"{path}.name" if named else path, message, given, ", ".join(tags), fix)
    if kind == "missing":
        example = "tasks: {name: split_digits}" if keys[-1] == "tasks" else f"{keys[-1]}: ..."
        return Problem(path, "missing key", fix=f"add {example}")
    expected, about = str(context.get("expected", "")), _about(owner, keys[-1] if keys else "")
    if kind == "literal_error":
        field = _field(owner, keys[-1]) if owner else None
        on = ["true"] if field is not None and switched in field.metadata else []
        choices = re.findall(r"'([^']*)'", expected) + on + (["false"] if "False" in expected else [])
        allowed = ", ".join(choices) or expected
        return Problem(path, "unknown value", value, allowed, did_you_mean(value, choices), about=about)
    return Problem(path, _sentence(details), value, expected, about=about)


def _at_the_top(model: type[Section], keys: list[str]) -> str:
    """The fix for a section that was written one level too deep."""
    return f"write {keys[-1]} at the top of the file, not in {keys[0]}" if keys[-1] in _names(model) else ""


def _elsewhere(model: type[Section], keys: list[str]) -> str:
    """The fix for a key that is there in other sections, by its full paths; '' where another kind of its own has it."""
    known = dict.fromkeys(entry.path for entry in entries([model]))
    full = [path for path in known if path.endswith(f".{keys[-1]}")]
    return f"write it as {' or '.join(full)}" if full and ".".join(keys) not in known else ""


def _about(owner: type[Section] | None, key: str) -> str:
    """What a key is for, and its default."""
    field = _field(owner, key) if owner else None
    if field is None or not field.description:
        return ""
    plain = isinstance(field.default, str | int | float | tuple)
    return " ".join(field.description.split()) + (f" Default: {field.default}." if plain else "")


def _follow(
    model: type[Section], loc: tuple[int | str, ...], unknown: bool = False
) -> tuple[list[str], type[Section] | None]:
    """The key path a person wrote (pydantic adds the kind's tag to it), and the model that owns its last key.

    Args:
        model: the whole file's.
        loc: pydantic's place of an error.
        unknown: the last part is an unknown key, whatever its name.
    """
    keys: list[str] = []
    owner: type[Section] | None = model
    pending: list[type[Section]] = []
    for number, part in enumerate(loc, start=1):
        match = next((found for found in pending if "name" in found.model_fields and kind_of(found) == part), None)
        if match is not None:
            owner, pending = match, []
            continue
        written = unknown and number == len(loc)
        if not written and _is_branch(str(part)) and str(part) not in _names(owner):
            continue
        if len(pending) == 1:
            owner, pending = pending[0], []
        keys.append(str(part))
        field = _field(owner, str(part)) if owner else None
        pending = models_in(field.annotation) if field is not None else pending
    return keys, owner


def _is_branch(part: str) -> bool:
    """Whether a part of an error's place names a branch of a union rather than a key."""
    unions = ("function-", "literal[", "tuple[", "dict[", "constrained-", "nullable")
    return part.startswith(unions) or part in ("int", "float") or _is_model(part)


def _is_model(part: str) -> bool:
    """Whether it is the name of a class: keys begin with a small letter."""
    return part[:1].isupper()


def _field(owner: type[Section], key: str) -> Any:
    return next((f for name, f in owner.model_fields.items() if key in (name, f.alias)), None)


def _names(owner: type[Section] | None) -> list[str]:
    return [field.alias or name for name, field in owner.model_fields.items()] if owner else []


_PLAIN = {
    r"^Value error, ": "",
    r"^Input should|^String should": "this should",
    r"a valid (dictionary|mapping)( or instance of \w+)?": "a mapping",
    r"a valid (tuple|list)": "a list",
    r"a valid string": "text",
}
"""Words of pydantic's, and what a person who writes YAML calls it."""


def _sentence(details: ErrorDetails) -> str:
    message = details["msg"]
    for pattern, plain in _PLAIN.items():
        message = re.sub(pattern, plain, message)
    return message[:1].lower() + message[1:]
