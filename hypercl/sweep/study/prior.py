"""What a person believes of parameters before a search: priors that the sampler follows and evidence overrules."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from hypercl.config import Distribution
from hypercl.seeds import derive
from hypercl.sweep.study.space import encoded

WORTH = 10
"""Trials after which a prior and the sampler decide about equally many values."""
SPREAD = 1 / 6
"""Standard deviation of a range's prior, as a share of the range (of its logarithm)."""


class Believing(BaseSampler):
    """A sampler whose trials take their values from the priors at first, and ever more rarely.

    Trial n takes its values of the parameters that have a prior from these with probability `WORTH / (WORTH + n)`, all
    of them together, and all else from the sampler: a mixture whose prior fades (after Hvarfner et al. 2022, and
    Mallik et al. 2023, arXiv 2306.12370). A prior of a range is normal around its value, cut at the ends; that of a
    choice gives its value half of the draws.

    Args:
        inner: the sampler.
        space: entry -> distribution.
        seed: of the sweep's search.
    """

    def __init__(self, inner: BaseSampler, space: Mapping[str, Distribution], seed: int) -> None:
        self.inner, self._seed = inner, seed
        self._priors = {name: one for name, one in space.items() if one.prior is not None}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        found = self.inner.sample_relative(study, trial, search_space)
        return {name: self._drawn(trial, name) if self._believes(trial, name) else found[name] for name in found}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if self._believes(trial, param_name):
            return self._drawn(trial, param_name)
        return self.inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: Any, values: Sequence[float] | None) -> None:
        self.inner.after_trial(study, trial, state, values)

    def _believes(self, trial: FrozenTrial, name: str) -> bool:
        chance = random.Random(derive(self._seed, "prior", trial.number)).random()
        return name in self._priors and chance < WORTH / (WORTH + trial.number)

    def _drawn(self, trial: FrozenTrial, name: str) -> Any:
        return from_prior(self._priors[name], random.Random(derive(self._seed, "prior", trial.number, name)))


def from_prior(one: Distribution, rng: random.Random) -> Any:
    """A value from a distribution's prior, as Optuna stores it."""
    if one.kind == "choice":
        return encoded(one, one.prior if rng.random() < 0.5 else rng.choice(one.values))
    logarithmic = one.kind in ("log_uniform", "int_log")
    low, high, centre = (math.log(value) if logarithmic else value for value in (*one.values, one.prior))
    value = math.inf
    while not low <= value <= high:
        value = rng.gauss(centre, SPREAD * (high - low))
    value = math.exp(value) if logarithmic else value
    if one.step or one.kind == "int":
        step = one.step or 1
        value = one.values[0] + step * round((value - one.values[0]) / step)
    value = min(max(value, one.values[0]), one.values[1])
    return round(value) if one.kind in ("int", "int_log") else float(value)
