"""Sections that come in kinds, told apart by their key `name`."""

from typing import Annotated, Any, Union, get_args

from pydantic import Discriminator, Tag

from hypercl.config.section import Section


def kind_of(model: type[Section]) -> str:
    """The `name` that selects this kind of section."""
    return model.model_fields["name"].default


def kinds(*models: type[Section], default: type[Section] | None = None) -> Any:
    """The union of some kinds, told apart by `name`; a section without a name is of the default kind."""
    fallback = kind_of(default) if default else None

    def tag(value: Any) -> str | None:
        return value.get("name", fallback) if isinstance(value, dict) else getattr(value, "name", None)

    tagged = tuple(Annotated[model, Tag(kind_of(model))] for model in models)
    return Annotated[Union[tagged], Discriminator(tag)]  # noqa: UP007 - a union of a computed tuple


def _all_kinds(model: type[Section]) -> list[type[Section]]:
    return [model, *(found for child in model.__subclasses__() for found in _all_kinds(child))]


def kinds_of(section: str) -> list[type[Section]]:
    """The models that may stand in a section, by its last key."""
    for model in _all_kinds(Section):
        field = model.model_fields.get(section)
        if field is not None:
            found = models_in(field.annotation)
            if len(found) > 1:
                return found
    return []


def models_in(annotation: Any) -> list[type[Section]]:
    """The sections that a field's annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]
