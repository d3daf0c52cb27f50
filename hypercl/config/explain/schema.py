"""JSON Schema (draft 2020-12) of a sweep's file, for editors and checkers; made from the models."""

import json
import re
from functools import cache
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from hypercl.config.checks import why_not_tunable
from hypercl.config.models import (
    KINDS,
    SAMPLER_SETTINGS,
    SETTINGS_OF,
    Bound,
    Distribution,
    Experiment,
    KindTag,
    Search,
    Section,
    SweepFile,
    Training,
    is_list,
    is_mapping,
    switched,
)
from hypercl.config.reading import INCLUDE, entries, sentence

_INSIDE = ("properties", "$defs", "patternProperties")
"""Keys of a schema below which stand names rather than keywords."""
_WHOLE, _PART = ("default", "const", "enum", "not"), "Part"
_ENTRY = "EntryOfSpace"
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def _only_with_its_samplers(setting: str) -> dict[str, Any]:
    users = [sampler for sampler, own in SETTINGS_OF.items() if setting in own]
    needed = {"properties": {"sampler": {"enum": users}}} | ({} if "tpe" in users else {"required": ["sampler"]})
    return {"if": {"required": [setting]}, "then": needed}


_RULES: dict[type[Section], dict[str, Any]] = {
    Distribution: {"oneOf": [{"required": [kind]} for kind in KINDS]},
    Bound: {"minProperties": 1},
    Search: {"allOf": [_only_with_its_samplers(setting) for setting in sorted(SAMPLER_SETTINGS)]},
    Training: {"not": {"required": ["iterations", "epochs"]}},
}
"""What validators check between the keys of a section, as far as a schema can say it."""


@cache
def sweep_schema() -> dict[str, Any]:
    """The schema of a whole file; `space` lists every key path that a space may vary."""
    found = _with_includes(schema_of(SweepFile))
    head = {"$schema": _Generator.schema_dialect, "title": "hypercl: a run and a sweep over it"}
    return head | {key: value for key, value in found.items() if key != "$defs"} | {"$defs": found["$defs"]}


def schema_text() -> str:
    """`sweep_schema` as it stands in search_spaces/schema.json."""
    return json.dumps(sweep_schema(), indent=2, ensure_ascii=False) + "\n"


@cache
def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of one model."""
    return _tidied(model.model_json_schema(by_alias=True, schema_generator=_Generator))


_NAMED = "x-named"
"""Marks a kind that is not its section's default, until pydantic is done with its references."""


class _Generator(GenerateJsonSchema):
    """Pydantic's schema, with the kinds of a section distinguished as `hypercl.config.models.section` does."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> dict[str, Any]:
        """One of the kinds; only the default one may leave out its name, which alone stands for a section too."""
        tag = cast(KindTag, schema["discriminator"])
        default = tag.default
        branches: list[dict[str, Any]] = []
        for name, choice in schema["choices"].items():
            branch = self.generate_inner(choice)
            branches.append(branch if name == default else branch | {_NAMED: True})
        return {"oneOf": [*branches, *([{"enum": list(tag.bare)}] if tag.bare else [])]}

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> dict[str, Any]:
        """A section that may be left out is true or false as well."""
        found = super().function_before_schema(schema)
        is_switch = schema["function"]["function"] is switched.func
        return {"anyOf": [*found["anyOf"], {"type": "boolean"}]} if is_switch else found

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        model = schema["cls"]
        found = super().model_schema(schema)
        if model in _RULES:
            found |= _RULES[model]
        name = found["properties"].get("name", {})
        if "const" in name:
            name["description"] = sentence(model.__doc__)
        if model is SweepFile:
            found["properties"]["space"] = self._space(found["properties"]["space"])
        return found

    def _space(self, found: dict[str, Any]) -> dict[str, Any]:
        """The space's own schema, with a property for each key path of the experiment that it may vary."""
        one = found.pop("additionalProperties")
        texts: dict[str, str] = {}
        free: dict[str, Any] = {}
        for entry in entries([Experiment]):
            if why_not_tunable(entry.path):
                continue
            section, _, key = entry.path.rpartition(".")
            about = entry.field.description if key != "name" else f"Which kind of {section} it is."
            texts.setdefault(entry.path, sentence(about))
            if entry.is_mapping:
                free[f"^{re.escape(entry.path)}\\..+$"] = one
        listed = {path: one | {"description": text} for path, text in texts.items()}
        free[r"^[\w.]+@\w+$"] = one
        return found | {"properties": listed, "patternProperties": free, "additionalProperties": False}


def _tidied(node: Any) -> Any:
    """Without titles, with bounds under their names in JSON Schema, and pairs of equal items as plain arrays."""
    if is_list(node):
        return [_tidied(each) for each in node]
    if not is_mapping(node):
        return node
    if _NAMED in node:
        return {"allOf": [{"$ref": node["$ref"]}, {"required": ["name"]}]}
    found: dict[str, Any] = {}
    for key, value in node.items():
        if (key == "enum" and "const" in node) or (key == "additionalProperties" and value is True):
            continue  # says nothing more, and depends on the version of pydantic
        if key in _INSIDE:
            found[key] = {name: _tidied(each) for name, each in value.items()}
        elif key == "description":
            found[key] = sentence(value)
        elif key != "title":
            found[_BOUNDS.get(key, key)] = value if key in ("default", "const", "enum") else _tidied(value)
    items = found.get("prefixItems")
    if items and all(each == items[0] for each in items):
        del found["prefixItems"]
        found["items"] = items[0]
    return found


def _with_includes(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a file that may include others, from that of one that cannot.

    With `include`, no key of a section is required, a section without a name may be of any kind, and an entry of the
    space may be null.
    """
    whole = {name: each for name, each in schema["$defs"].items() if name != "Distribution"}
    parts: dict[str, Any] = {}
    while True:
        found = {name: part for name, each in whole.items() if (part := _loosened(each, parts)) != each}
        if found == parts:
            break
        parts = found
    properties = {key: each for key, each in schema["properties"].items() if key != "space"}
    loosened = {key: part for key, each in properties.items() if (part := _loosened(each, parts)) != each}
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


def _loosened(node: Any, parts: dict[str, Any]) -> Any:
    """A schema without what it requires; references to the definitions in `parts` go to their parts."""
    if is_list(node):
        return [found for each in node if (found := _loosened(each, parts)) != {} or each == {}]
    if not is_mapping(node):
        return node
    found: dict[str, Any] = {}
    for key, value in node.items():
        if key in _WHOLE:
            found[key] = value
        elif key in _INSIDE:
            found[key] = {name: _loosened(each, parts) for name, each in value.items()}
        elif key == "$ref":
            found[key] = f"{value}{_PART}" if value.rpartition("/")[2] in parts else value
        elif key not in ("required", "if", "then"):
            inner = _loosened(value, parts)
            if inner != [] or value == []:
                found["anyOf" if key == "oneOf" else key] = inner
    return found


def _nullable(space: dict[str, Any]) -> dict[str, Any]:
    """The schema of a space whose entries may be null."""
    own = {"$ref": f"#/$defs/{_ENTRY}"}
    return space | {
        name: {key: each | own for key, each in space[name].items()} for name in ("properties", "patternProperties")
    }
