"""The final step's result: chosen settings and the experiment as written, on fresh seeds and test data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypercl.config.sweep import Goal

NAME = "final.json"
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


@dataclass(frozen=True)
class About:
    """What the reported settings have in common."""

    name: str
    """Of the sweep."""
    protocol: str
    """Its name, such as `stream`."""
    described: str
    """The protocol in words, as from `hypercl.sweep.protocols.described`."""
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


@dataclass(frozen=True)
class FinalResult:
    """What a final step came to, as its files hold it."""

    sentence: str
    """What a reviewer could quote."""
    optimism: str
    """What was promised against what came out, a line; '' where the search promised nothing."""
    table: str
    """final.md: Markdown."""
    content: Mapping[str, Any]
    """final.json: plain data."""


def write_final(folder: Path, reported: Sequence[Reported], about: About) -> FinalResult:
    """Writes final.csv (a row a setting and seed), final.json (all statistics) and final.md (the table).

    Args:
        folder: `<results>/final`, made where it is missing.
        reported: settings as the search ordered them, best first: the sentence is on the first one that is neither
            `base` nor `scratch`. The base is what the others are compared with, seed by seed.
        about: what they have in common.
    """
    raise NotImplementedError
