"""Bounds that are known before training: what they say of a suggestion, and of the space."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hypercl.config import ConfigError, Experiment, OutOfReach, assign
from hypercl.config.models import Bound, OwnWeights, SweepFile
from hypercl.formatting import first_line
from hypercl.sweep.study.protocols import tasks_left_out
from hypercl.sweep.study.space import Params, draw, experiment_of


class Sized(Protocol):
    """What `hypercl.training.sizes` returns."""

    @property
    def parameters(self) -> int:
        """Hypernetwork parameters, task embeddings included."""
        ...

    @property
    def compression_ratio(self) -> float:
        """Those over the target's parameters."""
        ...


SizesOf = Callable[[Experiment, tuple[Path, ...]], Sized]


@dataclass(frozen=True)
class Verdict:
    """What the bounds say of one suggestion."""

    violations: dict[str, float]
    """Constraint -> how far beyond its bound, as a share of it; zero and below is within."""
    why: str
    """The broken bounds in words; '' for a feasible suggestion."""
    experiment: Experiment | None
    """None where the values cannot stand together."""

    @property
    def feasible(self) -> bool:
        """Whether it may be trained."""
        return all(value <= 0 for value in self.violations.values())


class Bounds:
    """Judges suggestions by the file's `constraints`.

    Args:
        file: as from `search_config`, whose experiments are judged.
        sizes: of an experiment's networks.
        import_paths: folders in which a user's own target is looked for.
        asked: the file as written. Where its trials learn some of the tasks alone, bounds are on the networks of all.
    """

    def __init__(
        self, file: SweepFile, sizes: SizesOf, import_paths: tuple[Path, ...] = (), asked: SweepFile | None = None
    ) -> None:
        self._file, self._sizes, self._import_paths = file, sizes, import_paths
        self._all_tasks = {} if asked is None else tasks_left_out(asked)

    def judge(self, params: Params) -> Verdict:
        """Builds the experiment of a suggestion and compares its sizes with the bounds; reads no data."""
        try:
            experiment = experiment_of(self._file.experiment, self._file.space, params)
        except ConfigError as error:
            why = "; ".join(f"{problem.path}: {problem.message}" for problem in error.problems)
            return Verdict({"valid": 1.0}, why, None)
        return self.of(experiment)

    def of(self, experiment: Experiment) -> Verdict:
        """As `judge`, for an experiment; a compression ratio that its hypernetwork asks for is a bound as well."""
        violations = {"valid": 0.0}
        broken: list[str] = []
        bounds = self._file.constraints.known_before
        if isinstance(experiment.hypernet, OwnWeights):  # it has no ratio to bound
            bounds = {name: bound for name, bound in bounds.items() if name != "compression_ratio"}
        wanted = getattr(experiment.hypernet, "compression_ratio", None)
        if bounds or wanted is not None:
            try:
                whole = assign(experiment, self._all_tasks) if self._all_tasks else experiment
                sizes = self._sizes(whole, self._import_paths)
            except OutOfReach as error:
                return Verdict({**violations, error.constraint: error.violation}, first_line(error), experiment)
            if wanted is not None:
                violations["compression_ratio"] = sizes.compression_ratio / wanted - 1
            for name, bound in bounds.items():
                value = getattr(sizes, name)
                violations[name] = max(violation(value, bound), violations.get(name, float("-inf")))
                if violations[name] > 0:
                    broken.append(f"{name} {value:.4g} is {beyond(value, bound)}")
        return Verdict(violations, "; ".join(broken), experiment)

    def share(self, most: int = 200, seconds: float = 2.0) -> tuple[float, int]:
        """The feasible share of the space, from draws at random.

        Returns:
            the share, and how many draws it rests on (fewer than `most` where building takes long).
        """
        rng, start, feasible, drawn = random.Random(0), 0.0, 0, 0
        while drawn < most and (drawn < 10 or time.monotonic() - start < seconds):
            feasible += self.judge(draw(self._file.space, rng)).feasible
            drawn += 1
            start = start or time.monotonic()  # the first draw imports torch
        return feasible / drawn, drawn


def violation(value: float, bound: Bound) -> float:
    """How far a value is beyond its bound, as a share of it (of a bound of zero the value); above zero it is broken."""
    above = (value - bound.max) / (bound.max or 1.0) if bound.max is not None else float("-inf")
    below = (bound.min - value) / (bound.min or 1.0) if bound.min is not None else float("-inf")
    return max(above, below)


def beyond(value: float, bound: Bound) -> str:
    """'above 0.01': of a value that breaks its bound."""
    if bound.max is not None and value > bound.max:
        return f"above {bound.max:g}"
    return f"below {bound.min:g}"


METRIC_OF = {
    "forgetting": "validation/forgetting",
    "during_accuracy": "validation/during_accuracy",
    "seconds": "seconds",
    "peak_memory_gib": "peak_memory_gib",
}
"""Bound -> the metric of a trial that it is on."""


def violations_of(bounds: Mapping[str, Bound], metrics: Mapping[str, float]) -> dict[str, float]:
    """Bound -> how far a complete trial is beyond it, as a share of it; zero and below is within.

    Args:
        bounds: `constraints.measured`.
        metrics: of the trial; all that `METRIC_OF` names.
    """
    return {name: violation(metrics[METRIC_OF[name]], bound) for name, bound in bounds.items()}
