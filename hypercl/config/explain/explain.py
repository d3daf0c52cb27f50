"""What a key of a file is for, read from the models: sentence, type in words, default, source, kinds, examples."""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydantic import ValidationError, create_model

from hypercl.config.checks import why_not_tunable
from hypercl.config.explain.schema import schema_of
from hypercl.config.explain.words import distribution_around, type_in_words
from hypercl.config.models import Distribution, Section, SweepFile, is_list, kind_of, required
from hypercl.config.problems import UserError, did_you_mean
from hypercl.config.reading import Entry, entries, sentence, value_in_words

_SOURCE = re.compile(r"\s*Source: (.+?)\.?$")
_NAMES, _YEAR = r"(?:von )?[A-Z][\w'-]+(?: (?:&|and) [A-Z][\w'-]+| et al\.)?", r"(?:19|20)\d\d"
_CITATION = re.compile(rf"{_NAMES},? (?:\({_YEAR}\)|{_YEAR})")


@dataclass(frozen=True)
class Variant:
    """A key in one kind of its section."""

    kind: str
    """The kind, '' where the section has none."""
    about: str
    """The sentence under the field."""
    type: str
    """What may stand there, in words."""
    default: str
    """The default as YAML, or 'required'."""


@dataclass(frozen=True)
class Setting:
    """A key of a file that holds a value."""

    path: str
    """As it is written with `--set` and in a space: without the leading `experiment`."""
    variants: tuple[Variant, ...]
    """One for each kind of section that has the key."""
    source: str
    """Where the formula or the default is from; '' where no docstring says."""
    kinds: str
    """What must hold for the key to exist, such as `method hnet`; '' where it always does."""
    example: Any
    """A value that may stand there; None where none can be given."""
    space: str
    """A line for the space, or ''."""
    closed: str
    """Why a space cannot vary it; '' where it can, or where it is no key of the experiment."""

    @property
    def override(self) -> str:
        """The key as an option of a command; '' where there is no example."""
        return f"--set {shlex.quote(f'{self.path}={value_in_words(self.example)}')}" if self.example is not None else ""


@dataclass(frozen=True)
class Kind:
    """One kind of a section."""

    name: str
    about: str
    default: bool
    """Whether a section without `name` is of this kind."""
    needs: tuple[str, ...]
    """The keys that it cannot do without: of a kind that has none the name alone stands for the section."""


@dataclass(frozen=True)
class Part:
    """A section of a file."""

    path: str
    about: str
    kinds: tuple[Kind, ...]
    """Empty where there is only one."""
    settings: tuple[Setting, ...]
    """Its own keys; sections inside of it stand among `parts`."""
    parts: tuple[tuple[str, str], ...]
    """Path and sentence of the sections inside; of the file, those of the experiment too."""


def explain_key(path: str) -> Setting | Part:
    """What stands at a key path of a sweep's file; '' is the file itself.

    The leading `experiment` may be left out, and a key of the space is the key of the experiment that it varies.

    Raises:
        UserError: unknown key.
    """
    wanted = path.strip().strip(".")
    found = _all()
    names = (wanted, f"experiment.{wanted}", f"experiment.{wanted.removeprefix('space.')}")
    full = next((name for name in names if name in found or not name), None)
    if full is None:
        raise UserError(f"unknown key '{wanted}'\n    fix:     {_instead_of(wanted)}")
    group = found.get(full, [])
    if full.endswith(".name") and group[0].kinds:
        full = full.removesuffix(".name")
        group = found[full]
    if not full or any(entry.sections for entry in group) or full == "space":
        return _part(full, group)
    return _setting(full, group)


@cache
def known_keys() -> tuple[str, ...]:
    """Every path that `explain` knows, as a person writes it."""
    return tuple(dict.fromkeys(short(path) for path in _all()))


def _instead_of(wanted: str) -> str:
    """What to ask for in place of a key that is not there: the full paths of a bare key, or one that looks like it."""
    known = known_keys()
    full = [path for path in known if path.endswith(f".{wanted}")]
    if full:
        return " or ".join(f"hypercl explain {path}" for path in full)
    return (
        did_you_mean(wanted, known)
        or did_you_mean(wanted.rpartition(".")[2], known)
        or "hypercl explain lists the sections"
    )


def short(path: str) -> str:
    """A path without the leading `experiment`."""
    return path.removeprefix("experiment.")


@cache
def _all() -> Mapping[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries([SweepFile]):
        found.setdefault(entry.path, []).append(entry)
        if entry.path == "space":
            for inner in entries([Distribution], "space."):
                found.setdefault(inner.path, []).append(inner)
    return found


def _part(path: str, group: list[Entry]) -> Part:
    inner = (path,) if path else ("", "experiment")
    inside = [
        (other, held)
        for other, held in _all().items()
        if other.rpartition(".")[0] in inner and not other.endswith(".name")
    ]
    sections = [(other, held) for other, held in inside if held[0].sections or other == "space"]
    settings = [_setting(other, held) for other, held in inside if (other, held) not in sections]
    models = list(dict.fromkeys(model for entry in group for model in entry.sections))
    default = _default_kind(group[0]) if group else None
    named = [model for model in models if "name" in model.model_fields and len(models) > 1]
    kinds = tuple(
        Kind(kind_of(model), sentence(model.__doc__), kind_of(model) == default, tuple(required(model)))
        for model in named
    )
    about = _texts(path, group, models)
    return Part(
        short(path),
        " ".join(dict.fromkeys(text for text in about if text)),
        kinds,
        tuple(settings),
        tuple((short(other), _without_source(held[0].field.description)) for other, held in sections),
    )


def _default_kind(entry: Entry) -> str | None:
    """The kind of the section where the file has none, else the kind of one without a name."""
    value = _default(entry)
    return getattr(value, "name", None) if isinstance(value, Section) else entry.default_kind


def _texts(path: str, group: list[Entry], models: list[type[Section]]) -> list[str]:
    if not path:
        return [sentence(SweepFile.__doc__)]
    first, own = sentence(group[0].field.description), sentence(models[0].__doc__) if len(models) == 1 else ""
    return [own] if own.startswith(first.rstrip(".")) else [first, own]


def _setting(path: str, group: list[Entry]) -> Setting:
    variants = tuple(dict.fromkeys(_variant(entry) for entry in group))
    if len(variants) > 1 and not all(variant.kind for variant in variants):  # a section that differs by an outer kind
        variants = tuple(replace(_variant(entry), kind=entry.kinds[-1][1]) for entry in group if entry.kinds)
    written = short(path)
    outside = short(group[0].of_list)
    closed = (outside and f"it stands in a list: {outside} is set and varied as a whole") or why_not_tunable(written)
    example = None if outside else _example(group[0])
    free = path.startswith("experiment.") and not closed
    around = distribution_around(example, _default(group[0]) is None, _branches(group[0])) if free else ""
    return Setting(
        path=written,
        variants=variants,
        source="; ".join(dict.fromkeys(source for source in _sources(group) if source)),
        kinds=_kinds(group),
        example=None if path.startswith("space.") else example,
        space=f"{written}: {around}" if free and around else "",
        closed=closed if path.startswith("experiment.") else "",
    )


def _variant(entry: Entry) -> Variant:
    kind = entry.kinds[-1][1] if entry.kinds and entry.path.rpartition(".")[0] == entry.kinds[-1][0] else ""
    default = "required" if entry.field.is_required() else value_in_words(_default(entry))
    about = _without_source(entry.field.description or entry.model.__doc__)
    return Variant(kind, about, type_in_words(_schema(entry)), default)


def _schema(entry: Entry) -> dict[str, Any]:
    return _schema_of_field(entry.model, _field_name(entry))


@cache
def _schema_of_field(model: type[Section], name: str) -> dict[str, Any]:
    field = model.model_fields[name]
    annotation: Any = field.annotation
    alone = create_model("Alone", __config__=Section.model_config, value=(annotation, field))
    return next(iter(schema_of(alone)["properties"].values()))


def _field_name(entry: Entry) -> str:
    return next(name for name, field in entry.model.model_fields.items() if field is entry.field)


def _default(entry: Entry) -> Any:
    """As a section without the key has it: a validator may fill in what the field leaves open."""
    try:
        value = getattr(entry.model(), _field_name(entry))
    except ValidationError:  # a section that cannot be empty
        value = entry.field.get_default(call_default_factory=True)
    return list(value) if is_list(value) else value


def _kinds(group: list[Entry]) -> str:
    """`method hnet or hnet_ent` for a key that not every kind of its sections has."""
    texts: list[str] = []
    for section in dict.fromkeys(section for entry in group for section, _ in entry.kinds):
        names = list(dict.fromkeys(kind for entry in group for owner, kind in entry.kinds if owner == section))
        possible = {kind_of(model) for entry in _all()[section] for model in entry.sections}
        if len(names) < len(possible):
            texts.append(f"{short(section)} {' or '.join(names)}")
    return ", ".join(texts)


def _example(entry: Entry) -> Any:
    """The default, or a value beside null: the field's own example, or the least that is allowed."""
    if entry.field.is_required():
        return None
    value = _default(entry)
    if value is not None and not (value == {} and entry.field.examples):
        return value
    if entry.field.examples:
        return entry.field.examples[0]
    other = next((each for each in _branches(entry) if each.get("type") in ("integer", "number")), None)
    return None if other is None else min(max(1, other.get("minimum", 1)), other.get("maximum", math.inf))


def _branches(entry: Entry) -> list[dict[str, Any]]:
    schema = _schema(entry)
    return schema.get("anyOf", [schema])


def _sources(group: list[Entry]) -> list[str]:
    """What the field's docstring names as its source, or cites; else what its kinds' do, if each of them does.

    A key that kinds without a source have as well is not from the source of the others.
    """
    own = [_cited(entry.field.description) for entry in group]
    of_kinds = [_cited(entry.model.__doc__) for entry in group]
    return [each for each in own if each] or (of_kinds if all(of_kinds) else [])


def _cited(text: str | None) -> str:
    plain = sentence(text)
    named = _SOURCE.search(plain)
    return named[1] if named else "; ".join(_CITATION.findall(plain))


def _without_source(text: str | None) -> str:
    return _SOURCE.sub("", sentence(text))
