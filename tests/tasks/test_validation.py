import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from hypercl.config import UserError
from hypercl.tasks.split_stream import hold_out

counts = some.lists(some.integers(2, 30), min_size=1, max_size=5)


@given(counts, some.floats(0.001, 0.5), some.integers(0, 2**40))
def test_a_share_of_every_class_is_held_out(counts, share, seed):
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    kept, held = hold_out(labels, [str(label) for label in range(len(counts))], share, seed)
    assert torch.cat([kept, held]).sort().values.tolist() == list(range(len(labels)))
    for label, count in enumerate(counts):
        part = int((labels[held] == label).sum())
        assert 1 <= part < count
        assert abs(part - share * count) <= 1


def test_the_seed_decides_alone():
    labels = torch.arange(100) % 2
    first = hold_out(labels, "ab", 0.1, 1)[1]
    torch.manual_seed(123)
    assert torch.equal(first, hold_out(labels, "ab", 0.1, 1)[1])
    assert not torch.equal(first, hold_out(labels, "ab", 0.1, 2)[1])


@pytest.mark.parametrize("labels", [[0, 0, 1], [0, 0]])
def test_a_class_too_small_to_split_is_named(labels):
    with pytest.raises(UserError, match=r"tasks: class 'dog' has [01] training samples.*\n    fix: add some"):
        hold_out(torch.tensor(labels), ("cat", "dog"), 0.1, 0)
