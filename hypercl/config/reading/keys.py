"""Every key that a file may hold, read from the models: in which kinds it exists, and with which field."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_origin

from pydantic.fields import FieldInfo

from hypercl.config.models import Imported, Kinds, Section, kind_of, models_in


@dataclass(frozen=True)
class Entry:
    """One field of one model, at its place in a file."""

    path: str
    """Key path below the model that was asked for, such as `method.regularizer.tasks`."""
    model: type[Section]
    """The model that owns the field."""
    field: FieldInfo
    kinds: tuple[tuple[str, str], ...] = ()
    """(section, kind) that must hold for the key to exist, outermost first: `(("method", "hnet"),)`."""
    of_list: str = ""
    """The key of the list of sections in which this one stands; '' where it stands in none."""

    @property
    def sections(self) -> list[type[Section]]:
        """The models that may stand at this key; empty for a plain value, or one that is imported in its place."""
        return [] if self.is_mapping else [each for each in models_in(self.field.annotation) if each is not Imported]

    @property
    def is_mapping(self) -> bool:
        """Whether the key holds a mapping whose keys are free."""
        return get_origin(self.field.annotation) is dict

    @property
    def default_kind(self) -> str | None:
        """The kind of a section without `name`; None where it must be named, or where there are no kinds."""
        kinds = next((mark for mark in self.field.metadata if isinstance(mark, Kinds)), None)
        return kind_of(kinds.default) if kinds is not None and kinds.default is not None else None


def entries(
    models: Sequence[type[Section]], path: str = "", kinds: tuple[tuple[str, str], ...] = (), of_list: str = ""
) -> Iterator[Entry]:
    """Every key of some models, sections before what they hold; `name` tells the kinds of a section apart."""
    for model in models:
        named = "name" in model.model_fields and len(models) > 1
        inside = (*kinds, (path.rstrip("."), kind_of(model))) if named else kinds
        for name, field in model.model_fields.items():
            entry = Entry(f"{path}{field.alias or name}", model, field, inside, of_list)
            yield entry
            listed = of_list or entry.path * (get_origin(field.annotation) is tuple)
            yield from entries(entry.sections, f"{entry.path}.", inside, listed)


def sentence(text: str | None) -> str:
    """A docstring on one line."""
    return " ".join((text or "").split())
