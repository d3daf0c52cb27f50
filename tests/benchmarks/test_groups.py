"""Every group of measures as a test: `pytest -m benchmark`, alone on the machine."""

import pytest

from tests.benchmarks.options import Options
from tests.benchmarks.run import GROUPS, measures_of

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("group", GROUPS)
def test_the_goals_of_a_group_are_met(group):
    rows = list(measures_of(group, Options()))
    assert rows
    missed = [f"{row.measure}: {row.ratio:.3g}, goal {row.goal}" for row in rows if row.met is False]
    assert not missed, "\n".join(missed)
