"""Key paths: what stands at one, and setting or removing it in plain data."""

from typing import Any

from hypercl.config.models import SAMPLER_SETTINGS, SETTINGS_OF, Section, in_full, is_mapping, kind_of, kinds_of
from hypercl.config.problems import Problem
from hypercl.config.reading.yaml_text import dump

_RIVALS = {
    ("training", "iterations"): "epochs",
    ("training", "epochs"): "iterations",
    ("objective", "maximize"): "minimize",
    ("objective", "minimize"): "maximize",
}
"""(section, key) -> the key that cannot stand beside it."""


def resolved(model: Section) -> dict[str, Any]:
    """Every key of a section with its value, defaults written out, as plain data."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


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
        elif is_mapping(node) and part in node:
            node = node[part]
        else:
            raise KeyError(path)
        value = value.get(part) if is_mapping(value) else None
    return value


def known_paths(model: Section, prefix: str = "") -> list[str]:
    """The key path of every value of a section."""
    found: list[str] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        found += known_paths(value, f"{prefix}{name}.") if isinstance(value, Section) else [f"{prefix}{name}"]
    return found


def set_value(data: dict[str, Any], path: str, value: Any) -> Problem | None:
    """Sets a key path in plain data; what cannot stand beside the new value goes.

    The keys of a space, of `by_task` and of `search.fidelity` are paths themselves: `space.method.beta` is the key
    `method.beta` of `space`.
    """
    node: Any = data
    *parents, last = _keys(path)
    for part in parents:
        if node.get(part) is None:
            node[part] = {}
        node[part] = in_full(part, node[part])
        node = node[part]
        if not is_mapping(node):
            return Problem(path, f"'{part}' holds a value, not keys", node)
    if last == "name" and parents:
        _drop_foreign(node, parents[-1], value)
    drop_rivals(node, parents[-1] if parents else "", last, value)
    node[last] = value
    return None


def _keys(path: str) -> list[str]:
    for above in ("space", "by_task", "experiment.by_task", "search.fidelity"):
        if path.startswith(f"{above}."):
            return [*above.split("."), path.removeprefix(f"{above}.")]
    return path.split(".")


def drop_rivals(node: dict[str, Any], section: str, key: str, value: Any) -> list[str]:
    """Takes from a section what cannot stand beside a new value of one of its keys; returns what was taken.

    Null, which takes a key away, can stand beside all.
    """
    rivals: set[str] = {_RIVALS[section, key]} if value is not None and (section, key) in _RIVALS else set()
    if (section, key) == ("search", "sampler"):
        rivals |= SAMPLER_SETTINGS - set(SETTINGS_OF.get(str(value), {}))
    taken = sorted(rivals & set(node))
    for rival in taken:
        del node[rival]
    return taken


def remove(node: Any, path: str) -> None:
    """Takes a key path out of plain data; keys of a space hold dots themselves."""
    if not is_mapping(node):
        return
    for key in list(node):
        if path == key:
            del node[key]
        elif path.startswith(f"{key}."):
            remove(node[key], path.removeprefix(f"{key}."))


def _drop_foreign(node: dict[str, Any], section: str, kind: Any) -> None:
    """Another kind of a section loses the keys of the other kinds, so that `--set method.name=finetune` is enough."""
    models = kinds_of(section)
    own = next((frozenset(model.model_fields) for model in models if kind_of(model) == kind), None)
    others = {key for model in models for key in model.model_fields}
    for key in others - (others if own is None else own):
        node.pop(key, None)


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Key path, old and new value of everything that differs between two plain values."""
    if is_mapping(old) and is_mapping(new):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            found
            for key in keys
            for found in differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [] if old == new else [(path, old, new)]


def difference_line(path: str, old: Any, new: Any) -> str:
    """A difference for people: `    method.beta: 0.01 -> 0.5`."""
    return f"    {path}: {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    return "(not there)" if value is None else dump(value).strip().removesuffix("\n...").replace("\n", "; ")
