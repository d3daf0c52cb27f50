"""Strategies: how a sweep searches, and how it decides. All are given the same training steps."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import stdtr

from hypercl.config import SweepFile
from hypercl.config.models import Search
from hypercl.config.models.sweep import ASHA, NoPruner
from tests.benchmarks.search.engine import Searched, fresh_values
from tests.benchmarks.search.posterior import Posterior, posterior

PRUNERS = {"asha": ASHA(), "none": NoPruner()}


@dataclass(frozen=True)
class Confirm:
    """The stage after the search: challengers against the setting as written, on further seeds.

    All get the same seeds. After each round the better half of the challengers stays, until one is left; it takes the
    title where a one-sided paired t test against the setting as written is significant.
    """

    share: float = 0.25
    """Of the sweep's training steps."""
    challengers: int = 3
    """How many, the best by `by`."""
    by: Literal["posterior", "value"] = "posterior"
    alpha: float = 0.1
    """Level of the test; 0.5 takes whatever has the better mean."""


@dataclass(frozen=True)
class Strategy:
    """A way to sweep."""

    name: str
    sampler: str = "tpe"
    pruner: str = "asha"
    seeds: int = 1
    """Of each trial."""
    fresh: Literal["", "seeds", "splits"] = ""
    """As for `engine.searched`."""
    choose: Literal["value", "posterior"] = "value"
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
    if confirm is not None:
        return _confirmed(confirm, found, budget * confirm.share, strategy.fresh == "splits")
    values = np.array([trial.value for trial in found.complete])
    score = believed(found).mean if strategy.choose == "posterior" else values
    best = int(np.argmax(score))
    return Decision(found.complete[best].params, float(score[best]))


def believed(found: Searched) -> Posterior:
    """The posterior at the complete trials of a search."""
    complete, encoding = found.complete, found.world.land.encoding
    points = np.stack([encoding(trial.params) for trial in complete])
    return posterior(points, [trial.value for trial in complete], [len(trial.values) for trial in complete])


def _confirmed(confirm: Confirm, found: Searched, budget: float, splits: bool) -> Decision:
    written = found.written
    left = _challengers(confirm, found)
    values: dict[str, np.ndarray] = {_key(params): np.empty(0) for params in (*left, written)}
    seeds = 0
    while left:
        spare = int(budget) - sum(map(len, values.values()))
        each = spare // (len(left) + 1) if len(left) == 1 else max(1, spare // 2 // (len(left) + 1))
        if each < 1 or each * (len(left) + 1) > spare:
            break
        for params in (*left, written):
            further = fresh_values(found.world, params, range(seeds, seeds + each), splits)
            values[_key(params)] = np.concatenate([values[_key(params)], further])
        seeds += each
        if len(left) == 1:
            break
        order = sorted(left, key=lambda params: -values[_key(params)].mean())
        left = order[: max(1, len(order) // 2)]
    base = values[_key(written)]
    if not len(base):
        return Decision(written, float("nan"))
    own = values[_key(left[0])]
    winner = left[0] if p_better(own - base) <= confirm.alpha else written
    return Decision(winner, float(values[_key(winner)].mean()))


def _challengers(confirm: Confirm, found: Searched) -> list[Mapping[str, Any]]:
    """The best settings of a search, each once, the setting as written left out."""
    complete = found.complete
    score = believed(found).mean if confirm.by == "posterior" else np.array([trial.value for trial in complete])
    order = {_key(complete[place].params): complete[place].params for place in np.argsort(-score, kind="stable")}
    order.pop(_key(found.written), None)
    return list(order.values())[: confirm.challengers]


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
