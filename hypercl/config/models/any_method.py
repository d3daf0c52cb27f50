"""What every method says of itself."""

from typing import ClassVar

from hypercl.config.models.section import Section

Scenarios = frozenset[str]
TASK, ALL = frozenset({"task"}), frozenset({"task", "domain", "class"})
UNKNOWN = frozenset({"domain", "class"})


class AnyMethod(Section):
    scenarios: ClassVar[Scenarios] = ALL
    """Scenarios in which it can predict."""
    generated: ClassVar[bool | None] = False
    """Whether the target's weights come from a hypernetwork, are its own, or either."""
    regresses: ClassVar[bool] = False
    """Whether it also learns to predict numbers, or a class at each step."""
