"""What the noisy values of a search say about the settings they belong to: a Gaussian process over the space."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LENGTHS = (0.5, 0.8, 1.2, 2.0, 3.5)
"""Lengths of the Matérn kernel in the unit cube; log-normal around 1.2 (a factor of 2 is one standard deviation)."""
NOISES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Variances of a value's noise, relative to that of the true means; log-normal around 1 (a factor of 4.5)."""
MOST = 400
"""Values up to which all lengths and noises are averaged; of more, the pair that is likeliest for this many of them is
taken (evenly spaced in the order of trials): the time grows with the cube of the number."""


@dataclass(frozen=True)
class Posterior:
    """Of the true means of some settings, each `(settings,)`."""

    mean: np.ndarray
    sd: np.ndarray


Value = tuple[float, int]
"""A mean over seeds, and their number."""


@dataclass(frozen=True)
class _Spread:
    """What settings with several values say about the noise of one seed."""

    squares: float
    """Sum of the squared distances of the values from their setting's mean, each times its seeds."""
    freedom: int
    """Values beyond the first of each setting."""


def posterior_of(points: np.ndarray, settings: Sequence[Sequence[Value]]) -> Posterior:
    """The posterior at the settings that were tried, averaged over lengths and noises by their likelihood.

    A Gaussian process with an unknown constant mean and unknown variance (both integrated out; Rasmussen and Williams
    2006, section 2.7), a Matérn 5/2 kernel of one length for all coordinates, and independent noise. With few values a
    grid of lengths and noises under weak priors is steadier than the likeliest of them. Several values of a setting
    count as their mean and their spread around it, which tells the process all that they say.

    Args:
        points: `(settings, coordinates)`, in the unit cube; choices one-hot. A setting may stand there twice.
        settings: the values of each, one or more.
    """
    seeds = np.array([sum(count for _, count in own) for own in settings], dtype=float)
    y = np.array([sum(value * count for value, count in own) for own in settings]) / seeds
    squares = sum(count * (value - mean) ** 2 for own, mean in zip(settings, y, strict=True) for value, count in own)
    spread = _Spread(float(squares), sum(len(own) - 1 for own in settings))
    noise = 1 / seeds
    distances = np.sqrt(np.maximum(_squared_distances(points), 0.0))
    pairs = [(length, ratio) for length in LENGTHS for ratio in NOISES]
    if len(y) > MOST:
        few = np.linspace(0, len(y) - 1, MOST).astype(int)
        part = distances[np.ix_(few, few)]
        fits = [_fit(part, y[few], noise[few], spread, *pair)[0] for pair in pairs]
        pairs = [pairs[int(np.argmax(fits))]]
    fits = [_fit(distances, y, noise, spread, *pair) for pair in pairs]
    evidence = np.array([fit[0] for fit in fits])
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    means, variances = np.array([fit[1] for fit in fits]), np.array([fit[2] for fit in fits])
    mean = weights @ means
    return Posterior(mean, np.sqrt(weights @ (variances + (means - mean) ** 2)))


def _fit(
    distances: np.ndarray, y: np.ndarray, noise: np.ndarray, spread: _Spread, length: float, ratio: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Of one length and noise: the logarithm of its likelihood and prior, the posterior's means and variances."""
    count, freedom = len(y), len(y) - 1 + spread.freedom
    prior = _matern(distances / length)
    factor = np.linalg.cholesky(prior + np.diag(ratio * noise + 1e-9))
    solved = np.linalg.solve(factor, np.column_stack([np.ones(count), y, prior]))
    ones, scaled, kernel = solved[:, 0], solved[:, 1], solved[:, 2:]
    precision = ones @ ones
    centre = ones @ scaled / precision
    rest = scaled - centre * ones
    variance = (rest @ rest + spread.squares / ratio + 1e-12) / max(freedom, 1)
    evidence = -freedom / 2 * np.log(variance) - np.log(np.diag(factor)).sum() - np.log(precision) / 2
    evidence -= spread.freedom / 2 * np.log(ratio)
    evidence -= (np.log(length / 1.2) / np.log(2)) ** 2 / 2 + (np.log(ratio) / np.log(4.5)) ** 2 / 2
    unsure = 1 - kernel.T @ ones
    variances = variance * (1 - (kernel**2).sum(axis=0) + unsure**2 / precision)
    return float(evidence), centre + kernel.T @ rest, np.maximum(variances, 0.0)


def _matern(scaled: np.ndarray) -> np.ndarray:
    """The Matérn 5/2 kernel of variance 1, of distances in units of its length."""
    root = np.sqrt(5) * scaled
    return (1 + root + root**2 / 3) * np.exp(-root)


def _squared_distances(points: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances, `(points, points)`."""
    norms = (points**2).sum(axis=1)
    return norms[:, None] + norms[None] - 2 * points @ points.T
