"""How much power reaches the head: mean squares through a trunk of random weights."""

from dataclasses import dataclass

import numpy as np
import torch

from hypercl.activations import ACTIVATIONS

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class TrunkMoments:
    """Mean squares in a trunk whose weights have mean zero and such variances that all pre-activations have variance 1.

    Pre-activations of a random layer are close to normal (exactly so in the mean square for ReLU), so a mean square
    after an activation is an integral over a normal density, here a Gauss-Hermite sum.
    """

    hidden: tuple[int, ...]
    """Units of each trunk layer."""
    activation: str
    """A key of `ACTIVATIONS`."""
    dropout: float = 0.0
    """Raises the mean square to 1 / (1 - dropout) times what it was, in training."""
    normalized: bool = False
    """Whether pre-activations have variance 1 whatever the input is."""

    @property
    def unit(self) -> float:
        """Mean square of the activations of a layer whose pre-activations have variance 1."""
        return float(self._after(np.ones(1))[0])

    def variances(self, power: float) -> list[float]:
        """Variance of the weights of each layer, for inputs whose squares have this expected sum."""
        sums = [power, *(units * self.unit for units in self.hidden)]
        return [1 / total for total in sums[: len(self.hidden)]]

    def head_power(self, power: float) -> float:
        """Expected sum of squares of what the head reads: the input itself where the trunk is empty."""
        return self.hidden[-1] * self.unit if self.hidden else power

    def passed(self, share: float | np.ndarray) -> np.ndarray:
        """Share of `head_power` that is left of inputs with a share of the power that `variances` was made for."""
        squares = np.asarray(share, dtype=np.float64)
        for _ in self.hidden:
            squares = self._after(np.ones_like(squares) if self.normalized else squares) / self.unit
        return squares

    def needed(self, share: float | np.ndarray) -> np.ndarray:
        """The inverse of `passed` for shares up to 1, by bisection: `passed` never falls."""
        wanted = np.asarray(share, dtype=np.float64)
        low, high = np.full_like(wanted, -60.0), np.zeros_like(wanted)
        for _ in range(60):
            middle = (low + high) / 2
            below = self.passed(np.exp(middle)) < wanted
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.exp(high)

    def _after(self, variances: np.ndarray) -> np.ndarray:
        """Mean squares of activations, from the variances of the pre-activations."""
        nodes = torch.from_numpy(np.sqrt(variances)[..., None] * _NODES)
        squares = ACTIVATIONS[self.activation](nodes).numpy() ** 2
        return squares @ _WEIGHTS / (1 - self.dropout)
