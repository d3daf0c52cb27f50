"""The result of a finished run, and its file, summary.json."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeGuard

from hypercl.config import UserError
from hypercl.config.models import is_list
from hypercl.files import write_text

SUMMARY = "summary.json"
DATA = ("validation", "test")
GIB = 2**30
_SETTINGS = ("version", "seed", "threads", "peak_memory_bytes")
"""Numbers in summary.json that are no measures, and one that a trial reports in another unit."""

Metrics = Mapping[str, Any]
"""Of one data set: metric -> fraction, or None where it is unknown; `final_accuracy_per_task`; `why` it is unknown."""


@dataclass(frozen=True)
class SeedResult:
    """What one seed of a run reached."""

    seed: int
    metrics: Mapping[str, Metrics]
    """By data set."""
    diverged: str = ""
    """When its loss stopped being finite, as a sentence; '' where it did not, or where all seeds did."""

    def value(self, key: str) -> float | None:
        """A metric such as `validation/final_accuracy`; None where it is unknown."""
        data, _, metric = key.partition("/")
        return self.metrics.get(data, {}).get(metric)


@dataclass(frozen=True)
class RunSummary:
    """All that a finished run measured. Accuracies are fractions."""

    metrics: Mapping[str, Metrics]
    """By data set; means where there are several seeds."""
    seeds: tuple[SeedResult, ...]
    """Every seed, in order, also where there is one."""
    spread: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    """Sample standard deviations over seeds; empty where there is one."""
    compression_ratio: float | None = None
    parameters: int | None = None
    target_parameters: int | None = None
    chunk_size: int | None = None
    generator_parameters: int | None = None
    iterations: int | None = None
    iterations_per_task: tuple[int, ...] = ()
    flops: int | None = None
    """Floating-point operations of the training steps of all seeds (`hypercl.training.flops` says which are counted);
    neither evaluation nor what a method does before and after a task is included. None where they are unknown."""
    flops_per_task: tuple[int | None, ...] = ()
    why: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why `flops` is None."""
    capture: Mapping[str, str] = field(default_factory=dict[str, str])
    """Task, from 1 -> how its steps were taken; empty where none could be recorded, as on a CPU."""
    seconds: float = 0.0
    """Training time over all restarts."""
    peak_memory_bytes: int | None = None
    device: str = ""
    hardware: str = ""
    threads: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of `hypercl` and `torch`."""

    @property
    def diverged(self) -> tuple[str, ...]:
        """A sentence for each seed that diverged."""
        return tuple(seed.diverged for seed in self.seeds if seed.diverged)

    def plain(self) -> dict[str, Any]:
        """As in summary.json."""
        first, *others = self.seeds
        several: dict[str, Any] = {}
        if others:
            replicas = [{"seed": one.seed, "diverged": one.diverged or None, **one.metrics} for one in self.seeds]
            several = {"spread": self.spread, "diverged_replicas": len(self.diverged), "replicas": replicas}
        left_out = ["metrics", "seeds", "spread"]
        left_out += ["why"] if self.flops is not None else []
        left_out += [] if self.capture else ["capture"]
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in left_out}
        costs = {name: list(value) if is_list(value) else value for name, value in values.items()}
        return {"version": 1, **self.metrics, **several, "seed": first.seed, **costs}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "RunSummary":
        """From the content of summary.json; earlier versions of hypercl wrote fewer keys."""
        metrics = {data: {**content[data]} for data in DATA if data == "validation" or data in content}
        seeds = tuple(
            SeedResult(each["seed"], {data: each[data] for data in DATA if data in each}, each["diverged"] or "")
            for each in content.get("replicas", ())
        )
        names = {each.name for each in fields(cls)} - {"metrics", "seeds"}
        rest: dict[str, Any] = {
            name: tuple(value) if is_list(value) else value for name, value in content.items() if name in names
        }
        return cls(metrics, seeds or (SeedResult(content.get("seed", 0), metrics),), **rest)

    def measures(self) -> dict[str, float]:
        """What the run measured without test data, by the keys that an objective and bounds name.

        Memory is `peak_memory_gib`: on an accelerator that of the run's tensors, on a CPU that of its process. Of
        several seeds also `spread/validation/...` and `replica_<number>/validation/...`.
        """
        measures = {
            key: float(value) for key, value in self.plain().items() if key not in _SETTINGS and _is_number(value)
        }
        if self.peak_memory_bytes is not None:
            measures["peak_memory_gib"] = self.peak_memory_bytes / GIB
        parts: dict[str, Mapping[str, Metrics]] = {"": self.metrics, "spread/": self.spread}
        if len(self.seeds) > 1:
            parts |= {f"replica_{number}/": seed.metrics for number, seed in enumerate(self.seeds, start=1)}
        for prefix, metrics in parts.items():
            validation = metrics.get("validation", {}).items()
            measures |= {f"{prefix}validation/{name}": float(value) for name, value in validation if _is_number(value)}
        return measures

    def write(self, folder: Path, allowed: Callable[[], None] = lambda: None) -> None:
        """Writes summary.json: from then on the run is finished (`allowed`: as for `write_bytes`)."""
        write_text(folder / SUMMARY, json.dumps(self.plain(), indent=2) + "\n", allowed)

    @classmethod
    def read(cls, folder: Path) -> "RunSummary | None":
        """The summary in a run's folder; None while the run is not finished.

        Raises:
            UserError: summary.json is damaged.
        """
        path = folder / SUMMARY
        if not path.exists():
            return None
        try:
            return cls.of(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path} is damaged: {type(error).__name__}: {error}\n"
                "    fix:     restore it from a copy, or delete the run's folder and rerun the command"
            ) from None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
