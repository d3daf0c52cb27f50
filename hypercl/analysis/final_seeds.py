"""Each seed of a final step, from the summaries of its runs: what was measured, and what a lost seed counts as."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypercl.config.models import Goal
from hypercl.training import WORST, RunSummary

BASE, SCRATCH = "base", "scratch"
"""Labels of the experiment as written, and of its target trained from scratch on each task; others: `trial-7`, ..."""


@dataclass(frozen=True)
class Reported:
    """One setting and the results of its runs on fresh seeds."""

    label: str
    """`base`, `trial-7`, `scratch`."""
    settings: Mapping[str, Any]
    """What it has over the experiment as written: key path -> value."""
    promised: float | tuple[float, ...] | None
    """Its objective value in the search, of several goals one each; None where the search never measured it."""
    summaries: list[RunSummary]
    """Of its runs, each of one or several seeds."""
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
)
MEASURES = (*(f"{data}/{metric}" for data in DATA for metric in METRICS), "compression_ratio")
"""What has statistics. Definitions: `hypercl.training.metrics`."""
COSTS = ("seconds", "seeds_together", "flops")
"""Of the run a seed belongs to, which trained `seeds_together` seeds at once."""

_NO_SCRATCH = "needs the same target trained from scratch on the same seeds (final.from_scratch)"


@dataclass(frozen=True)
class Seed:
    """One seed of one setting."""

    number: int
    lost: str
    """Why it diverged or was given up; '' of one that has a result of its own."""
    values: Mapping[str, float | None]
    """`MEASURES` and `COSTS`; those of a lost seed are the worst."""
    why: Mapping[str, str]
    """Measure -> why it is None."""


def seeds_of_all(reported: Sequence[Reported]) -> dict[str, list[Seed]]:
    """The seeds of each setting, in the order of their numbers, by its label.

    A seed that is lost counts as the worst value (`hypercl.training.replicas.WORST`) of every measure that the others
    have. Forward transfer is the during accuracy minus that of `scratch` on the same seed.
    """
    found = {each.label: _seeds(each) for each in reported}
    anywhere = _known(seed for seeds in found.values() for seed in seeds)
    full = {label: [_filled(seed, seeds, anywhere) for seed in seeds] for label, seeds in found.items()}
    scratch = {seed.number: seed for seed in full.get(SCRATCH, [])}
    return {
        label: seeds if label == SCRATCH else [_transferred(seed, scratch.get(seed.number)) for seed in seeds]
        for label, seeds in full.items()
    }


def _seeds(reported: Reported) -> list[Seed]:
    found = {number: Seed(number, why, {}, {}) for number, why in reported.lost}
    for summary in reported.summaries:
        costs = {"seconds": summary.seconds, "seeds_together": len(summary.seeds), "flops": summary.flops}
        for result in summary.seeds:
            values = {f"{data}/{metric}": result.metrics[data][metric] for data in DATA for metric in METRICS}
            reasons = {data: result.metrics[data].get("why", {}) for data in DATA}
            why = {f"{data}/{metric}": text for data in DATA for metric, text in reasons[data].items()}
            values |= {"compression_ratio": summary.compression_ratio, **costs}
            lost = f"diverged: {result.diverged}" if result.diverged else ""
            found[result.seed] = Seed(result.seed, lost, values, why)
    return [found[number] for number in sorted(found)]


def _known(seeds: Iterable[Seed]) -> set[str]:
    """Measures that some seed has."""
    return {key for seed in seeds if not seed.lost for key in MEASURES if seed.values.get(key) is not None}


def _filled(seed: Seed, own: Sequence[Seed], anywhere: set[str]) -> Seed:
    """A lost seed with the worst values; another as it is."""
    if not seed.lost:
        return seed
    known = _known(own) or anywhere
    worst: dict[str, float | None] = {
        f"{data}/{metric}": WORST[metric] for data in DATA for metric in METRICS if f"{data}/{metric}" in known
    }
    ratios = [each.values.get("compression_ratio") for each in own]
    worst["compression_ratio"] = next((ratio for ratio in ratios if ratio is not None), None)
    of_others = next((each.why for each in own if not each.lost), {})
    return Seed(seed.number, seed.lost, {**dict.fromkeys((*MEASURES, *COSTS)), **seed.values, **worst}, of_others)


def _transferred(seed: Seed, scratch: Seed | None) -> Seed:
    """With forward transfer, where the same seed from scratch has a result."""
    values: dict[str, float | None] = dict(seed.values)
    why = dict(seed.why)
    for data in DATA:
        own, other = values[f"{data}/during_accuracy"], scratch and scratch.values[f"{data}/during_accuracy"]
        key = f"{data}/forward_transfer"
        if scratch is None or scratch.lost or own is None or other is None:
            why[key] = f"seed {seed.number} from scratch is lost" if scratch and scratch.lost else _NO_SCRATCH
        else:
            values[key] = own - other
            why.pop(key, None)
    return Seed(seed.number, seed.lost, values, why)


def csv_rows(seeds: Mapping[str, Sequence[Seed]], common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a setting and seed, for final.csv.

    Args:
        seeds: as from `seeds_of_all`.
        common: columns that every row begins with.
    """
    return [
        {**common, "setting": label, "seed": seed.number, "lost": seed.lost}
        | {key: seed.values.get(key) for key in (*MEASURES, *COSTS)}
        for label, own in seeds.items()
        for seed in own
    ]
