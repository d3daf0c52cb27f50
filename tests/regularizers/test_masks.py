from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercl.regularizers import HeadMask


@settings(max_examples=60, deadline=None)
@given(
    output_of=st.lists(st.integers(-1, 5), min_size=1, max_size=20),
    tasks=st.lists(st.integers(0, 2), min_size=1, max_size=4),
)
def test_a_weight_counts_unless_it_belongs_to_an_output_of_another_head(output_of, tasks):
    heads = [(0, 1), (1, 4), (4, 6)]
    mask = HeadMask(torch.tensor(output_of), torch.tensor(heads))
    kept = mask.apply_(torch.ones(len(tasks), len(output_of)), mask.drops(torch.tensor(tasks)))
    expected = [[float(own == -1 or heads[task][0] <= own < heads[task][1]) for own in output_of] for task in tasks]
    assert kept.tolist() == expected


def test_without_a_head_every_weight_counts():
    mask = HeadMask(torch.full((5,), -1), torch.tensor([[0, 2], [2, 4]]))
    assert mask.apply_(torch.ones(2, 5), mask.drops(slice(2))).all()


def test_only_the_heads_own_weights_take_memory():
    output_of = torch.full((100_000,), -1)
    output_of[-6:] = torch.arange(6)
    mask = HeadMask(output_of, torch.tensor([[0, 3], [3, 6]]))
    assert mask.drops(slice(2)).tolist() == [[False] * 3 + [True] * 3, [True] * 3 + [False] * 3]


HEADS = torch.tensor([[0, 1], [1, 4], [4, 6]])
owned = st.lists(st.integers(-1, 5), min_size=1, max_size=20).map(torch.tensor)


@settings(max_examples=60, deadline=None)
@given(output_of=owned)
def test_the_stretches_of_weights_that_always_count_are_those_of_no_output(output_of):
    stretches = HeadMask(output_of, HEADS).always(len(output_of))
    found = [weight for first, end in stretches for weight in range(first, end)]
    assert found == (output_of < 0).nonzero().flatten().tolist()
    assert all(left[1] < right[0] for left, right in pairwise(stretches))


@settings(max_examples=60, deadline=None)
@given(output_of=owned, chunk_size=st.integers(1, 8), tasks=st.integers(1, 3))
def test_the_pairs_that_hold_a_tasks_own_head_are_those_with_such_a_weight(output_of, chunk_size, tasks):
    mask = HeadMask(output_of, HEADS)
    expected = {
        (task, weight // chunk_size)
        for task in range(tasks)
        for weight, output in enumerate(output_of.tolist())
        if HEADS[task, 0] <= output < HEADS[task, 1]
    }
    task, chunk = mask.owning_pairs(tasks, chunk_size)
    assert list(zip(task.tolist(), chunk.tolist(), strict=True)) == sorted(expected)


@settings(max_examples=60, deadline=None)
@given(output_of=owned, chunk_size=st.integers(1, 8))
def test_a_weight_of_the_head_lies_in_its_rows_and_counts_for_its_own_task(output_of, chunk_size):
    mask = HeadMask(output_of, HEADS)
    weights = torch.arange(-3, len(output_of) + 5).expand(3, -1)
    counts = mask.counts(torch.arange(3), weights) if (output_of >= 0).any() else torch.zeros(3, 1)
    for task, weight in counts.nonzero().tolist():
        place = weight - 3
        assert HEADS[task, 0] <= output_of[place] < HEADS[task, 1]
        assert mask.rows(chunk_size).start <= place % chunk_size < mask.rows(chunk_size).stop
    assert counts.sum() == sum(((output_of >= first) & (output_of < end)).sum() for first, end in HEADS.tolist())
