"""Sections that come in kinds, told apart by their key `name`."""

from typing import Annotated, Any, Union

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
