import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercl.regularizers import HeadMask
from hypercl.regularizers.pairs import Run, divide


@settings(max_examples=100, deadline=None)
@given(counting=st.lists(st.booleans(), min_size=1, max_size=40), chunk_size=st.integers(1, 45))
def test_runs_and_blocks_hold_each_weight_that_counts_once_and_no_other(counting, chunk_size):
    counting = torch.tensor(counting)
    always = HeadMask(torch.where(counting, -1, 0), torch.tensor([[0, 1]])).always(len(counting))
    partition = divide(len(counting), chunk_size, always)
    held = torch.zeros(-(-len(counting) // chunk_size), chunk_size, dtype=torch.int64)
    for run in partition.runs:
        for block in run.blocks:
            held[run.chunks, partition.rows[block]] += 1
    assert held.flatten()[: len(counting)].tolist() == counting.long().tolist()
    assert not held.flatten()[len(counting) :].any()


def test_a_cut_splits_the_rows_in_two_and_the_last_chunk_from_the_others():
    partition = divide(23, 5, [(0, 23)])
    assert partition.rows == (slice(0, 3), slice(3, 5))
    assert partition.runs == (Run(slice(0, 4), (0, 1)), Run(slice(4, 5), (0,)))


def test_chunks_wholly_inside_the_heads_belong_to_no_run():
    partition = divide(23, 5, [(0, 12)])
    assert partition.runs == (Run(slice(0, 2), (0, 1)), Run(slice(2, 3), (0,)))
    assert partition.num_chunks == 3


def test_weights_without_a_cut_or_a_head_are_one_block():
    assert divide(20, 5, [(0, 20)]).rows == (slice(0, 5),)
    assert divide(20, 20, [(0, 20)]).runs == (Run(slice(0, 1), (0,)),)


def test_where_nothing_always_counts_there_is_nothing():
    assert divide(20, 5, []).rows == ()
