"""A recorded problem as a landscape: what training any setting on any seed would give, at every report."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution
from scipy.optimize import minimize
from scipy.special import expit, logit

from hypercl.config import SweepFile
from hypercl.sweep.study.space import distributions, params_of
from tests.benchmarks.search.problems import AS_WRITTEN, SEEDS, SPLIT, sweep_file, table_path

LEAST, MOST = 0.02, 0.998
"""Accuracies are modelled between these."""
NEAR = 16
"""A setting's noise is that of a recorded one, drawn with the correlation between the two to this power."""


@dataclass(frozen=True)
class Recorded:
    """A table."""

    params: list[dict[str, Any]]
    """Of each setting, the setting as written first."""
    validation: np.ndarray
    """(settings, seeds, reports)."""
    test: np.ndarray
    """(settings, seeds)."""
    split_sd: float
    """Between validation splits, of the setting as written: standard deviation of its mean."""

    @property
    def level(self) -> np.ndarray:
        """Of each setting: the mean over seeds of what validation and test say at the end."""
        return (self.validation[:, :, -1].mean(axis=1) + self.test.mean(axis=1)) / 2

    @property
    def level_variance(self) -> np.ndarray:
        """The variance of `level` by seeds, half of it that of a typical setting: eight seeds say little of it."""
        both = (self.validation[:, :, -1] + self.test) / 2
        each = np.maximum(both.var(axis=1, ddof=1) / both.shape[1], 1e-6)
        return np.sqrt(each * np.exp(np.log(each).mean()))


def recorded(name: str) -> Recorded:
    """The table of a problem: settings with all seeds on the common split."""
    file, table = sweep_file(name), pd.read_csv(table_path(name))
    reports = [column for column in table if column.startswith("report_")]
    written = table[table["setting"] == AS_WRITTEN]
    means = written.groupby("split_seed")[reports[-1]].agg(["mean", "var", "count"])
    noise = float((means["var"] / means["count"]).mean())
    split_sd = float(np.sqrt(max(0.0, means["mean"].var(ddof=1) - noise)))
    first = written[written["seed"].isin(SEEDS)]
    groups = [(params_of(file.experiment, file.space, {}), first)]
    design = table[(table["setting"] != AS_WRITTEN) & (table["split_seed"] == SPLIT)]
    groups += [(json.loads(rows["params"].iloc[0]), rows) for _, rows in design.groupby("setting")]
    groups = [(params, rows.sort_values("seed")) for params, rows in groups if len(rows) == len(SEEDS)]
    return Recorded(
        params=[params for params, _ in groups],
        validation=np.stack([rows[reports].to_numpy() for _, rows in groups]),
        test=np.stack([rows["test"].to_numpy() for _, rows in groups]),
        split_sd=split_sd,
    )


class Encoding:
    """Params as points: ranges scaled to 0 .. 1 (in the logarithm where they are), listed numbers by their place in the
    list, other choices one-hot at distance 1."""

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self._space = space
        self.groups = np.repeat(np.arange(len(space)), [len(self._one(one, None)) for one in space.values()])
        """Of each coordinate, the place of its parameter in the space."""

    def __call__(self, params: Mapping[str, Any]) -> np.ndarray:
        """(coordinates,)."""
        return np.array([number for path, one in self._space.items() for number in self._one(one, params[path])])

    @staticmethod
    def _one(one: BaseDistribution, value: Any) -> list[float]:
        if isinstance(one, CategoricalDistribution):
            if all(isinstance(choice, int | float) for choice in one.choices):
                return [0.0 if value is None else one.choices.index(value) / (len(one.choices) - 1)]
            return [float(choice == value) / np.sqrt(2) for choice in one.choices]
        if value is None:
            return [0.0]
        scale = np.log if one.log else float  # pyright: ignore[reportAttributeAccessIssue]
        low, high = scale(one.low), scale(one.high)  # pyright: ignore[reportAttributeAccessIssue]
        return [float((scale(value) - low) / (high - low))]


class Landscape:
    """A Gaussian process on the log-odds of the table's mean accuracies, with one length a parameter: the truth is its
    posterior mean, which is smoother than reality and falls back to the mean far from all recorded settings.

    What a run gives is the sum of: the setting's mean curve; what the validation split makes of the setting; what the
    seed makes of it, drawn as a whole curve from the table's settings nearby.
    """

    def __init__(self, name: str) -> None:
        self.file: SweepFile = sweep_file(name)
        self.table = table = recorded(name)
        self.encoding = Encoding(distributions(self.file.space))
        self._points = np.stack([self.encoding(params) for params in table.params])
        curves = table.validation.mean(axis=1)
        # The end of a curve is where validation and test, two looks at one truth, are on the average.
        curves += (table.level - curves[:, -1])[:, None] * np.linspace(0, 1, curves.shape[1])
        odds = logit(curves.clip(LEAST, MOST))
        noise = table.level_variance / (expit(odds[:, -1]) * expit(-odds[:, -1])) ** 2
        self._lengths, signal, rest = _fitted(self._points, self.encoding.groups, odds[:, -1], noise)
        self._scale = signal
        inverse = np.linalg.inv(signal * self._kernel(self._points) + np.diag(noise + rest))
        ones = inverse.sum(axis=0) / inverse.sum()
        self._centre = ones @ odds
        self._pull = inverse @ (odds - self._centre)
        residuals = table.validation - table.validation.mean(axis=1, keepdims=True)
        count = residuals.shape[1]
        self.residuals = residuals * np.sqrt(count / (count - 1))
        self.split_sd, self.split_own_sd = table.split_sd, self._split_own_sd()
        self.reports = curves.shape[1]
        self.as_written = table.params[0]
        self.base = self.truth(self.as_written)
        self.best = max(self.truth(params) for params in table.params)
        centred = inverse - np.outer(inverse.sum(axis=0), ones)
        errors = centred @ odds[:, -1] / np.diag(centred)
        self.explained = float(1 - (errors**2).mean() / odds[:, -1].var())
        """Share of the variance between settings that is predicted of those left out, one at a time."""

    def near(self, params: Mapping[str, Any]) -> np.ndarray:
        """How probably the noise of a setting is that of each of the table's: (settings,), summing to 1."""
        shares = self._kernel(self.encoding(params)[None])[0] ** NEAR
        return shares / shares.sum()

    def curve(self, params: Mapping[str, Any]) -> np.ndarray:
        """The true mean of a setting at every report."""
        kernel = self._scale * self._kernel(self.encoding(params)[None])[0]
        return expit(self._centre + kernel @ self._pull)

    def truth(self, params: Mapping[str, Any]) -> float:
        """The true mean of a setting."""
        return float(self.curve(params)[-1])

    def _kernel(self, points: np.ndarray) -> np.ndarray:
        return _matern(points / self._lengths, self._points / self._lengths)[0]

    def _split_own_sd(self) -> float:
        """Standard deviation over settings of what the split makes of a setting, beside what it makes of all: half of
        the variance of validation minus test, after what seeds explain."""
        gap = self.table.validation[:, :, -1] - self.table.test
        noise = gap.var(axis=1, ddof=1).mean() / gap.shape[1]
        return float(np.sqrt(max(0.0, (gap.mean(axis=1).var(ddof=1) - noise) / 2)))


def _matern(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Matérn 5/2 kernel of variance 1, (first, second), and the distances times the square root of 5."""
    apart = np.sqrt(5 * ((first[:, None] - second[None]) ** 2).sum(axis=2))
    return (1 + apart + apart**2 / 3) * np.exp(-apart), apart


def _fitted(
    points: np.ndarray, groups: np.ndarray, values: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """The likeliest lengths (one a coordinate), variance of the signal, and variance beside noise and signal.

    Under log-normal priors: lengths around half the square root of the number of parameters (Hvarfner et al. 2024,
    arXiv 2402.02229), the variances around all and a twentieth of that of the values.
    """
    spread, number = values.var(), groups.max() + 1
    scaled, noise = (values - values.mean()) / np.sqrt(spread), noise / spread
    around = np.log([*[0.5 * np.sqrt(number)] * number, 1.0, 0.05])
    apart = [
        ((points[:, None, groups == group] - points[None][:, :, groups == group]) ** 2).sum(axis=2)
        for group in range(number)
    ]

    def loss(chosen: np.ndarray) -> tuple[float, np.ndarray]:
        lengths, (signal, rest) = np.exp(chosen[:number]), np.exp(chosen[number:])
        correlation, distance = _matern(points / lengths[groups], points / lengths[groups])
        # A constant mean, integrated out: a constant of large variance.
        whole = signal * correlation + np.diag(noise + rest) + 100.0
        inverse = np.linalg.inv(whole)
        pull = inverse @ scaled
        slope = inverse - np.outer(pull, pull)
        steep = 5 / 3 * signal * (1 + distance) * np.exp(-distance) * slope
        slopes = [(steep * each).sum() / length**2 for each, length in zip(apart, lengths, strict=True)]
        slopes += [signal * (slope * correlation).sum(), rest * np.trace(slope)]
        value = scaled @ pull + np.linalg.slogdet(whole)[1] + ((chosen - around) ** 2).sum()
        return value / 2, np.array(slopes) / 2 + chosen - around

    chosen = minimize(loss, around, jac=True, method="L-BFGS-B").x
    signal, rest = np.exp(chosen[number:]) * spread
    return np.exp(chosen[:number])[groups], float(signal), float(rest)


class World:
    """One simulated sweep's chance: its validation split, and the luck of each seed.

    Args:
        land: the problem.
        seed: of the world.
    """

    def __init__(self, land: Landscape, seed: int) -> None:
        self.land = land
        self._seed = seed
        self._rise = np.linspace(0, 1, land.reports)
        self._known: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._splits: dict[int, tuple[float, np.ndarray]] = {}

    def run(self, params: Mapping[str, Any], seed: int, split: int = 0) -> np.ndarray:
        """The reports of a run: (reports,), clipped to 0 .. 1.

        Args:
            params: the setting.
            seed: of the run; the same one has the same luck with every setting, as far as the table says so.
            split: number of the validation split.
        """
        key = _key(params)
        near, mean = self._setting(key, params)
        column = int(np.random.default_rng((self._seed, 1, seed)).integers(self.land.residuals.shape[1]))
        own = np.random.default_rng((self._seed, 2, seed, zlib.crc32(key.encode()))).random()
        place = min(int(np.searchsorted(np.cumsum(near), own)), len(near) - 1)
        return np.clip(mean + self.land.residuals[place, column] + self._of_split(near, split) * self._rise, 0.0, 1.0)

    def validation_truth(self, params: Mapping[str, Any], split: int = 0) -> float:
        """The mean over all seeds on a split, which is what a search on that split can promise at best."""
        near, mean = self._setting(_key(params), params)
        return float(mean[-1] + self._of_split(near, split))

    def _setting(self, key: str, params: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Whose noise a setting has, and its mean curve."""
        if key not in self._known:
            self._known[key] = self.land.near(params), self.land.curve(params)
        return self._known[key]

    def _of_split(self, near: np.ndarray, split: int) -> float:
        if split not in self._splits:
            random = np.random.default_rng((self._seed, 3, split))
            each = random.normal(0, self.land.split_own_sd, len(near))
            self._splits[split] = float(random.normal(0, self.land.split_sd)), each
        common, each = self._splits[split]
        return common + float(near @ each)


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(dict(params), sort_keys=True)
