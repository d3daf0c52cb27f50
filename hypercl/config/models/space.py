"""`space`: what a sweep varies, one distribution a key path of the experiment."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_serializer, model_validator

from hypercl.config.models.expression import expression
from hypercl.config.models.section import Number, Positive, Section, Whole, is_list

Kind = Literal["uniform", "log_uniform", "int", "int_log", "choice", "equals"]
KINDS: tuple[Kind, ...] = ("uniform", "log_uniform", "int", "int_log", "choice", "equals")

_EXPRESSIONS: list[Any] = [{"type": "string"}, {"type": "number"}, {"type": "array", "items": {}}, {"type": "null"}]
"""What `equals` may be in a file: a number or a list stands for itself."""


def key_of(entry: str) -> str:
    """The key path that an entry of a space varies: `method.strength` of `method.strength@ewc`."""
    return entry.partition("@")[0]


def label_of(entry: str) -> str:
    """The label of an entry: `ewc` of `method.strength@ewc`; '' where it has none."""
    return entry.partition("@")[2]


class Distribution(Section):
    """Exactly one kind: `{log_uniform: [1e-3, 10]}`, `{choice: [8, 16]}`, `{int: [1, 9], step: 2}`, `{equals: ...}`.

    Beside it `when`: `{uniform: [0, 0.95], when: {training.optimizer.name: sgd}}` is drawn with that optimiser only.
    """

    uniform: tuple[Number, Number] | None = None
    """Low and high, both included."""
    log_uniform: tuple[Positive, Positive] | None = None
    """Low and high, uniform in the logarithm."""
    int_: tuple[Whole, Whole] | None = Field(default=None, alias="int")
    """Whole numbers from low to high, both included."""
    int_log: tuple[Whole, Whole] | None = None
    """Whole numbers, uniform in the logarithm."""
    choice: tuple[Any, ...] | None = None
    """One of the values listed."""
    step: Positive | None = None
    """Distance between neighbouring values, for uniform and int."""
    equals: str | None = Field(default=None, json_schema_extra={"anyOf": _EXPRESSIONS})
    """Computed from other values, not searched: '2 * hypernet.chunk_embedding + 1', '[hypernet.task_embedding, 50]'."""
    prior: Any = None
    """Value near which you believe the best one to be: the sampler begins around it, and evidence overrules it."""
    when: dict[str, Any] = {}
    """Other paths of the space -> the value, or list of values, with which this one is part of a setting."""

    @field_validator("equals", mode="before")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        """A number or a list stands for itself."""
        text: Any = str(value) if type(value) in (int, float, list) else value
        if isinstance(text, str):
            expression(text)
        return text

    @model_validator(mode="after")
    def _one_kind(self) -> "Distribution":
        given = [kind for kind in KINDS if self._values(kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"give exactly one of {', '.join(KINDS)}; found {found}")
        if self.kind == "choice":
            self._check_choices()
        elif self.kind == "equals":
            if self.step is not None:
                raise ValueError("equals takes no step")
        else:
            self._check_range()
        if self.prior is not None and self.kind == "equals":
            raise ValueError("equals takes no prior: its value follows from others")
        if self.prior is not None and not self.contains(self.prior):
            raise ValueError(f"the prior {self.prior!r} lies outside of what is drawn")
        return self

    def _check_choices(self) -> None:
        if not self.values:
            raise ValueError("choice needs at least one value")
        if any(a == b and type(a) is type(b) for i, a in enumerate(self.values) for b in self.values[:i]):
            raise ValueError("choice names a value twice")
        if self.step is not None:
            raise ValueError("choice takes no step")

    def _check_range(self) -> None:
        low, high = self.values
        if low >= high:
            raise ValueError(f"the range is inverted or empty: {low} must be below {high}")
        if self.kind == "int_log" and low < 1:
            raise ValueError("int_log starts at 1 or above")
        if self.step is None:
            return
        if self.kind in ("log_uniform", "int_log"):
            plain = "uniform" if self.kind == "log_uniform" else "int"
            raise ValueError(f"{self.kind} takes no step: use {plain} with a step, or a choice of the values")
        if self.kind == "int" and not self.step.is_integer():
            raise ValueError("int takes a whole step")
        if abs((high - low) / self.step - round((high - low) / self.step)) > 1e-9:
            raise ValueError(f"a step of {self.step:g} does not lead from {low} to {high}")

    def _values(self, kind: Kind) -> Any:
        return self.int_ if kind == "int" else getattr(self, kind)

    @property
    def kind(self) -> Kind:
        """Which of them this is."""
        return next(kind for kind in KINDS if self._values(kind) is not None)

    @property
    def values(self) -> tuple[Any, ...]:
        """(low, high) of a range, or the choices; nothing for equals, whose value follows from others."""
        return () if self.kind == "equals" else self._values(self.kind)

    def contains(self, value: Any) -> bool:
        """Whether a value could be drawn."""
        if self.kind == "equals":
            return False
        if self.kind == "choice":
            same_kind = [choice for choice in self.values if isinstance(choice, bool) == isinstance(value, bool)]
            return value in same_kind
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        low, high = self.values
        whole = self.kind not in ("int", "int_log") or float(value).is_integer()
        steps = (value - low) / self.step if self.step else 0.0
        return bool(low <= value <= high and whole and abs(steps - round(steps)) < 1e-9)

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        plain = [list(value) if is_list(value) else value for value in self.values]
        kind: dict[str, Any] = {self.kind: self.equals if self.kind == "equals" else plain}
        step = {"step": self.step} if self.step is not None else {}
        prior = {"prior": self.prior} if self.prior is not None else {}
        return kind | step | prior | ({"when": self.when} if self.when else {})
