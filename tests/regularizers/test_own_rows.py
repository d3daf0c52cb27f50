"""Rows of own heads in parts."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercl.regularizers.masks import divide_rows

tables = st.tuples(st.integers(1, 6), st.integers(1, 30), st.integers(0, 1000), st.floats(0.05, 0.95)).map(
    lambda given: torch.rand(given[:2], generator=torch.Generator().manual_seed(given[2])) < given[3]
)


@settings(deadline=None, max_examples=60)
@given(own=tables, start=st.integers(0, 5), data=st.data())
def test_the_parts_hold_every_own_weight_once(own, start, data):
    chosen = torch.tensor(sorted(data.draw(st.sets(st.integers(0, len(own) - 1), min_size=1))))
    found = torch.zeros(len(chosen), own.shape[1] + start, dtype=torch.int64)
    for part in divide_rows(own, start, inputs=8):
        places, counts = part.among(chosen, len(own))
        assert len(places.unique()) == len(places)
        found[places, part.rows] += counts
    assert torch.equal(found[:, start:], own[chosen].long())


def test_heads_far_apart_are_compared_in_parts_and_small_ones_at_once():
    tasks, width = 10, 10_000
    own = torch.zeros(tasks, tasks * width, dtype=torch.bool)
    for task in range(tasks):
        own[task, task * width : (task + 1) * width] = True
    parts = divide_rows(own, 0, inputs=26)
    assert sum(part.counts.numel() for part in parts) < own.numel() / 4
    assert len(divide_rows(own[:, ::1000], 0, inputs=26)) == 1
