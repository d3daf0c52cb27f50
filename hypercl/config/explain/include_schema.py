"""JSON Schema of a file that includes others: what it leaves out may stand in what it includes."""

from typing import Any

from hypercl.config.models import is_list, is_mapping
from hypercl.config.reading import INCLUDE

INSIDE = ("properties", "$defs", "patternProperties")
"""Keys of a schema below which stand names rather than keywords."""
_WHOLE, _PART = ("default", "const", "enum", "not"), "Part"
_ENTRY = "EntryOfSpace"


def with_includes(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a file that may include others, from that of one that cannot.

    With `include`, no key of a section is required, a section without a name may be of any kind, and an entry of the
    space may be null.
    """
    whole = {name: each for name, each in schema["$defs"].items() if name != "Distribution"}
    parts: dict[str, Any] = {}
    while True:
        found = {name: part for name, each in whole.items() if (part := _part(each, parts)) != each}
        if found == parts:
            break
        parts = found
    properties = {key: each for key, each in schema["properties"].items() if key != "space"}
    loosened = {key: part for key, each in properties.items() if (part := _part(each, parts)) != each}
    strict = {key: properties[key] for key in loosened}
    space = schema["properties"]["space"]
    strict["space"] = {"description": space["description"], "additionalProperties": {"type": "object"}}
    named = {key: {"description": each["description"]} for key, each in loosened.items()}
    return schema | {
        "properties": schema["properties"] | named | {"space": _nullable(space)},
        "required": [],
        "if": {"required": [INCLUDE]},
        "then": {"properties": loosened},
        "else": {"properties": strict, "required": schema["required"]},
        "$defs": schema["$defs"]
        | {f"{name}{_PART}": part for name, part in parts.items()}
        | {_ENTRY: {"anyOf": [{"$ref": "#/$defs/Distribution"}, {"type": "null"}]}},
    }


def _part(node: Any, parts: dict[str, Any]) -> Any:
    """A schema without what it requires; references to the definitions in `parts` go to their parts."""
    if is_list(node):
        return [found for each in node if (found := _part(each, parts)) != {} or each == {}]
    if not is_mapping(node):
        return node
    found: dict[str, Any] = {}
    for key, value in node.items():
        if key in _WHOLE:
            found[key] = value
        elif key in INSIDE:
            found[key] = {name: _part(each, parts) for name, each in value.items()}
        elif key == "$ref":
            found[key] = f"{value}{_PART}" if value.rpartition("/")[2] in parts else value
        elif key not in ("required", "if", "then"):
            inner = _part(value, parts)
            if inner != [] or value == []:
                found["anyOf" if key == "oneOf" else key] = inner
    return found


def _nullable(space: dict[str, Any]) -> dict[str, Any]:
    """The schema of a space whose entries may be null."""
    own = {"$ref": f"#/$defs/{_ENTRY}"}
    return space | {
        name: {key: each | own for key, each in space[name].items()} for name in ("properties", "patternProperties")
    }
