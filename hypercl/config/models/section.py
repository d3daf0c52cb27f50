"""What every section of a file has in common: unknown keys are refused, values are strict, nothing changes later."""

import ast
import inspect
import sys
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, TypeGuard, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, Strict
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema


class Section(BaseModel):
    """A part of a run's or a sweep's file. Immutable; `model_copy` is not for settings, see `hypercl.config.assign`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True, defer_build=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Describes each field by the docstring below it; pydantic's own use_attribute_docstrings takes 0.2 s."""
        docstrings = _field_docstrings(str(sys.modules[cls.__module__].__file__)).get(cls.__name__, {})
        for name in docstrings.keys() & cls.model_fields.keys():
            cls.model_fields[name].description = docstrings[name]


@cache
def _field_docstrings(file: str) -> dict[str, dict[str, str]]:
    """Class -> field -> docstring, of a module."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            for field, below in zip(node.body, node.body[1:], strict=False):
                match field, below:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        found.setdefault(node.name, {})[name] = inspect.cleandoc(text)
                    case _:
                        pass
    return found


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
    """A generous upper bound, so that a typo cannot exhaust memory."""

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


def is_mapping(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether plain data is a mapping; a type checker then knows its keys."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether plain data is a list."""
    return isinstance(value, list | tuple)


def kind_of(model: type[Section]) -> str:
    """The `name` that selects this kind of section."""
    return model.model_fields["name"].default


@dataclass(frozen=True)
class Kinds:
    """The kinds of a section, distinguished by `name`: `Annotated[Adam | SGD, Kinds(default=Adam)]`.

    The name alone stands for a section whose other keys have defaults.
    """

    default: type[Section] | None = None
    """The kind of a section without a name."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        models = {kind_of(model): model for model in models_in(source)}
        bare = tuple(name for name, model in models.items() if not required(model))
        tag = KindTag(kind_of(self.default) if self.default else None, bare)
        choices = {name: handler.generate_schema(model) for name, model in models.items()}
        union = core_schema.tagged_union_schema(choices, tag)
        return core_schema.no_info_before_validator_function(lambda value: _named(value, models), union)


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
        default = "import" if is_mapping(value) and "import" in value else self.default
        return value.get("name", default) if is_mapping(value) else getattr(value, "name", None)


def required(model: type[Section]) -> list[str]:
    """The keys that a section cannot do without."""
    return [field.alias or name for name, field in model.model_fields.items() if field.is_required()]


def name_in(section: Any) -> str | None:
    """The kind that a section names, be it plain data, in its long form or as the name alone, or a model; else None."""
    name = section.get("name") if is_mapping(section) else getattr(section, "name", section)
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
    named = (models_in(field.annotation) for field in _fields(section))
    kinds = ([model for model in models if "name" in model.model_fields] for models in named)
    return next((models for models in kinds if len(models) > 1), list[type[Section]]())


def _fields(key: str) -> Iterator[FieldInfo]:
    """The fields of that name, in every section."""
    return (model.model_fields[key] for model in _all_kinds(Section) if key in model.model_fields)


def models_in(annotation: Any) -> list[type[Section]]:
    """The sections that a field's annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]
