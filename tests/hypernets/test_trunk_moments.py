from typing import get_args

import numpy as np
import pytest
import torch
from torch.nn import functional

from hypercl.config.models.target import Activation
from hypercl.hypernets.initialize import TrunkMoments


@pytest.mark.parametrize("activation", get_args(Activation))
def test_mean_squares_are_those_of_a_wide_random_trunk(activation: str) -> None:
    moments = TrunkMoments((400, 300), activation, dropout=0.2)
    draw = torch.Generator().manual_seed(1)
    for share in (1.0, 0.3, 0.05):
        sums = []
        for _ in range(30):
            values = torch.randn(20, 50, generator=draw) * (share * 7 / 50) ** 0.5
            for units, variance in zip(moments.hidden, moments.variances(7.0), strict=True):
                weight = torch.randn(units, values.shape[1], generator=draw) * variance**0.5
                values = getattr(functional, activation)(values @ weight.T)
                values = values * (torch.rand(values.shape, generator=draw) >= 0.2) / 0.8 - moments.offset
            sums.append(float(values.square().sum(1).mean()))
        expected = float(moments.passed(share)) * moments.head_power(7.0)
        assert sum(sums) / len(sums) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_every_share_of_the_power_can_be_had(activation: str) -> None:
    moments = TrunkMoments((40, 30), activation)
    shares = np.geomspace(1e-4, 1, 9)
    np.testing.assert_allclose(moments.passed(moments.needed(shares)), shares, rtol=1e-6)


def test_an_empty_trunk_passes_what_it_reads() -> None:
    moments = TrunkMoments((), "relu")
    assert moments.head_power(7.0) == 7.0
    assert moments.variances(7.0) == []
    assert float(moments.needed(0.25)) == pytest.approx(0.25)


def test_a_normalised_trunk_hides_the_size_of_what_it_reads() -> None:
    passed = TrunkMoments((8, 8), "tanh", normalized=True).passed(np.array([0.1, 1.0]))
    np.testing.assert_allclose(passed, [1.0, 1.0], rtol=1e-15)
