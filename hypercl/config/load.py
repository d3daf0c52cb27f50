"""From a YAML file and `--set` overrides to a validated model; every mistake at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hypercl.config.experiment import Experiment
from hypercl.config.kinds import kind_of
from hypercl.config.problems import ConfigError, Problem, did_you_mean
from hypercl.config.section import Section
from hypercl.config.sweep import SweepFile
from hypercl.config.yaml_text import dump, parse, value_of

_Model = TypeVar("_Model", bound=Section)

SECTIONS = tuple(Experiment.model_fields)


def load(file: str | Path, overrides: Sequence[str] = ()) -> SweepFile:
    """Reads and validates a file.

    Args:
        file: path of a YAML file in the format of a sweep; `experiment` alone is enough for a run.
        overrides: `path=value` pairs; a path may leave out the leading `experiment`.

    Raises:
        ConfigError: with every mistake of the file and of the overrides.
    """
    return loads(text_of(file), str(file), overrides)


def text_of(file: str | Path) -> str:
    """The text of a file.

    Raises:
        ConfigError: it is not there or cannot be read.
    """
    path = Path(file)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        beside = [other.name for other in sorted(path.parent.glob("*.y*ml"))] if path.parent.is_dir() else []
        fix = did_you_mean(path.name, beside)
        raise ConfigError(str(file), [Problem("", "there is no such file", fix=fix)]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), [Problem("", f"the file cannot be read: {error}")]) from None


def loads(text: str, source: str, overrides: Sequence[str] = ()) -> SweepFile:
    """As `load`, from a text; `source` names it in messages."""
    model, problems, _ = read(text, source, overrides)
    if model is None or problems:
        raise ConfigError(source, problems)
    return model


def read(
    text: str, source: str, overrides: Sequence[str] = ()
) -> tuple[SweepFile | None, list[Problem], SweepFile | None]:
    """As `loads`, without raising for what the sections hold.

    Returns:
        The file's model, or None; its problems; and the model of what is left without the keys that have problems, so
        that more can be checked before all is told at once.

    Raises:
        ConfigError: the text is no YAML mapping.
    """
    data, lines = parse(text, source)
    if not isinstance(data, dict):
        fix = "start with\n             experiment:\n               tasks: {name: split_digits}"
        problem = Problem("", "the file holds no sections", data, ", ".join(SweepFile.model_fields), fix)
        raise ConfigError(source, [problem])
    data, problems = _overridden(data, overrides)
    model, found = _validated(SweepFile, data, lines)
    if model is not None:
        return model, problems, model
    for problem in found:
        _remove(data, problem.path)
    return None, [*problems, *found], _validated(SweepFile, data, lines)[0]


def resolved(model: Section) -> dict[str, Any]:
    """Every key of a section with its value, defaults written out, as plain data."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def to_yaml(model: Section) -> str:
    """A section as YAML, every default written out."""
    return dump(resolved(model))


def assign(experiment: Experiment, values: Mapping[str, Any], source: str = "setting") -> Experiment:
    """The experiment with some key paths set to other values.

    Args:
        experiment: the base.
        values: key path -> value, such as `{"method.beta": 0.1, "hypernet.chunk_size": 7000}`.
        source: named in messages.

    Raises:
        ConfigError: a path leads nowhere, or a value is not allowed there.
    """
    data: dict[str, Any] = resolved(experiment)
    problems: list[Problem] = []
    for path, value in values.items():
        problem = _set(data, path, value)
        problems += [problem] if problem else []
    model, found = _validated(Experiment, data, {})
    if model is None or problems:
        raise ConfigError(source, [*problems, *found])
    return model


def lookup(model: Section, path: str) -> Any:
    """The value at a key path.

    Raises:
        KeyError: the path leads nowhere.
    """
    value: Any = resolved(model)
    node: Any = model
    for part in path.split("."):
        if isinstance(node, Section):
            if part not in type(node).model_fields:
                raise KeyError(path)
            node = getattr(node, part)
        elif isinstance(node, Mapping) and part in node:
            node = node[part]
        else:
            raise KeyError(path)
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def known_paths(model: Section, prefix: str = "") -> list[str]:
    """The key path of every value of a section."""
    found: list[str] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        found += known_paths(value, f"{prefix}{name}.") if isinstance(value, Section) else [f"{prefix}{name}"]
    return found


def _overridden(data: dict[str, Any], overrides: Sequence[str]) -> tuple[dict[str, Any], list[Problem]]:
    problems: list[Problem] = []
    for override in overrides:
        path, equals, text = override.partition("=")
        path = path.strip()
        if not equals or not path:
            problems.append(Problem("--set", "an override is path=value", override, fix="--set method.beta=0.1"))
            continue
        try:
            value = value_of(text)
        except ConfigError:
            problems.append(Problem(f"--set {path}", "the value is not valid YAML", text))
            continue
        problem = _set(data, f"experiment.{path}" if path.split(".")[0] in SECTIONS else path, value)
        problems += [problem] if problem else []
    return data, problems


def _set(data: dict[str, Any], path: str, value: Any) -> Problem | None:
    """Sets a key path in plain data; what cannot stand beside the new value goes."""
    node: Any = data
    *parents, last = path.split(".")
    for part in parents:
        if node.get(part) is None:
            node[part] = {}
        node = node[part]
        if not isinstance(node, dict):
            return Problem(path, f"'{part}' holds a value, not keys", node)
    if last == "name" and parents:
        _drop_foreign(node, parents[-1], value)
    node[last] = value
    rival = {"iterations": "epochs", "epochs": "iterations"}.get(last)
    if rival and parents[-1:] == ["training"]:
        node.pop(rival, None)
    return None


def _remove(node: Any, path: str) -> None:
    """Takes a key path out of plain data; keys of a space hold dots themselves."""
    if not isinstance(node, dict):
        return
    for key in list(node):
        if path == key:
            del node[key]
        elif path.startswith(f"{key}."):
            _remove(node[key], path.removeprefix(f"{key}."))


def _drop_foreign(node: dict[str, Any], section: str, kind: Any) -> None:
    """Another kind of a section loses the keys of the other kinds, so that `--set method.name=finetune` is enough."""
    models = _kinds_of(section)
    own = next((set(model.model_fields) for model in models if kind_of(model) == kind), None)
    others = {key for model in models for key in model.model_fields}
    for key in [] if own is None else others - own:
        node.pop(key, None)


def _all_kinds(model: type[Section]) -> list[type[Section]]:
    return [model, *(found for child in model.__subclasses__() for found in _all_kinds(child))]


def _kinds_of(section: str) -> list[type[Section]]:
    """The models that may stand in a section, by its last key."""
    for model in _all_kinds(Section):
        field = model.model_fields.get(section)
        if field is not None:
            found = _models_in(field.annotation)
            if len(found) > 1:
                return found
    return []


def _models_in(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _validated(
    model: type[_Model], data: Mapping[str, Any], lines: Mapping[str, int]
) -> tuple[_Model | None, list[Problem]]:
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, _distinct([_problem(model, details, lines) for details in error.errors(include_url=False)])


def _distinct(problems: list[Problem]) -> list[Problem]:
    unique: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        unique.setdefault((problem.path, problem.message), problem)
    return list(unique.values())


def _problem(model: type[Section], details: ErrorDetails, lines: Mapping[str, int]) -> Problem:
    keys, owner = _follow(model, details["loc"])
    path = ".".join(keys)
    line = next((lines[".".join(keys[:n])] for n in range(len(keys), 0, -1) if ".".join(keys[:n]) in lines), None)
    kind, context = details["type"], details.get("ctx", {})
    value = details["input"]
    if kind == "extra_forbidden":
        names = sorted(_names(owner))
        fix = did_you_mean(keys[-1], names) or "remove the key"
        return Problem(path, "there is no such key", value, ", ".join(names), fix, line)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = [kind_of(found) for found in _kinds_of(keys[-1])]
        given = value.get("name") if isinstance(value, dict) else value
        message = "the section has no name" if given is None else "there is no such kind"
        fix = did_you_mean(given, tags) or f"{keys[-1]}: {{name: {tags[0]}}}" if tags else ""
        return Problem(f"{path}.name" if given is not None else path, message, given, ", ".join(tags), fix, line)
    if kind == "missing":
        example = "tasks: {name: split_digits}" if keys[-1] == "tasks" else f"{keys[-1]}: ..."
        return Problem(path, "this key is missing", fix=f"add {example}", line=line)
    expected = str(context.get("expected", ""))
    return Problem(path, _sentence(details), value, expected, line=line, about=_about(owner, keys[-1]))


def _about(owner: type[Section] | None, key: str) -> str:
    """What a key is for, and its default."""
    field = _field(owner, key) if owner else None
    if field is None or not field.description:
        return ""
    plain = isinstance(field.default, str | int | float | tuple)
    return " ".join(field.description.split()) + (f" Default: {field.default}." if plain else "")


def _follow(model: type[Section], loc: tuple[int | str, ...]) -> tuple[list[str], type[Section] | None]:
    """The key path a person wrote (pydantic adds the kind's tag to it), and the model that owns its last key."""
    keys: list[str] = []
    owner: type[Section] | None = model
    pending: list[type[Section]] = []
    for part in loc:
        match = next((found for found in pending if "name" in found.model_fields and kind_of(found) == part), None)
        if match is not None:
            owner, pending = match, []
            continue
        if _is_branch(str(part)) and str(part) not in _names(owner):
            continue
        if len(pending) == 1:
            owner, pending = pending[0], []
        keys.append(str(part))
        field = _field(owner, str(part)) if owner else None
        pending = _models_in(field.annotation) if field is not None else pending
    return keys, owner


def _is_branch(part: str) -> bool:
    """Whether a part of an error's place names a branch of a union rather than a key."""
    return part.startswith(("function-", "literal[", "constrained-", "nullable")) or part in ("int", "float")


def _field(owner: type[Section], key: str) -> Any:
    return next((f for name, f in owner.model_fields.items() if key in (name, f.alias)), None)


def _names(owner: type[Section] | None) -> list[str]:
    return [field.alias or name for name, field in owner.model_fields.items()] if owner else []


def _sentence(details: ErrorDetails) -> str:
    message = details["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:].replace("Input should", "this should")
