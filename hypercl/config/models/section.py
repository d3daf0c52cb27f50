"""What every section of a file has in common: unknown keys are refused, values are strict, nothing changes later."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any, Union, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Strict, Tag
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """A part of a run's or a sweep's file. Immutable; `model_copy` is not for settings, see `hypercl.config.assign`."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True, populate_by_name=True
    )


def _whole(value: Any) -> Any:
    """`1e3` is a float in YAML and a whole number to its author."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("give a whole number of less than 64 bits")
    return value


def _single(value: float) -> float:
    """Float32 holds the number, and its square too where it is large."""
    if value and isfinite(value) and not 1e-30 <= abs(value) <= 1e18:
        raise ValueError("give a number between 1e-30 and 1e18 in size: float32 arithmetic loses all others")
    return value


def at_most(limit: int) -> BeforeValidator:
    """A bound far beyond all use, which keeps a slip of the pen from taking the machine's memory."""

    def check(value: Any) -> Any:
        if isinstance(value, int | float) and value > limit:
            raise ValueError(f"give at most {limit:,}")
        return value

    return BeforeValidator(check)


Whole = Annotated[int, Strict(), BeforeValidator(_whole)]
Count = Annotated[Whole, Field(ge=1)]
Units = Annotated[Count, at_most(1_000_000)]
"""Units, channels or numbers of a vector: more than this no memory holds the matrices of."""
TaskCount = Annotated[Count, at_most(10_000)]
Checks = Annotated[Count, at_most(10_000)]
"""Checks a task."""
Number = Annotated[float, Strict(), AfterValidator(_single)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, lt=1)]
Flag = Annotated[bool, Strict()]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
ImportPath = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]


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
