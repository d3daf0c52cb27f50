"""Sections that come in kinds, told apart by their key `name`."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args

from pydantic import BeforeValidator, Discriminator, Tag
from pydantic.fields import FieldInfo

from hypercl.config.models.section import Section


def kind_of(model: type[Section]) -> str:
    """The `name` that selects this kind of section."""
    return model.model_fields["name"].default


def kinds(*models: type[Section], default: type[Section] | None = None) -> Any:
    """The union of some kinds, told apart by `name`; a section without a name is of the default kind."""
    tag = KindTag(kind_of(default) if default else None, tuple(kind_of(m) for m in models if not required(m)))
    tagged = tuple(Annotated[model, Tag(kind_of(model))] for model in models)
    names = {kind_of(model) for model in models}
    union = Union[tagged]  # noqa: UP007 - a union of a computed tuple
    return Annotated[union, Discriminator(tag), BeforeValidator(lambda value: _named(value, names))]


@dataclass(frozen=True)
class KindTag:
    """Tells the kind of a section."""

    default: str | None
    """The kind of a section without a name."""
    bare: tuple[str, ...]
    """The kinds whose name alone is a section: their other keys have defaults."""
    __name__ = "kind"  # pydantic asks for it

    def __call__(self, value: Any) -> str | None:
        """The kind of a mapping or of a section; None where there is none."""
        return value.get("name", self.default) if isinstance(value, dict) else getattr(value, "name", None)


def required(model: type[Section]) -> list[str]:
    """The keys that a section cannot do without."""
    return [field.alias or name for name, field in model.model_fields.items() if field.is_required()]


def name_in(section: Any) -> str | None:
    """The kind that a section names, be it plain data, in its long form or as the name alone, or a model; else None."""
    name = section.get("name") if isinstance(section, dict) else getattr(section, "name", section)
    return name if isinstance(name, str) else None


def in_full(key: str, value: Any) -> Any:
    """A section in its long form, by its key: `sgd` is {name: sgd}, and `true` of one that may be left out is {}."""
    if value is True and any(switched in field.metadata for field in _fields(key)):
        return {}
    return _named(value, {kind_of(model) for model in kinds_of(key)}) if isinstance(value, str) else value


def _named(value: Any, names: Container[str]) -> Any:
    return {"name": value} if isinstance(value, str) and value in names else value


def _switched(value: Any) -> Any:
    return {} if value is True else None if value is False else value


switched = BeforeValidator(_switched)
"""Marks a section that may be left out, and has defaults for all its keys: `true` is all of them, `false` is null."""


def _all_kinds(model: type[Section]) -> list[type[Section]]:
    return [model, *(found for child in model.__subclasses__() for found in _all_kinds(child))]


def kinds_of(section: str) -> list[type[Section]]:
    """The models that may stand in a section, by its last key."""
    return next((found for field in _fields(section) if len(found := models_in(field.annotation)) > 1), [])


def _fields(key: str) -> Iterator[FieldInfo]:
    """The fields of that name, in every section."""
    return (model.model_fields[key] for model in _all_kinds(Section) if key in model.model_fields)


def models_in(annotation: Any) -> list[type[Section]]:
    """The sections that a field's annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]
