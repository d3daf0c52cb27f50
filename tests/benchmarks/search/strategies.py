"""Strategies: how a sweep searches, and how it decides. All are given the same training steps."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import ndtr, stdtr

from hypercl.config import SweepFile
from hypercl.config.models import Search
from hypercl.config.models.sweep import ASHA, NoPruner
from tests.benchmarks.search.engine import Searched, Tried, fresh_values
from tests.benchmarks.search.posterior import Posterior, posterior_of

PRUNERS = {"asha": ASHA(), "none": NoPruner()}


@dataclass(frozen=True)
class Confirm:
    """The stage after the search: challengers against the setting as written, on further seeds.

    All get the same seeds. Each round but the last takes half of what is left of the budget and leaves the better half
    of the challengers; the last one takes the title where the evidence says so.
    """

    share: float = 0.25
    """Of the sweep's training steps."""
    challengers: int = 3
    """How many, the best by `posterior`."""
    alpha: float = 0.05
    """The highest probability that the challenger is no better than the setting as written."""
    by: Literal["posterior", "test"] = "posterior"
    """What decides: the posterior over all values, or a one-sided paired t test over the further seeds alone."""


@dataclass(frozen=True)
class Strategy:
    """A way to sweep."""

    name: str
    sampler: str = "tpe"
    pruner: str = "none"
    seeds: int = 1
    """Of each trial."""
    fresh: Literal["", "seeds", "splits"] = ""
    """As for `engine.searched`."""
    choose: Literal["value", "posterior"] = "posterior"
    """What the best of the search goes by, where nothing is confirmed."""
    confirm: Confirm | None = None

    def file(self, problem: SweepFile, seed: int) -> SweepFile:
        """A problem as this strategy searches it."""
        search = Search.model_validate({"sampler": self.sampler, "trials": 40, "seed": seed})
        return problem.model_copy(update={"search": search, "pruner": PRUNERS[self.pruner]})

    @property
    def search_key(self) -> tuple[Any, ...]:
        """Strategies with the same key search alike."""
        return (self.sampler, self.pruner, self.seeds, self.fresh)


@dataclass(frozen=True)
class Decision:
    """What a sweep ends with."""

    params: Mapping[str, Any]
    promised: float
    """The value that it tells beside the winner."""
    sd: float = float("nan")
    """How unsure it is of it."""


def decided(strategy: Strategy, whole: Searched, budget: float) -> Decision:
    """What a strategy makes of a search with a budget.

    Args:
        strategy: what decides.
        whole: its search, carried on until at least the budget was spent.
        budget: in trainings of one seed to the end, what is confirmed included.
    """
    confirm = strategy.confirm
    found = whole.until(budget * (1 - confirm.share if confirm else 1))
    if not found.complete:
        return Decision(found.written, float("nan"))
    evidence = Evidence(found)
    if confirm is not None:
        return _confirmed(confirm, evidence, budget * confirm.share, strategy.fresh == "splits")
    if strategy.choose == "value":
        best = max(found.complete, key=lambda trial: trial.value)
        return Decision(best.params, best.value)
    believed = evidence.posterior()
    best = int(np.argmax(believed.mean))
    return Decision(evidence.params[best], float(believed.mean[best]), float(believed.sd[best]))


class Evidence:
    """The values of a search's complete trials, one row a setting, and further ones as they come in.

    Args:
        found: the search.
    """

    def __init__(self, found: Searched) -> None:
        self.world = found.world
        values: dict[str, list[float]] = {}
        params: dict[str, Mapping[str, Any]] = {}
        trials: list[Tried] = found.complete
        for trial in trials:
            params[_key(trial.params)] = trial.params
            values.setdefault(_key(trial.params), []).extend(trial.values)
        written = _key(found.written)
        params.setdefault(written, found.written)
        self.params, self.values = list(params.values()), [values.get(key, []) for key in params]
        self.further: list[list[float]] = [[] for _ in params]
        """Of each setting: the values since the search."""
        self.written = list(params).index(written)
        self._points = np.stack([found.world.land.encoding(each) for each in self.params])

    def train(self, settings: Sequence[int], seeds: Sequence[int], splits: bool) -> None:
        """Trains settings on further seeds."""
        for setting in settings:
            self.further[setting] += fresh_values(self.world, self.params[setting], seeds, splits).tolist()

    def posterior(self) -> Posterior:
        """The posterior at the settings; a setting without a value is at minus infinity."""
        rows = [[*search, *since] for search, since in zip(self.values, self.further, strict=True)]
        has = np.array([bool(row) for row in rows])
        known = posterior_of(
            self._points[has], [float(np.mean(row)) for row in rows if row], [len(row) for row in rows if row]
        )
        mean, sd = np.full(len(rows), -np.inf), np.zeros(len(rows))
        mean[has], sd[has] = known.mean, known.sd
        return Posterior(mean, sd)


def _confirmed(confirm: Confirm, evidence: Evidence, budget: float, splits: bool) -> Decision:
    believed, written, seeds, spare = evidence.posterior(), evidence.written, 0, int(budget)
    order = [int(place) for place in np.argsort(-believed.mean, kind="stable") if place != written]
    left = [place for place in order if evidence.values[place]][: confirm.challengers]
    while left:
        entrants = len(left) + 1
        each = max(1, spare // 2 // entrants) if len(left) > 1 else spare // entrants
        if each < 1 or each * entrants > spare:
            break
        evidence.train([*left, written], range(seeds, seeds + each), splits)
        seeds, spare = seeds + each, spare - each * entrants
        believed = evidence.posterior()
        if len(left) == 1:
            break
        left = sorted(left, key=lambda place: -believed.mean[place])[: len(left) // 2]
    if not left or not evidence.further[written]:
        return Decision(evidence.params[written], float(believed.mean[written]), float(believed.sd[written]))
    best = left[0]
    if confirm.by == "test":
        p = p_better(np.subtract(evidence.further[best], evidence.further[written]))
        winner = best if p <= confirm.alpha else written
        return Decision(evidence.params[winner], float(np.mean(evidence.further[winner])))
    unsure = np.hypot(believed.sd[best], believed.sd[written]) + 1e-12
    p = float(ndtr(-(believed.mean[best] - believed.mean[written]) / unsure))
    winner = best if p <= confirm.alpha else written
    return Decision(evidence.params[winner], float(believed.mean[winner]), float(believed.sd[winner]))


def p_better(differences: Sequence[float] | np.ndarray) -> float:
    """One-sided p of the paired t test that the true mean difference is above zero; 1 of one pair."""
    pairs = np.asarray(differences, dtype=float)
    if len(pairs) < 2:
        return 1.0
    spread = float(pairs.std(ddof=1))
    if spread < 1e-12:
        return 0.5 ** len(pairs) if pairs.mean() > 0 else 1.0
    return float(stdtr(len(pairs) - 1, -pairs.mean() / (spread / np.sqrt(len(pairs)))))


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(dict(params), sort_keys=True)
