"""The recorded problems, and the design of settings that is recorded for each."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.stats import qmc

from hypercl.config import SweepFile, load
from hypercl.sweep.study.space import distributions

HERE = Path(__file__).parent
PROBLEMS = tuple(sorted(path.stem for path in (HERE / "problems").glob("*.yaml")))
SCALARS = ("method.beta", "training.optimizer.lr", "hypernet.embedding_scale")
"""What settings of one bundle may differ in."""
PER_STRUCTURE = 4
"""Settings that share all else, and are trained together."""
SPLIT, SEEDS = 42, (1, 2, 3, 4, 5, 6, 7, 8)
"""Seed of the validation split, and of the runs, of every setting of the design."""
SPLITS_AS_WRITTEN = ((42, (1, 2, 3, 4)), (43, (5, 6, 7, 8)), (44, (9, 10, 11, 12)), (45, (13, 14, 15, 16)))
"""The same for the setting as written, on several splits: how much they matter."""
AS_WRITTEN = -1
"""Its number in a table."""


@dataclass(frozen=True)
class Block:
    """Settings that are trained together."""

    numbers: tuple[int, ...]
    params: tuple[Mapping[str, Any], ...]
    """Of each setting, as Optuna knows them; empty for the setting as written."""
    split_seed: int
    seeds: tuple[int, ...]


def sweep_file(name: str) -> SweepFile:
    """The problem as a sweep."""
    return load(HERE / "problems" / f"{name}.yaml")


def table_path(name: str) -> Path:
    """Where a problem's table lies."""
    return HERE / "tables" / f"{name}.csv"


def blocks(file: SweepFile, settings: int) -> Iterator[Block]:
    """The design: the setting as written, then a Sobol sequence of structures, and one of scalars over them.

    Args:
        file: the problem.
        settings: how many, a multiple of `PER_STRUCTURE`.
    """
    for split_seed, seeds in SPLITS_AS_WRITTEN:
        yield Block((AS_WRITTEN,), ({},), split_seed, seeds)
    known = distributions(file.space)
    scalars = [path for path in known if path in SCALARS]
    structure = [path for path in known if path not in SCALARS]
    outer = qmc.Sobol(len(structure), seed=7).random(2 ** int(np.ceil(np.log2(settings / PER_STRUCTURE))))
    inner = qmc.Sobol(len(scalars), seed=8).random(2 ** int(np.ceil(np.log2(settings))))
    for place in range(settings // PER_STRUCTURE):
        numbers = tuple(range(PER_STRUCTURE * place, PER_STRUCTURE * (place + 1)))
        shared = _at(outer[place], structure, known)
        params = tuple(shared | _at(inner[number], scalars, known) for number in numbers)
        yield Block(numbers, params, SPLIT, SEEDS)


def _at(point: np.ndarray, paths: list[str], known: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    return {path: quantile(known[path], float(place)) for path, place in zip(paths, point, strict=True)}


def quantile(one: BaseDistribution, place: float) -> Any:
    """The value below which so much of a distribution lies.

    Args:
        one: Optuna's distribution.
        place: 0 .. 1.
    """
    if isinstance(one, CategoricalDistribution):
        return one.choices[min(int(place * len(one.choices)), len(one.choices) - 1)]
    assert isinstance(one, IntDistribution | FloatDistribution)
    half = 0.5 if isinstance(one, IntDistribution) else 0.0
    low, high = one.low - half, one.high + half
    value = float(low * (high / low) ** place if one.log else low + place * (high - low))
    return min(max(round(value), one.low), one.high) if isinstance(one, IntDistribution) else float(f"{value:.4g}")


def params_text(params: Mapping[str, Any]) -> str:
    """Params as they stand in a table."""
    return json.dumps(dict(params))
