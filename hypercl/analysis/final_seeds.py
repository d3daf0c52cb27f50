"""Each seed of a final step, from the summaries of its runs: what was measured, and what a lost seed counts as."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from hypercl.analysis.final_text import JOINT, SCRATCH
from hypercl.config.models import Goal
from hypercl.training import WORST, RunSummary


@dataclass(frozen=True)
class Reported:
    """One setting and the results of its runs on fresh seeds."""

    label: str
    """`base`, `trial-7`, `scratch`."""
    settings: Mapping[str, Any]
    """What it has over the experiment as written: key path -> value."""
    promised: float | tuple[float, ...] | None
    """What the sweep expects it to reach, of several goals one each; None where it was never measured."""
    summaries: list[RunSummary]
    """Of its runs, each of one or several seeds."""
    lost: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """Seeds whose run left no summary, each with the reason. (Replicas that diverged stand in the summaries.)"""
    interval: tuple[float, float] | None = None
    """95 %, of what was promised; None where nothing is known of its noise."""

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
    """The protocol in words, as from `hypercl.sweep.study.protocols.protocol_in_words`."""
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
    earlier: Mapping[str, float | None] | None = None
    """What tuning in earlier sweeps cost that the sampler knew: as `cost`, and `sweeps`; None where there were none."""
    promised_seeds: int = 1
    """Of the search, for each value."""
    promised_at: str = ""
    """What the search's values are of, where trials were shorter: ' after 10 % of the iterations'."""

    @property
    def leaks(self) -> bool:
        """Whether it was tuned on test data."""
        return self.protocol == "test_leak"


DATA = ("test", "validation")
METRICS = (
    "final_accuracy",
    "during_accuracy",
    "forgetting",
    "backward_transfer",
    "forward_transfer",
    "task_inference_accuracy",
    "calibration_error",
    "intransigence",
)
"""Of the package, beside the user's own. Definitions: `hypercl.training.metrics`."""
REFERENCE_OF = {"forward_transfer": SCRATCH, "intransigence": JOINT}
"""Metrics that compare with the during accuracy of a reference on the same seed."""
COSTS = ("seconds", "seeds_together", "flops")
"""Of the run a seed belongs to, which trained `seeds_together` seeds at once."""


def measures_of(goals: Sequence[Goal]) -> list[str]:
    """What has statistics: the metrics on test and on validation data, those of the user's own among the goals too, and
    the compression ratio."""
    return [*_parts(goals), "compression_ratio"]


def _parts(goals: Sequence[Goal]) -> dict[str, tuple[str, str]]:
    """Measure -> data and metric."""
    sought = [goal.metric.removeprefix("validation/") for goal in goals if goal.metric.startswith("validation/")]
    metrics = dict.fromkeys([*METRICS, *sought])
    return {f"{data}/{metric}": (data, metric) for data in DATA for metric in metrics}


def seeds_of_all(reported: Sequence[Reported], goals: Sequence[Goal]) -> pd.DataFrame:
    """A row a setting and seed: `setting`, `seed`, `lost` (why it diverged or was given up; '' of one that has a
    result), those of `measures_of` and `COSTS`.

    A seed that is lost counts as the worst value (`hypercl.training.replicas.WORST`; of a user's own metric the worst
    that is there) of every measure that the others of its setting, or else any, have. Forward transfer is the during
    accuracy minus that of `scratch` on the same seed, intransigence that of `joint` minus it.
    """
    parts, measures, signs = _parts(goals), measures_of(goals), {goal.metric: goal.sign for goal in goals}
    rows = [row for setting in reported for row in sorted(_rows(setting, parts), key=lambda row: row["seed"])]
    frame = pd.DataFrame(rows, columns=["setting", "seed", "lost", *measures, *COSTS])
    frame = frame.astype(dict.fromkeys(measures, float))
    worst_of = {
        key: WORST[metric] if metric in METRICS else (sign := signs[f"validation/{metric}"]) * (sign * frame[key]).max()
        for key, (_, metric) in parts.items()
        if metric not in REFERENCE_OF
    }
    alive = np.asarray(frame["lost"] == "")
    for label in dict.fromkeys(frame["setting"]):
        own = np.asarray(frame["setting"] == label)
        known = frame[own & alive if (own & alive).any() else alive].dropna(axis="columns", how="all").columns
        worst = {key: worst_of[key] for key in parts if key in known}
        worst["compression_ratio"] = next(iter(frame.loc[own, "compression_ratio"].dropna()), nan)
        frame.loc[own & ~alive, list(worst)] = list(worst.values())
    for metric, label in REFERENCE_OF.items():
        reference = frame[(frame["setting"] == label) & alive]
        for data in DATA:
            during = f"{data}/during_accuracy"
            of_seed = dict(zip(reference["seed"], reference[during], strict=True))
            gained = frame[during] - [of_seed.get(seed, nan) for seed in frame["seed"]]
            gained = -gained if label == JOINT else gained
            frame[f"{data}/{metric}"] = gained.where(frame["setting"] != label)
    return frame


def _rows(reported: Reported, parts: Mapping[str, tuple[str, str]]) -> Iterator[dict[str, Any]]:
    for seed, why in reported.lost:
        yield {"setting": reported.label, "seed": seed, "lost": why}
    for summary in reported.summaries:
        costs = {"seconds": summary.seconds, "seeds_together": len(summary.seeds), "flops": summary.flops}
        for result in summary.seeds:
            values = {key: result.metrics[data].get(metric) for key, (data, metric) in parts.items()}
            lost = f"diverged: {result.diverged}" if result.diverged else ""
            named = {"setting": reported.label, "seed": result.seed, "lost": lost}
            yield named | values | {"compression_ratio": summary.compression_ratio} | costs


def why_unknown(reported: Reported, key: str, seeds: pd.DataFrame) -> str | None:
    """Why a setting lacks a measure; None where nobody says so.

    Args:
        reported: the setting.
        key: as from `measures_of`.
        seeds: as from `seeds_of_all`.
    """
    data, _, metric = key.partition("/")
    reference = REFERENCE_OF.get(metric)
    if reference is not None and reported.label != reference:
        gone = seeds["seed"][(seeds["setting"] == reference) & (seeds["lost"] != "")].tolist()
        none = "needs the same target trained from scratch on the same seeds (final.from_scratch)"
        lost = "from scratch"
        if reference == JOINT:
            none, lost = "needs the same target trained jointly on the same seeds (final.joint)", "of joint training"
        return f"seed {gone[0]} {lost} is lost" if gone else none
    results = (result for summary in reported.summaries for result in summary.seeds if not result.diverged)
    return next(
        (why[metric] for result in results if metric in (why := result.metrics.get(data, {}).get("why", {}))), None
    )
