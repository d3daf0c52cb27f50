"""Summaries of runs that were never trained, for the tables of the final step."""

from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

from hypercl.analysis.final import About, Reported
from hypercl.config.models import Goal
from hypercl.training import RunSummary
from hypercl.training.metrics import summarize, unknown
from hypercl.training.replicas import mean_of

ACCURACY = Goal("validation/final_accuracy", "maximize")
RATIO = Goal("compression_ratio", "minimize")
REASON = "the loss became nan"
FIRST = 2_000_001


def metrics(final: float, during: float | None = None) -> dict[str, Any]:
    """Of two tasks; the first one falls from `during` to twice `final` less the second's."""
    learned = final + 0.01 if during is None else during
    return summarize([[0.5, 0.5], [learned, nan], [2 * final - learned, learned]])


def bundle(accuracies: Sequence[float | None], first: int = FIRST, ratio: float | None = 0.5) -> RunSummary:
    """summary.json of seeds trained together; None is one that diverged. Validation is 0.01 above test."""
    known = [value for value in accuracies if value is not None]
    own = [metrics(0.5 if value is None else value) for value in accuracies]
    validation = [metrics(0.5 if value is None else value + 0.01) for value in accuracies]
    diverged = [place for place, value in enumerate(accuracies) if value is None]
    replicas = [
        {
            "seed": first + place,
            "diverged": REASON if place in diverged else None,
            "test": unknown(own[place], REASON) if place in diverged else own[place],
            "validation": unknown(own[place], REASON) if place in diverged else validation[place],
        }
        for place in range(len(accuracies))
    ]
    assert known
    content = {
        "test": mean_of(own, diverged)[0] if len(own) > 1 else own[0],
        "validation": mean_of(validation, diverged)[0] if len(own) > 1 else validation[0],
        "compression_ratio": ratio,
        "seed": first,
        "seconds": 60.0,
        "flops": 10**12,
        **({"replicas": replicas} if len(replicas) > 1 else {}),
    }
    return RunSummary.of(content)


def about(protocol: str = "stream", goals: tuple[Goal, ...] = (ACCURACY,), **cost: float | None) -> About:
    """Of a sweep of 24 trials."""
    return About(
        name="made",
        protocol=protocol,
        described=f"{protocol}: tuned on this; reported on that",
        goals=goals,
        opened=1,
        first_opened="2026-11-23T09:41:05+00:00",
        cost={"trials": 24, "hours": 12.3, "gpu_hours": 0.0, "flops": 1.5e15, **cost},
        hardware="a processor",
    )


SETTING: Mapping[str, Any] = {"method.beta": 0.1234567, "hypernet.hidden": [50, 50]}
BASE = [0.90, 0.91, 0.92, 0.90, 0.91, 0.89, 0.92, 0.91, 0.90, 0.92]
BETTER = [0.93, 0.95, 0.94, 0.93, 0.94, 0.93, 0.94, 0.93, 0.95, 0.94]


def pair(base: Sequence[float | None] = BASE, better: Sequence[float | None] = BETTER) -> list[Reported]:
    """The leader and the base, the same seeds."""
    return [
        Reported("trial-7", SETTING, 0.96, [bundle(better)]),
        Reported("base", {}, 0.915, [bundle(base)]),
    ]


def made_final(folder: Path, protocol: str = "stream") -> None:
    """Writes a final folder."""
    from hypercl.analysis.final import write_final

    write_final(folder, pair(), about(protocol))
