"""What a few seeds say: mean, intervals, and the paired difference to another setting.

scipy is imported where it is used: every trial's process imports this package too, to draw a matrix.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hypercl.seeds import derive

LEVEL = 0.95
"""Of every interval."""
NORMAL = 1.96
"""Standard deviations of a normal distribution to each side of an interval of that level."""
BOOTSTRAP_FROM = 10
"""Values from which on a bootstrap interval is given: on 5 a 95 % bootstrap covers only 83 %
(../shared/spec/protocols.md)."""
RESAMPLES = 9999
MOST_FLIPS = 2**16
"""Sign flips that are all tried, of up to 16 pairs; of more, `RESAMPLES` of them are drawn."""
ALIKE = 1e-12
"""Values that differ by less than this share of the greatest are equal: means of counts differ by rounding."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """What some values say about the mean of all that could have been drawn."""

    count: int
    mean: float | None
    """None where a value is unknown."""
    sd: float | None
    """Sample standard deviation; None of one value."""
    t_interval: Interval | None
    """Student's, of level `LEVEL`; None of one value."""
    bootstrap_interval: Interval | None
    """Bias-corrected and accelerated (Efron, 1987); None below `BOOTSTRAP_FROM` values."""
    why: str
    """A sentence on what is None or has no width."""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Difference(Estimate):
    """Of two settings on the same seeds: the values are the differences of pairs."""

    p: float | None
    """Two-sided, of a sign-flip permutation test: how often pairs whose signs are chance are as far from 0."""
    exact: bool
    """Whether every flip was tried."""


def estimate(values: Sequence[float]) -> Estimate:
    """Mean, spread and intervals of independent values, one a seed.

    Args:
        values: one or more; nan is one that is unknown, which is never averaged away.
    """
    sample = np.asarray(values, dtype=float)
    unknown = int(np.isnan(sample).sum())
    if unknown or not len(sample):
        why = f"{unknown} of {len(sample)} values are unknown" if unknown else "there are no values"
        return Estimate(len(sample), None, None, None, None, why)
    mean = float(sample.mean())
    if len(sample) == 1:
        return Estimate(1, mean, None, None, None, "one value says nothing about the spread")
    bootstrap = bootstrap_interval(values) if len(sample) >= BOOTSTRAP_FROM else None
    sd = 0.0 if _equal(sample) else float(sample.std(ddof=1))
    if not sd:
        why = "all values are equal: an interval without width says nothing about further ones"
    else:
        why = "" if bootstrap else f"a bootstrap interval is given from {BOOTSTRAP_FROM} values on"
    return Estimate(len(sample), mean, sd, t_interval(values), bootstrap, why)


def difference(values: Sequence[float], base: Sequence[float]) -> Difference:
    """How far a setting is above the base, seed by seed.

    Args:
        values: of the setting, one a seed.
        base: of the base, on the same seeds in the same order.

    Raises:
        ValueError: they are not as many.
    """
    pairs = [value - other for value, other in zip(values, base, strict=True)]
    sample = estimate(pairs)
    p, exact = sign_flip_p(pairs) if sample.mean is not None else (None, False)
    return Difference(**vars(sample), p=p, exact=exact)


def t_interval(values: Sequence[float]) -> Interval:
    """Student's t interval of the mean of two or more known values."""
    sample = np.asarray(values, dtype=float)
    mean = float(sample.mean())
    if _equal(sample):
        return mean, mean
    half = t_half(len(sample) - 1) * float(sample.std(ddof=1)) / np.sqrt(len(sample))
    return mean - half, mean + half


def t_half(freedom: int) -> float:
    """Standard errors to each side of a t interval, of these degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + LEVEL / 2))


def bootstrap_interval(values: Sequence[float]) -> Interval | None:
    """Bias-corrected and accelerated bootstrap interval of the mean of two or more known values; None where the values
    do not allow one. The same values give the same interval.

    Source: Efron (1987), Better bootstrap confidence intervals.
    """
    sample = np.asarray(values, dtype=float)
    if _equal(sample):
        mean = float(sample.mean())
        return mean, mean
    from scipy import stats

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # the None says so
        interval = stats.bootstrap(
            (sample,),
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=LEVEL,
            method="BCa",
            rng=np.random.default_rng(derive("bootstrap")),
        ).confidence_interval
    low, high = float(interval.low), float(interval.high)
    return (low, high) if np.isfinite([low, high]).all() else None


def sign_flip_p(pairs: Sequence[float]) -> tuple[float, bool]:
    """Two-sided p that the differences of pairs are centred on 0, and whether every flip of their signs was tried.

    It assumes no shape of their distribution but symmetry. Of n pairs it cannot be below 2 / 2^n: 0.0625 of five.
    Source: Fisher (1935), The design of experiments, section 21.

    Args:
        pairs: known differences, one or more.
    """
    sample = np.asarray(pairs, dtype=float)
    greatest = float(np.abs(sample).max())
    if greatest == 0.0 or len(sample) == 1:
        return 1.0, True
    from scipy import stats

    exact = 2 ** min(len(sample), 64) <= MOST_FLIPS

    def mean(flipped: np.ndarray, axis: int) -> np.ndarray:
        return np.round(flipped.mean(axis=axis), 12)  # ties are ties, whatever the order of a sum

    result = stats.permutation_test(
        (sample / greatest,),
        mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=MOST_FLIPS if exact else RESAMPLES,
        batch=2048,
        rng=np.random.default_rng(derive("sign flips")),
    )
    return float(result.pvalue), exact


def _equal(values: np.ndarray) -> bool:
    return bool(np.ptp(values) <= ALIKE * np.abs(values).max())
