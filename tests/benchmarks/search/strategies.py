"""Strategies: how a sweep searches, and how it decides. All are given the same training steps."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hypercl.analysis.confirming import confirming_round, halving_plan
from hypercl.analysis.posterior import Posterior, posterior_of
from hypercl.analysis.racing import Plan
from hypercl.config import SweepFile
from hypercl.config.models import Confirm as Shipped
from hypercl.config.models import Search
from hypercl.config.models.pruner import ASHA, ImportedPruner, NoPruner
from tests.benchmarks.search.engine import Searched, Tried, fresh_values

PRUNERS = {
    "asha": ASHA(),
    "none": NoPruner(),
    "wilcoxon": ImportedPruner.model_validate({"import": "optuna.pruners:WilcoxonPruner"}),
}
SHIPPED = Shipped()


@dataclass(frozen=True)
class Confirm:
    """The stage after the search: challengers against the setting as written, on further seeds.

    All get the same seeds. Each round but the last takes half of what is left of the budget and leaves the better half
    of the challengers; the last one takes the title where the evidence says so.
    """

    share: float = SHIPPED.share
    """Of the sweep's training steps."""
    challengers: int = SHIPPED.settings
    """How many, the best by posterior mean."""
    alpha: float = SHIPPED.alpha
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
    intensify: bool = False
    """Whether each challenger is raced against the incumbent as it comes, in place of confirming."""

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
    if strategy.intensify:
        return intensified(whole, budget)
    confirm = strategy.confirm
    plan = halving_plan(int(budget * confirm.share), confirm.challengers, True, confirm.alpha) if confirm else None
    found = whole.until(budget - trainings(plan, confirm.challengers) if plan and confirm else budget)
    if not found.complete:
        return Decision(found.written, float("nan"))
    evidence = Evidence(found)
    if plan and confirm:
        return _confirmed(confirm, evidence, plan, strategy.fresh == "splits")
    if strategy.choose == "value":
        best = max(found.complete, key=lambda trial: trial.value)
        return Decision(best.params, best.value)
    believed = evidence.posterior()
    best = int(np.argmax(believed.mean))
    return Decision(evidence.params[best], float(believed.mean[best]), float(believed.sd[best]))


def intensified(whole: Searched, budget: float) -> Decision:
    """SMAC's race (Hutter et al., 2011): each challenger gives the incumbent one more seed; the challenger gets twice
    as many as before while it is no worse on the seeds that both have, and takes the title once it has as many.

    It begins with the setting as written. What was begun within the budget is carried to its end.
    """
    incumbent, seeds, spent = whole.written, _Seeds(whole), 0.0
    for trial in whole.complete:
        if spent >= budget:
            break
        spent += 1
        if _key(trial.params) == _key(incumbent):
            continue
        known, own = seeds.count(incumbent) + 1, 1
        spent += 1
        while np.mean(seeds.values(trial.params, own)) >= np.mean(seeds.values(incumbent, own)):
            if own == known:
                incumbent = trial.params
                break
            more = min(2 * own, known)
            spent, own = spent + more - own, more
        seeds.values(incumbent, known)
    values = seeds.values(incumbent, seeds.count(incumbent))
    sd = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
    return Decision(incumbent, float(np.mean(values)), sd)


class _Seeds:
    """The values of settings, the search's first and then those of further seeds, as many as were asked for.

    Args:
        found: the search.
    """

    def __init__(self, found: Searched) -> None:
        self._world = found.world
        self._of = {_key(trial.params): [*trial.values] for trial in reversed(found.complete)}

    def count(self, params: Mapping[str, Any]) -> int:
        return len(self._of.get(_key(params), ()))

    def values(self, params: Mapping[str, Any], count: int) -> list[float]:
        """The first ones."""
        own = self._of.setdefault(_key(params), [])
        own += fresh_values(self._world, params, range(len(own), count)).tolist()
        return own[:count]


def trainings(plan: Plan, challengers: int) -> int:
    """What a confirming stage trains, in trainings of one seed, the setting as written included."""
    total, before = 0, 0
    for count in plan.rounds:
        total += (count - before) * (challengers + 1)
        before, challengers = count, max(1, challengers // 2)
    return total


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
        known = posterior_of(self._points[has], [[(value, 1) for value in row] for row in rows if row])
        mean, sd = np.full(len(rows), -np.inf), np.zeros(len(rows))
        mean[has], sd[has] = known.mean, known.sd
        return Posterior(mean, sd)


def _confirmed(confirm: Confirm, evidence: Evidence, plan: Plan, splits: bool) -> Decision:
    believed, written = evidence.posterior(), evidence.written
    order = [int(place) for place in np.argsort(-believed.mean, kind="stable") if place != written]
    left = [place for place in order if evidence.values[place]][: confirm.challengers]
    seeds, winner = 0, written
    for count in plan.rounds if left else ():
        entrants = [*left, written]
        evidence.train(entrants, range(seeds, count), splits)
        believed, seeds = evidence.posterior(), count
        expected = {place: (float(believed.mean[place]), float(believed.sd[place])) for place in entrants}
        further = {place: evidence.further[place] for place in entrants}
        known = expected if confirm.by == "posterior" else None
        result = confirming_round(further, count, plan, written, expected=known)
        left, winner = [place for place in left if place not in result.dropped], result.leader
    if confirm.by == "test" and evidence.further[winner]:
        return Decision(evidence.params[winner], float(np.mean(evidence.further[winner])))
    return Decision(evidence.params[winner], float(believed.mean[winner]), float(believed.sd[winner]))


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(dict(params), sort_keys=True)
