"""A step of each shipped setting needs as many kernels of a GPU as is written, and the host never waits in it."""

import pytest
from _pytest.mark import ParameterSet

from tests.benchmarks.kernels import Counts, counts_of, report_share, shipped, written

ALIKE = {"split_mnist_front", "split_mnist_stability", "split_mnist_ent", "permuted_mnist_ent", "cifar_cl3"}
"""They make the step of a setting that is counted here."""
LARGE = ("cifar", *(f"permuted_mnist_{each}" for each in ("100", "250", "tir", "replay", "dgr", "lwf")))
"""How the names of settings with large networks begin."""


def settings() -> list[ParameterSet]:
    """The counts on file, and those of large networks marked."""
    kept = [counts for counts in written() if counts.setting not in ALIKE]
    large = {counts.setting for counts in kept if counts.setting.startswith(LARGE)}
    marks = {True: [pytest.mark.slow], False: []}
    return [pytest.param(counts, id=counts.setting, marks=marks[counts.setting in large]) for counts in kept]


def test_every_shipped_setting_is_written() -> None:
    assert [counts.setting for counts in written()] == shipped()


@pytest.mark.parametrize("before", settings())
def test_the_kernels_of_a_step_are_those_written(before: Counts) -> None:
    found = counts_of(before.setting)
    message = "python -m tests.benchmarks.kernels writes them"
    assert abs(found.kernels - before.kernels) <= 0.05 * before.kernels, message
    assert found.waits <= before.waits


def test_an_evaluation_takes_a_small_part_of_the_kernels_of_the_steps_before_it() -> None:
    (before,) = (counts for counts in written() if counts.setting == "split_mnist")
    assert report_share(before.setting, before.kernels).met
