"""A recorded problem as a landscape: what training any setting on any seed would give, at every report."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution
from sklearn.ensemble import ExtraTreesRegressor

from hypercl.config import SweepFile
from hypercl.sweep.study.space import distributions, params_of
from tests.benchmarks.search.problems import AS_WRITTEN, SEEDS, SPLIT, sweep_file, table_path

TREES, LEAF = 50, 1


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
    """Params as points of the unit cube: ranges scaled (in the logarithm where they are), choices one-hot."""

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self._space = space

    def __call__(self, params: Mapping[str, Any]) -> np.ndarray:
        """(coordinates,)."""
        found: list[float] = []
        for path, one in self._space.items():
            if isinstance(one, CategoricalDistribution):
                found += [float(choice == params[path]) for choice in one.choices]
            else:
                scale = np.log if one.log else float  # pyright: ignore[reportAttributeAccessIssue]
                low, high = scale(one.low), scale(one.high)  # pyright: ignore[reportAttributeAccessIssue]
                found.append(float((scale(params[path]) - low) / (high - low)))
        return np.array(found)


class Landscape:
    """Between the table's settings extremely randomised trees; the noise of a setting is that of a neighbour.

    What a run gives is the sum of: the setting's mean curve; what the validation split makes of the setting; what the
    seed makes of it, drawn from the table as a whole curve, so that reports of a run and settings on a seed keep their
    correlations.
    """

    def __init__(self, name: str) -> None:
        self.file: SweepFile = sweep_file(name)
        self.table = recorded(name)
        self.encoding = Encoding(distributions(self.file.space))
        points = np.stack([self.encoding(params) for params in self.table.params])
        self.curves = self._smoothed(points)
        forest = ExtraTreesRegressor(TREES, min_samples_leaf=LEAF, random_state=0).fit(points, self.curves)
        self._trees = [tree.tree_ for tree in forest.estimators_]
        self._shares = [self._shares_of(tree.apply(points.astype(np.float32))) for tree in self._trees]
        residuals = self.table.validation - self.table.validation.mean(axis=1, keepdims=True)
        count = residuals.shape[1]
        self.residuals = residuals * np.sqrt(count / (count - 1))
        self.split_sd = self.table.split_sd
        self.split_own_sd = self._split_own_sd()
        self.reports = self.curves.shape[1]
        self.as_written = self.table.params[0]
        self.base = self.truth(self.as_written)
        self.best = max(self.truth(params) for params in self.table.params)

    def _smoothed(self, points: np.ndarray) -> np.ndarray:
        """The table's mean curves, (settings, reports), shrunk towards what other settings predict, by seed noise.

        The end of a curve is where validation and test, two looks at one truth, are on the average.
        """
        curves = self.table.validation.mean(axis=1)
        curves += (self.table.level - curves[:, -1])[:, None] * np.linspace(0, 1, curves.shape[1])
        noise = self.table.validation.var(axis=1, ddof=1) / self.table.validation.shape[1]
        forest = ExtraTreesRegressor(4 * TREES, bootstrap=True, oob_score=True, random_state=0).fit(points, curves)
        others = forest.oob_prediction_
        spread = np.maximum((curves - others).var(axis=0) - noise.mean(axis=0), 1e-9)
        return curves + (others - curves) * noise / (noise + spread)

    def _split_own_sd(self) -> float:
        """Standard deviation over settings of what the split makes of a setting, beside what it makes of all: half of
        the variance of validation minus test, after what seeds explain."""
        gap = self.table.validation[:, :, -1] - self.table.test
        noise = gap.var(axis=1, ddof=1).mean() / gap.shape[1]
        return float(np.sqrt(max(0.0, (gap.mean(axis=1).var(ddof=1) - noise) / 2)))

    def weights(self, params: Mapping[str, Any]) -> np.ndarray:
        """How much each of the table's settings says about a setting: (settings,), summing to 1."""
        point = self.encoding(params).astype(np.float32)[None]
        pairs = zip(self._shares, self._trees, strict=True)
        return sum(shares[tree.apply(point)[0]] for shares, tree in pairs) / len(self._trees)

    def truth(self, params: Mapping[str, Any]) -> float:
        """The true mean of a setting."""
        return float(self.weights(params) @ self.curves[:, -1])

    @staticmethod
    def _shares_of(leaves: np.ndarray) -> dict[int, np.ndarray]:
        """Of each leaf of a tree, the settings in it, as weights."""
        return {int(leaf): (leaves == leaf) / (leaves == leaf).sum() for leaf in np.unique(leaves)}


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
        self._split = cache(self._drawn_split)

    def run(self, params: Mapping[str, Any], seed: int, split: int = 0) -> np.ndarray:
        """The reports of a run: (reports,), clipped to 0 .. 1.

        Args:
            params: the setting.
            seed: of the run; the same one has the same luck with every setting, as far as the table says so.
            split: number of the validation split.
        """
        key = _key(params)
        weights, mean = self._setting(key, params)
        column = int(np.random.default_rng((self._seed, 1, seed)).integers(self.land.residuals.shape[1]))
        own = np.random.default_rng((self._seed, 2, seed, zlib.crc32(key.encode()))).random()
        near = min(int(np.searchsorted(np.cumsum(weights), own)), len(weights) - 1)
        return np.clip(mean + self.land.residuals[near, column] + self._of_split(weights, split) * self._rise, 0.0, 1.0)

    def validation_truth(self, params: Mapping[str, Any], split: int = 0) -> float:
        """The mean over all seeds on a split, which is what a search on that split can promise at best."""
        weights, mean = self._setting(_key(params), params)
        return float(mean[-1] + self._of_split(weights, split))

    def _setting(self, key: str, params: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """A setting's weights and mean curve."""
        if key not in self._known:
            weights = self.land.weights(params)
            self._known[key] = weights, weights @ self.land.curves
        return self._known[key]

    def _of_split(self, weights: np.ndarray, split: int) -> float:
        common, each = self._split(split)
        return common + float(weights @ each)

    def _drawn_split(self, split: int) -> tuple[float, np.ndarray]:
        random = np.random.default_rng((self._seed, 3, split))
        each = random.normal(0, self.land.split_own_sd, len(self.land.table.params))
        return float(random.normal(0, self.land.split_sd)), each


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(dict(params), sort_keys=True)
