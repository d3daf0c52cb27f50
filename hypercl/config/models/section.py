"""What every section of a file has in common: unknown keys are refused, values are strict, nothing changes later."""

from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict


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
