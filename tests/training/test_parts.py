"""Sizes known before training, against the arithmetic of spec/method.md 6.1."""

from pathlib import Path

import pytest

from hypercl.config import load
from hypercl.training import sizes

SPACES = Path(__file__).parents[2] / "search_spaces"


@pytest.mark.parametrize(
    ("file", "parameters", "weights"),
    [
        ("split_mnist", 465_672, 478_410),
        ("permuted_mnist", 2_029_939, 2_126_100),
        ("permuted_mnist_100", 2_816_448, 3_027_000),
        ("cifar", 457_336, 468_540),
        ("cifar_zenke", 1_182_678, 1_276_508),
    ],
)
def test_the_papers_settings_have_the_papers_sizes(file: str, parameters: int, weights: int) -> None:
    found = sizes(load(SPACES / f"{file}.yaml").experiment)
    assert (found.parameters, found.target_parameters) == (parameters, weights)
    assert found.compression_ratio == parameters / weights


def test_zenkenets_compression_ratio_is_the_papers() -> None:
    found = sizes(load(SPACES / "cifar_zenke.yaml").experiment)
    assert round(found.compression_ratio, 4) == 0.9265
