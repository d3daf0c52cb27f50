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
    kept = mask.apply_(torch.ones(len(tasks), len(output_of)), torch.tensor(tasks))
    expected = [[float(own == -1 or heads[task][0] <= own < heads[task][1]) for own in output_of] for task in tasks]
    assert kept.tolist() == expected


def test_without_a_head_every_weight_counts():
    mask = HeadMask(torch.full((5,), -1), torch.tensor([[0, 2], [2, 4]]))
    assert mask.apply_(torch.ones(2, 5), slice(2)).all()


def test_only_the_heads_own_weights_take_memory():
    output_of = torch.full((100_000,), -1)
    output_of[-6:] = torch.arange(6)
    mask = HeadMask(output_of, torch.tensor([[0, 3], [3, 6]]))
    assert mask.drops(slice(2)).tolist() == [[False] * 3 + [True] * 3, [True] * 3 + [False] * 3]
