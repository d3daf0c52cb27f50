"""What noisy values of a search say about the settings they are of: a Gaussian process over the space."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LENGTHS = (0.5, 0.8, 1.2, 2.0, 3.5)
"""Lengths of the Matérn kernel in the unit cube; log-normal around 1.2 (a factor of 2 is one standard deviation)."""
NOISES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Variances of a value's noise, relative to that of the true means; log-normal around 1 (a factor of 4.5)."""


@dataclass(frozen=True)
class Posterior:
    """Of the true means of some settings."""

    mean: np.ndarray
    """(settings,)."""
    covariance: np.ndarray
    """(settings, settings)."""


def posterior(
    points: np.ndarray, values: Sequence[float] | np.ndarray, seeds: Sequence[float] | np.ndarray | None = None
) -> Posterior:
    """The posterior at the settings that were tried, averaged over lengths and noises by their likelihood.

    A Gaussian process with an unknown constant mean and unknown variance (both integrated out; Rasmussen and Williams
    2006, section 2.7), a Matérn 5/2 kernel of one length for all coordinates, and independent noise. With few values a
    grid of lengths and noises under weak priors is steadier than the likeliest of them.

    Args:
        points: (settings, coordinates), in the unit cube; choices one-hot. A setting tried twice stands there twice.
        values: one a setting, the mean over its seeds.
        seeds: of each value; one where left out.
    """
    found = np.asarray(values, dtype=float)
    count, each = len(found), np.ones(len(found)) if seeds is None else 1 / np.asarray(seeds, dtype=float)
    weights, means, covariances = [], [], []
    for length in LENGTHS:
        prior = matern(points, length)
        for ratio in NOISES:
            factor = np.linalg.cholesky(prior + np.diag(ratio * each + 1e-9))
            solved = np.linalg.solve(factor, np.column_stack([np.ones(count), found, prior]))
            one, scaled, kernel = solved[:, 0], solved[:, 1], solved[:, 2:]
            precision = one @ one
            centre = one @ scaled / precision
            rest = scaled - centre * one
            variance = (rest @ rest + 1e-12) / max(count - 1, 1)
            likelihood = -(count - 1) / 2 * np.log(variance) - np.log(np.diag(factor)).sum() - np.log(precision) / 2
            likelihood -= (np.log(length / 1.2) / np.log(2)) ** 2 / 2 + (np.log(ratio) / np.log(4.5)) ** 2 / 2
            unsure = 1 - kernel.T @ one
            weights.append(likelihood)
            means.append(centre + kernel.T @ rest)
            covariances.append(variance * (prior - kernel.T @ kernel + np.outer(unsure, unsure) / precision))
    shares = np.exp(np.array(weights) - max(weights))
    shares /= shares.sum()
    mean = shares @ np.array(means)
    apart = np.array(means) - mean
    covariance = np.tensordot(shares, np.array(covariances), axes=1) + (apart.T * shares) @ apart
    return Posterior(mean, covariance)


def matern(points: np.ndarray, length: float) -> np.ndarray:
    """The Matérn 5/2 kernel of variance 1, (points, points)."""
    apart = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2)) * np.sqrt(5) / length
    return (1 + apart + apart**2 / 3) * np.exp(-apart)
