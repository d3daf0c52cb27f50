"""How sure the result of a search is, as arithmetic: what other trials would have found, and whether rungs foretell."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np

DRAWS = 2000
FEWEST = 5
"""Trials below which nothing is said of ranks."""


@dataclass(frozen=True)
class Another:
    """What another sweep of as many trials would find."""

    interval: tuple[float, float]
    """95 %, of its winner's expected value."""
    same: float
    """Share of such sweeps with the same winner."""


def another_sweep(
    means: Sequence[float], sds: Sequence[float], trials: int, winner: int, always: int | None, maximize: bool = True
) -> Another:
    """A bootstrap over trials (Efron 1979): trials are drawn again, with their values as uncertain as they are.

    In each draw the setting that looks best wins, and what counts is what is expected of it. A sampler learns from its
    trials, which are drawn here as if they were independent, and nothing better than what was found can come up: the
    interval is rather too short.

    Args:
        means: expected value of each complete setting.
        sds: standard deviation of each.
        trials: trained trials, the complete ones among them.
        winner: place of the winner among the settings.
        always: place of the setting that every sweep has, the one as written; None where there is none.
        maximize: whether a higher value is better.
    """
    rng, sign = np.random.default_rng(0), 1.0 if maximize else -1.0
    mean, sd = np.asarray(means, dtype=float), np.asarray(sds, dtype=float)
    drawn = rng.integers(0, trials, (DRAWS, trials))
    there = np.zeros((DRAWS, trials), dtype=bool)
    np.put_along_axis(there, drawn, True, axis=1)
    there = there[:, : len(mean)]
    if always is not None:
        there[:, always] = True
    seen = np.where(there, sign * (mean + sd * rng.standard_normal((DRAWS, len(mean)))), -np.inf)
    won = seen.argmax(axis=1)[there.any(axis=1)]
    low, high = np.quantile(mean[won], (0.025, 0.975))
    return Another((float(low), float(high)), float((won == winner).mean()))


@dataclass(frozen=True)
class Foretold:
    """How well the order at one moment of training foretells the order at its end."""

    tau: float
    """Kendall's tau-b, 1 for the same order, 0 for none in common."""
    p: float
    """One-sided p of a tau this large where the orders have nothing in common."""


def foretold(early: Sequence[float], late: Sequence[float]) -> Foretold | None:
    """Kendall's tau of some trials' values at a rung and at the end; None of too few, or where all are alike."""
    if len(early) < FEWEST:
        return None
    from scipy.stats import kendalltau  # 0.5 s that those who never ask are spared

    found: Any = kendalltau(early, late, alternative="greater")
    tau, p = float(found.statistic), float(found.pvalue)
    return None if isnan(tau) else Foretold(tau, p)
