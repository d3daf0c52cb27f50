"""What a final step hands over for its tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypercl.config.models.sweep import Goal

BASE, SCRATCH = "base", "scratch"
"""Labels of the experiment as written, and of its target trained anew on each task; others are such as `trial-7`."""


@dataclass(frozen=True)
class Reported:
    """One setting and what its runs on fresh seeds came to."""

    label: str
    """`base`, `trial-7`, `scratch`."""
    settings: Mapping[str, Any]
    """What it has over the experiment as written: key path -> value."""
    promised: float | tuple[float, ...] | None
    """Its objective value in the search, of several goals one each; None where the search never measured it."""
    summaries: list[dict[str, Any]]
    """summary.json of its runs, each of one or several replicas (`hypercl.training.summary`)."""
    lost: list[tuple[int, str]] = field(default_factory=list)
    """Seeds whose run left no summary, each with the reason. (Replicas that diverged stand in the summaries.)"""

    def promises(self, goals: tuple[Goal, ...]) -> dict[str, float]:
        """What the search measured, by the goals' metrics."""
        if self.promised is None:
            return {}
        values = self.promised if isinstance(self.promised, tuple) else (self.promised,)
        return {goal.metric: value for goal, value in zip(goals, values, strict=True)}


@dataclass(frozen=True)
class About:
    """What the reported settings have in common."""

    name: str
    """Of the sweep."""
    protocol: str
    """Its name, such as `stream`."""
    described: str
    """The protocol in words, as from `hypercl.sweep.study.protocols.described`."""
    goals: tuple[Goal, ...]
    """Of the objective."""
    opened: int
    """How often test data was opened for a final step."""
    first_opened: str | None
    """When for the first time, such as 2026-11-23T09:41:05+00:00."""
    cost: Mapping[str, float | None]
    """Of tuning: `trials`, `hours`, `gpu_hours`, `flops`; what is not known is None or left out."""
    hardware: str
    """Of the final runs, such as the name of the processor or GPU."""

    @property
    def leaks(self) -> bool:
        """Whether it was tuned on test data."""
        return self.protocol == "test_leak"
